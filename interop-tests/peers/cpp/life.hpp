// The commands of the life test: everything besides plain calls that a process can do with its endpoint.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "looped.hpp"

// The message and the loan that the process has borrowed between two commands.
class Borrows {
  public:
    // Answers a command of the life test. Returns false for another command. Throws Broken.
    bool answer(const std::vector<std::string>& words, std::optional<Endpoint>& endpoint);

    // Returns everything that is borrowed, before the endpoint is closed.
    void drop();

  private:
    bool call(const std::vector<std::string>& words, Endpoint& endpoint);

    std::optional<eshm::Message> held_;
    std::optional<eshm::Loan> loan_;
};
