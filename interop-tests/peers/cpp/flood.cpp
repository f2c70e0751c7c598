#include "flood.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "observe.hpp"
#include "payload.hpp"

namespace {

// The number of messages that are sent one at a time, and then in a batch, alternately.
constexpr std::uint64_t run = 100;
// The number of offsets in the block at which messages start.
constexpr std::size_t starts = 1 << 16;

// The messages of a series: slices of one block of pseudo-random bytes.
class Flood {
  public:
    Flood(std::uint64_t seed, std::size_t longest) : seed_{seed}, longest_{longest} {
        std::uint64_t state = seed;
        block_.reserve(longest + starts + 8);
        while (block_.size() < longest + starts) {
            append(block_, next(state));
        }
    }

    [[nodiscard]] std::string_view message(std::uint64_t number) const {
        std::uint64_t state = seed_ ^ number;
        const std::uint64_t word = next(state);
        std::size_t length = (word >> 12) % 65;
        if (number < 2) {
            length = number == 0 ? 0 : longest_;
        } else if (word % 4096 == 0) {
            length = (word >> 12) % (longest_ + 1);
        } else if (word % 64 == 0) {
            length = (word >> 12) % (std::min<std::size_t>(4096, longest_) + 1);
        }
        return std::string_view{block_}.substr(word >> 48, length);
    }

    void expect(std::uint64_t number, std::string_view found) const {
        const std::string_view expected = message(number);
        if (found != expected) {
            const auto at = std::mismatch(found.begin(), found.end(), expected.begin(), expected.end());
            throw Broken{"message " + std::to_string(number) + " differs at byte " +
                         std::to_string(at.first - found.begin()) + ": " + std::to_string(found.size()) +
                         " bytes, expected " + std::to_string(expected.size())};
        }
    }

  private:
    std::uint64_t seed_;
    std::size_t longest_;
    std::string block_;
};

// Returns the first number of the run that contains `number`.
std::uint64_t begin_of(std::uint64_t number) { return number - number % run; }

// Returns whether the run that begins with `first` is sent as a batch.
bool is_batch(std::uint64_t first) { return first / run % 2 == 1; }

void send(Endpoint& endpoint, const Arguments& arguments, const Flood& flood) {
    for (std::uint64_t first = 0; first < arguments.count; first += run) {
        std::vector<std::string_view> messages;
        for (std::uint64_t number = first; number < std::min(first + run, arguments.count); ++number) {
            messages.push_back(flood.message(number));
        }
        if (is_batch(first)) {
            endpoint.send_many(messages);
            continue;
        }
        for (const std::string_view message : messages) {
            endpoint.send(message, arguments.timeout);
        }
    }
}

void receive(Endpoint& endpoint, const Arguments& arguments, const Flood& flood) {
    std::uint64_t due = 0;
    while (due < arguments.count) {
        const std::uint64_t first = begin_of(due);
        const std::uint64_t before = due;
        if (is_batch(first)) {
            const std::uint64_t end = std::min(first + run, arguments.count);
            endpoint.recv_many(
                end - due, [&](eshm::bytes_view bytes) { flood.expect(due++, bytes.chars()); },
                arguments.timeout);
        } else if (const auto message = endpoint.recv(arguments.timeout)) {
            flood.expect(due++, message->bytes().chars());
        }
        if (due == before) {
            throw Broken{"message " + std::to_string(due) + " did not come"};
        }
    }
}

} // namespace

void flood(Endpoint& endpoint, const Arguments& arguments) {
    const Flood messages{arguments.seed, endpoint.max_message()};
    if (endpoint.role() == eshm::Role::master) {
        send(endpoint, arguments, messages);
        receive(endpoint, arguments, messages);
    } else {
        receive(endpoint, arguments, messages);
        send(endpoint, arguments, messages);
    }
    Observation{"done"}.with("sent", arguments.count).with("received", arguments.count);
}
