#include "traffic.hpp"

#include <algorithm>
#include <thread>

#include <poll.h>
#include <unistd.h>

#include "observe.hpp"
#include "payload.hpp"

using namespace std::chrono_literals;

namespace {

// The number of values that are written between two reads of `latest-value`.
constexpr std::uint64_t pace = 100;
// How long one side of `both-directions` or `stream` waits for one message before it does its other work.
constexpr auto turn = 1ms;

std::string_view chars(const eshm::Message& message) { return eshm::bytes_view{message.bytes()}.chars(); }

void expect(std::uint64_t found, std::uint64_t expected) {
    if (found != expected) {
        throw Broken{"message " + std::to_string(found) + " came, expected " + std::to_string(expected)};
    }
}

// Returns how many values the peer has written.
std::uint64_t written(const Endpoint& endpoint) {
    const eshm::Stats stats = endpoint.stats();
    return endpoint.role() == eshm::Role::master ? stats.s2m_write_count : stats.m2s_write_count;
}

void write_values(Endpoint& endpoint, const Arguments& arguments) {
    const std::size_t longest = endpoint.data_size();
    for (std::uint64_t number = 0; number < arguments.count; ++number) {
        endpoint.write(payload(arguments.seed, number, longest));
    }
    Observation{"written"}.with("count", arguments.count);
}

// Reads until the last value, letting at least `pace` values be written from one read to the next.
void read_values(Endpoint& endpoint, const Arguments& arguments) {
    const std::size_t longest = endpoint.data_size();
    for (;;) {
        const auto message = endpoint.read(arguments.timeout);
        if (!message) {
            throw Broken{"no value came"};
        }
        const std::uint64_t number = check(chars(*message), longest).number;
        Observation{"value"}.with("number", number).with("skipped", message->skipped());
        if (number + 1 >= arguments.count) {
            return;
        }
        const auto deadline = std::chrono::steady_clock::now() + arguments.timeout;
        while (written(endpoint) < std::min(number + 1 + pace, arguments.count)) {
            if (std::chrono::steady_clock::now() >= deadline) {
                throw Broken{"nothing was written after value " + std::to_string(number)};
            }
            std::this_thread::yield();
        }
    }
}

// Returns whether the message was sent. It is not if the previous one is unread, or the master is gone.
bool try_send(Endpoint& endpoint, std::string_view message) {
    const auto sent = endpoint.try_send(message);
    if (!sent && !is_transient(sent.error().code())) {
        sent.error().raise();
    }
    return sent.has_value();
}

// Returns, without waiting, whether stdin has a line or has ended.
bool stop() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    return poll(&input, 1, 0) > 0;
}

} // namespace

void echo(Endpoint& endpoint, const Arguments& arguments) {
    const std::size_t longest = endpoint.data_size();
    for (std::uint64_t number = 0; number < arguments.count; ++number) {
        if (endpoint.role() == eshm::Role::master) {
            endpoint.send(payload(arguments.seed, number, longest), arguments.timeout);
        }
        const auto message = endpoint.recv(arguments.timeout);
        if (!message) {
            throw Broken{"message " + std::to_string(number) + " did not come"};
        }
        expect(check(chars(*message), longest).number, number);
        if (endpoint.role() == eshm::Role::slave) {
            endpoint.send(chars(*message), arguments.timeout);
        }
    }
    Observation{"done"}.with("sent", arguments.count).with("received", arguments.count);
}

void latest_value(Endpoint& endpoint, const Arguments& arguments) {
    endpoint.wait_for_peer(arguments.timeout);
    if (endpoint.role() == eshm::Role::slave) {
        read_values(endpoint, arguments);
        write_values(endpoint, arguments);
    } else {
        write_values(endpoint, arguments);
        read_values(endpoint, arguments);
    }
}

void both_directions(Endpoint& endpoint, const Arguments& arguments) {
    const std::size_t longest = endpoint.data_size();
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    while (sent < arguments.count || received < arguments.count) {
        if (sent < arguments.count && try_send(endpoint, payload(arguments.seed, sent, longest))) {
            ++sent;
        }
        if (received < arguments.count) {
            if (const auto message = endpoint.recv(turn)) {
                expect(check(chars(*message), longest).number, received);
                ++received;
            }
        }
    }
    Observation{"done"}.with("sent", sent).with("received", received);
}

void stream(Endpoint& endpoint, const Arguments& arguments) {
    const std::size_t longest = endpoint.data_size();
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    bool end_sent = false;
    bool end_received = false;
    std::optional<eshm::PeerState> last_state;
    while (!end_sent || !end_received) {
        const eshm::PeerState state = endpoint.peer_state();
        if (last_state != state) {
            last_state = state;
            Observation{"peer"}.with("state", eshm::to_string(state));
        }
        if (!end_sent && stop()) {
            end_sent = try_send(endpoint, "");
            if (end_sent) {
                Observation{"end-sent"};
            }
        } else if (!end_sent && try_send(endpoint, payload(arguments.seed, sent, longest))) {
            Observation{"sent"}.with("number", sent);
            ++sent;
        }
        if (end_sent && end_received) {
            break; // The other side may have left, and a receive would say so.
        }
        // Released before it is reported, so that a killed process never leaves a reported message in the
        // queue.
        std::string message;
        std::uint64_t generation = 0;
        if (const auto lent = endpoint.recv(turn)) {
            message = chars(*lent);
            generation = lent->generation();
        } else {
            continue;
        }
        if (message.empty()) {
            end_received = true;
            Observation{"end-received"};
            continue;
        }
        const auto [seed, number] = check(message, longest);
        Observation{"received"}.with("seed", seed).with("number", number).with("generation", generation);
        ++received;
    }
    Observation{"done"}.with("sent", sent).with("received", received);
}
