// The commands of the life test: what a process can do to its endpoint besides plain calls.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <eshm/eshm.hpp>

// What the process holds between two commands.
class Borrows {
  public:
    // Answers a command of the life test; false if it is another one. Throws Broken.
    bool answer(const std::vector<std::string>& words, std::optional<eshm::Endpoint>& endpoint);

    // Gives everything back, before the endpoint is closed.
    void drop();

  private:
    bool call(const std::vector<std::string>& words, eshm::Endpoint& endpoint);

    std::optional<eshm::Message> held_;
    std::optional<eshm::Loan> loan_;
};
