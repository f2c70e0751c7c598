#include "ledger.hpp"

#include <algorithm>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include "journal.hpp"
#include "observe.hpp"
#include "payload.hpp"

using namespace std::chrono_literals;

namespace {

// How long a turn waits for a message if it has sent one, so that a reply is due, and if it has not.
constexpr eshm::Duration reply_turn = 100ms;
constexpr eshm::Duration turn_length = 1ms;
constexpr eshm::Duration none = 0ms;
// The greatest number of messages that one turn receives.
constexpr std::size_t most = 8;

// The greatest length of a message or value by its number: most fit into a slot, some are long.
std::size_t longest(std::uint64_t number) {
    constexpr std::size_t lengths[] = {56, 200, 56, 3000};
    return lengths[number % 4];
}

// Checks that a message is complete, and returns its process number and its number. Throws Broken.
Numbered checked(std::string_view message) {
    std::uint64_t number = 0;
    for (std::size_t index = 0; index < std::min<std::size_t>(8, message.size()); ++index) {
        number |= std::uint64_t{static_cast<unsigned char>(message[index])} << (8 * index);
    }
    return check(message, longest(number));
}

// Returns whether it succeeded. Returns false if it may succeed later.
template <class Result>
bool succeeded(const Result& result) {
    if (!result && !is_transient(result.error().code())) {
        result.error().raise();
    }
    return result.has_value();
}

// Returns whether stdin has a line or has ended.
bool has_order(int wait_ms = 0) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    return poll(&input, 1, wait_ms) > 0;
}

// Reads a line of stdin; false at its end.
bool order() {
    char character = 0;
    while (read(STDIN_FILENO, &character, 1) == 1) {
        if (character == '\n') {
            return true;
        }
    }
    return false;
}

// Marks as doubtful what a killed predecessor had begun to send and not acknowledged. It is never sent again.
void begin_life(Journal& journal) {
    if (journal[Word::intended] > journal[Word::sent]) {
        journal.record(Kind::doubtful, journal[Word::sent] + 1, journal[Word::intended]);
        journal.set(Word::sent, journal[Word::intended]);
    }
    journal.set(Word::lives, journal[Word::lives] + 1);
}

// The state of one process.
class Ledger {
  public:
    Ledger(Endpoint& endpoint, Journal& journal)
        : endpoint_{endpoint}, journal_{journal}, last_{journal[Word::released]} {}

    // Takes turns until both sides have sent their end. Returns whether to continue after that.
    bool stream() {
        bool stopping = false;
        bool end_sent = false;
        peer_has_ended_ = false;
        while (!end_sent || !peer_has_ended_) {
            say_peer_state();
            write_value();
            stopping = stopping || has_order();
            std::uint64_t sent = 0;
            if (!stopping) {
                sent = send();
            } else if (!end_sent) {
                end_sent = succeeded(endpoint_.try_send(""));
            }
            // Only every second turn, so that the peer may wait for a value meanwhile.
            receive(sent > 0 && !peer_has_ended_ && turn_ % 2 == 0 ? reply_turn : turn_length);
            read_value(none);
            if (turn_ % 16 == 0) {
                read_value(5 * turn_length.count());
            }
            ++turn_;
        }
        order();
        Observation{"done"}.with("sent", journal_[Word::sent]).with("received", journal_[Word::received]);
        while (!has_order(1)) {
            say_peer_state();
        }
        return order();
    }

  private:
    [[nodiscard]] std::string message(std::uint64_t number) const {
        return payload(journal_[Word::lives], number, longest(number));
    }

    // Sends the next messages in one of four ways. Returns how many.
    std::uint64_t send() {
        const std::uint64_t before = journal_[Word::sent];
        const std::uint64_t count = turn_ % 4 == 0 ? 3 : 1;
        std::vector<std::string> messages;
        for (std::uint64_t number = before + 1; number <= before + count; ++number) {
            messages.push_back(message(number));
        }
        journal_.set(Word::intended, before + count);
        std::uint64_t sent = 0;
        if (turn_ % 4 == 0) {
            const auto batch = endpoint_.try_send_many(messages);
            sent = succeeded(batch) ? count : batch.sent();
        } else if (turn_ % 4 == 1) {
            sent = succeeded(endpoint_.try_send(messages[0], turn_length));
        } else if (turn_ % 4 == 2) {
            sent = send_in_place(messages[0]);
        } else {
            sent = succeeded(endpoint_.try_send(messages[0]));
        }
        if (sent > 0) {
            journal_.set(Word::sent, before + sent);
        }
        return sent;
    }

    bool send_in_place(const std::string& message) {
        auto loan = endpoint_.try_loan(message.size());
        if (!succeeded(loan)) {
            return false;
        }
        std::transform(message.begin(), message.end(), loan->bytes().begin(),
                       [](char character) { return static_cast<std::byte>(character); });
        return succeeded(loan->try_send());
    }

    // Receives what is there, and waits for the first: one by one, or all at once. Released only when it is
    // in the journal.
    void receive(eshm::Duration wait) {
        if (turn_ % 2 == 0) {
            std::vector<Numbered> taken;
            bool end = false;
            endpoint_.recv_many(
                most, [&](eshm::bytes_view bytes) { end = !take(bytes.chars(), taken) || end; }, wait);
            journal_.set(Word::released, journal_[Word::received]);
            peer_has_ended_ = peer_has_ended_ || end;
            std::for_each(taken.begin(), taken.end(), [&](const Numbered& numbered) { heard(numbered); });
            return;
        }
        for (std::size_t count = 0; count < most; ++count) {
            std::vector<Numbered> taken;
            if (const auto message = endpoint_.recv(wait)) {
                peer_has_ended_ = !take(eshm::bytes_view{message->bytes()}.chars(), taken) || peer_has_ended_;
            } else {
                return;
            }
            journal_.set(Word::released, journal_[Word::received]);
            std::for_each(taken.begin(), taken.end(), [&](const Numbered& numbered) { heard(numbered); });
            wait = none;
        }
    }

    // Enters a message that is not released yet; false: it is the end.
    bool take(std::string_view message, std::vector<Numbered>& taken) {
        if (message.empty()) {
            return false;
        }
        const Numbered found = checked(message);
        const std::uint64_t received = journal_[Word::received];
        if (found.number <= last_) {
            journal_.record(Kind::duplicate, found.number, found.number);
        } else if (found.number <= received) {
            journal_.record(Kind::again, found.number, found.number);
        } else {
            if (found.number > received + 1) {
                journal_.record(Kind::missing, received + 1, found.number - 1);
            }
            journal_.set(Word::received, found.number);
        }
        last_ = std::max(last_, found.number);
        taken.push_back(found);
        return true;
    }

    // Reports the first message of the peer's next process.
    void heard(const Numbered& message) {
        if (message.seed != peer_life_) {
            peer_life_ = message.seed;
            Observation{"received"}
                .with("seed", message.seed)
                .with("number", message.number)
                .with("generation", endpoint_.generation());
        }
    }

    // Reports the peer state if it has changed.
    void say_peer_state() {
        const eshm::PeerState state = endpoint_.peer_state();
        if (peer_state_ != state) {
            peer_state_ = state;
            Observation{"peer"}.with("state", eshm::to_string(state));
        }
    }

    void write_value() {
        const std::uint64_t number = journal_[Word::value] + 1;
        journal_.set(Word::value, number);
        succeeded(endpoint_.try_write(message(number)));
    }

    // Reads the peer's value, if there is one. It must be complete and newer than the last one.
    void read_value(eshm::Duration wait) {
        const auto value = endpoint_.read(wait);
        if (!value) {
            return;
        }
        const std::uint64_t found = checked(eshm::bytes_view{value->bytes()}.chars()).number;
        if (found <= value_) {
            throw Broken{"value " + std::to_string(found) + " came after " + std::to_string(value_)};
        }
        value_ = found;
    }

    Endpoint& endpoint_;
    Journal& journal_;
    // The greatest number received by this process. Initially the last one that was released.
    std::uint64_t last_;
    // The process number of the peer, from its last message.
    std::uint64_t peer_life_ = 0;
    std::optional<eshm::PeerState> peer_state_;
    bool peer_has_ended_ = false;
    // The last value read.
    std::uint64_t value_ = 0;
    std::uint64_t turn_ = 0;
};

} // namespace

void ledger(const Arguments& arguments) {
    Journal journal{arguments.journal};
    begin_life(journal);
    Observation{"opening"};
    eshm::Options options;
    options.role = arguments.role;
    options.queue_capacity = arguments.queue;
    options.connect_timeout = arguments.timeout;
    Endpoint endpoint{arguments.name, options};
    ready();
    Ledger share{endpoint, journal};
    while (share.stream()) {
    }
    endpoint.close();
}
