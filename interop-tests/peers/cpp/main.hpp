// The command line that every peer has, and the opening of an endpoint.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "looped.hpp"

struct Arguments {
    eshm::Role role{};
    std::string name;
    std::string scenario;
    // The number of numbered messages that this side sends.
    std::uint64_t count = 1000;
    // The segment's data size in bytes; a master's default is 4096, a slave's is what it finds.
    std::optional<std::size_t> size;
    // The longest wait for anything.
    std::chrono::milliseconds timeout{10000};
    // The series of this side's numbered messages.
    std::uint64_t seed = 1;
    // The queue capacity that `ledger` opens the endpoint with, in bytes.
    std::optional<std::size_t> queue;
    // The path of the journal of `ledger`.
    std::string journal;
};

// "master", "slave" or "auto". Throws Broken.
eshm::Role role(std::string_view word);

// Decimal. Throws Broken.
std::uint64_t number(std::string_view word);

// Opens an endpoint, and prints `READY`.
Endpoint open(eshm::Role role, std::string_view name, std::optional<std::size_t> size,
              std::chrono::milliseconds timeout);

// Reports that a call failed.
void observe_error(const eshm::Error& error);
