// The output of a peer on stdout: `READY`, and one JSON object per observation.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

// Something arrived that should not have, or did not: this side of the scenario did not hold.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Prints `READY`: the endpoint is attached.
void ready();

// One observation, said when it goes out of scope:
// `Observation{"received"}.with("seed", seed).with("number", number);`
class Observation {
  public:
    explicit Observation(std::string_view observed);
    Observation(const Observation&) = delete;
    Observation& operator=(const Observation&) = delete;
    ~Observation();

    Observation& with(std::string_view key, std::uint64_t number);
    Observation& with(std::string_view key, int number);
    Observation& with(std::string_view key, std::string_view text);
    Observation& with(std::string_view key, const std::vector<std::string>& texts);

  private:
    std::string line_;
};
