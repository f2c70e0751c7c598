// What the programs of a measurement share: the command line, the payload, the timing. See
// src/contestants/mod.rs, src/payload.rs and src/timing.rs, whose words and numbers these are.
#ifndef ESHM_BENCH_MEASUREMENT_HPP
#define ESHM_BENCH_MEASUREMENT_HPP

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;
using Ns = std::chrono::duration<double, std::nano>;

struct Args {
    std::string role;
    std::string what;
    std::string name;
    std::size_t size = 56;
    std::chrono::milliseconds budget{200};
    std::uint64_t verify = 16;
    bool touched = false;

    Args(int argc, char** argv) {
        std::vector<std::string> words;
        for (const std::string_view word : std::vector<std::string_view>(argv + 1, argv + argc)) {
            const auto equals = word.find('=');
            const std::string_view option = word.substr(0, equals);
            const auto number = [&] { return std::stoull(std::string{word.substr(equals + 1)}); };
            if (option == "--size") {
                size = number();
            } else if (option == "--budget-ms") {
                budget = std::chrono::milliseconds{number()};
            } else if (option == "--verify") {
                verify = number();
            } else if (option == "--touched") {
                touched = true;
            } else if (option.substr(0, 2) == "--") {
                throw std::invalid_argument{"unknown option " + std::string{option}};
            } else {
                words.emplace_back(word);
            }
        }
        if (words.size() != 3 || size < sizeof(std::uint64_t)) {
            throw std::invalid_argument{
                "expected <drive|echo|source|sink> <what> <name>, and a size of 8 at least"};
        }
        role = words[0];
        what = words[1];
        name = words[2];
    }

    [[nodiscard]] bool follows() const { return role == "echo" || role == "sink"; }
};

inline constexpr std::uint64_t stop = std::numeric_limits<std::uint64_t>::max();
inline constexpr std::uint64_t reply = 100;
inline constexpr std::size_t period = 251;

inline void write_ramp(std::byte* bytes, std::size_t size, std::uint64_t seq) {
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::byte>((seq + i) % period);
    }
}

inline bool is_ramp(const std::byte* bytes, std::size_t size, std::uint64_t seq) {
    for (std::size_t i = 0; i < size; ++i) {
        if (bytes[i] != static_cast<std::byte>((seq + i) % period)) {
            return false;
        }
    }
    return true;
}

// Numbers a message; touched: writes all of it.
inline void write(std::byte* bytes, std::size_t size, std::uint64_t seq, bool touched) {
    const std::size_t words = touched ? size / sizeof seq : 1;
    for (std::size_t i = 0; i < words; ++i) {
        std::memcpy(bytes + i * sizeof seq, &seq, sizeof seq);
    }
}

struct Number {
    std::uint64_t seq;
    bool whole;
};

// A message's number, and whether a touched payload, all of which is read, holds together.
inline Number read(const std::byte* bytes, std::size_t size, bool touched) {
    if (size < sizeof(std::uint64_t)) {
        return {0, false};
    }
    std::uint64_t seq = 0;
    std::memcpy(&seq, bytes, sizeof seq);
    if (!touched) {
        return {seq, true};
    }
    std::uint64_t sum = 0;
    const std::size_t words = size / sizeof seq;
    for (std::size_t i = 0; i < words; ++i) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + i * sizeof word, sizeof word);
        sum += word;
    }
    return {seq, sum == seq * words};
}

// What a process of a measurement observed.
struct Observation {
    double ns = 0;
    std::uint64_t messages = 0;
    std::uint64_t lost = 0;
    std::uint64_t wakeups = 0;
    std::vector<double> trips; // single round trips, sorted

    void print() const {
        std::printf(R"({"ns":%.3f,"messages":%ju,"lost":%ju,"wakeups":%ju)", ns,
                    static_cast<std::uintmax_t>(messages), static_cast<std::uintmax_t>(lost),
                    static_cast<std::uintmax_t>(wakeups));
        if (!trips.empty()) {
            const auto at = [&](double share) {
                return trips[static_cast<std::size_t>(share * static_cast<double>(trips.size() - 1))];
            };
            std::printf(R"(,"latency":{"p50":%.0f,"p99":%.0f,"p999":%.0f,"max":%.0f})", at(0.5), at(0.99),
                        at(0.999), trips.back());
        }
        std::puts("}");
    }
};

// Makes round trips for as long as `budget`. `trip` is handed a number and tells whether the answer was
// right.
template <class Trip>
Observation round_trips(std::chrono::milliseconds budget, Trip&& trip) {
    using std::chrono::microseconds;
    Observation observed;
    const auto batch = [&](std::uint64_t size) {
        const auto started = Clock::now();
        for (std::uint64_t i = 0; i < size; ++i) {
            observed.lost += trip(observed.messages++) ? 0 : 1;
        }
        return Ns{Clock::now() - started};
    };
    // Warms up, and finds how many trips make a batch.
    std::uint64_t size = 1;
    for (const auto started = Clock::now();;) {
        if (batch(size) < microseconds{50}) {
            size *= 2;
        } else if (Clock::now() - started >= budget / 10) {
            break;
        }
    }
    std::vector<double> batches;
    for (const auto started = Clock::now(); batches.empty() || Clock::now() - started < budget * 6 / 10;) {
        batches.push_back(batch(size).count() / static_cast<double>(size));
    }
    const auto middle = batches.begin() + static_cast<std::ptrdiff_t>(batches.size() / 2);
    std::nth_element(batches.begin(), middle, batches.end());
    observed.ns = *middle;
    for (const auto started = Clock::now(); Clock::now() - started < budget * 3 / 10;) {
        observed.trips.push_back(batch(1).count());
    }
    std::sort(observed.trips.begin(), observed.trips.end());
    return observed;
}

// The numbers that arrive, which shall be 0, 1, 2 …
class Arrivals {
  public:
    std::uint64_t count = 0;
    std::uint64_t lost = 0;

    // Whether the run goes on.
    bool next(Number number) {
        if (number.whole && number.seq == expected_) {
            ++expected_;
            ++count;
            return true;
        }
        if (!number.whole) {
            ++lost;
            ++expected_;
            return true;
        }
        if (number.seq == stop) {
            return false;
        }
        if (number.seq > expected_) {
            lost += number.seq - expected_;
            expected_ = number.seq + 1;
            ++count;
        } else {
            ++lost;
        }
        return true;
    }

  private:
    std::uint64_t expected_ = 0;
};

// Waits until the runner says, by closing standard input, that the other side is done.
inline void stay() {
    std::for_each(std::istreambuf_iterator<char>{std::cin}, {}, [](char) {});
}

} // namespace bench

#endif
