// A master that sends 1000 messages a second, and a slave that acknowledges each of them. Either process may
// be one of another language: the messages are null-terminated text, sent with `send` and received with
// `recv`.

#include <eshm/eshm.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::string_view usage = R"(Usage: eshm_demo master|slave|auto [NAME] [--count N]

Exchanges messages through the shared memory segment NAME (eshm1 by default).

  master     sends "Hello from master #i" 1000 times a second, prints what comes back
  slave      prints each message, answers "ACK from slave #i"
  auto       is the slave of a master that is running, and the master otherwise

  --count N  stop after N messages; 0, the default: when interrupted
  --help     this text
)";

/// The longest wait: Ctrl-C takes effect after it.
constexpr auto longest_wait = 100ms;

volatile std::sig_atomic_t interrupted = 0;

struct Arguments {
    eshm::Role role;
    std::string name = "eshm1";
    std::uint64_t count = 0;
};

/// An error in the command line.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Prints the first ten messages, then one in a thousand with the rate.
class Reporter {
  public:
    explicit Reporter(std::string_view heading) : heading_{heading} {}

    template <class... Parts>
    void operator()(std::uint64_t index, const Parts&... parts) {
        if (index >= 10 && index % 1000 != 0) {
            return;
        }
        (std::cout << heading_ << ... << parts);
        if (index >= 1000) {
            const std::chrono::duration<double> elapsed = Clock::now() - since_;
            std::cout << " (" << static_cast<std::uint64_t>(1000 / elapsed.count()) << " msg/s)";
        }
        if (index % 1000 == 0) {
            since_ = Clock::now();
        }
        std::cout << std::endl;
    }

  private:
    std::string_view heading_;
    Clock::time_point since_ = Clock::now();
};

std::string_view heading(eshm::Role role) {
    switch (role) {
    case eshm::Role::master:
        return "MASTER";
    case eshm::Role::slave:
        return "SLAVE";
    default:
        return "AUTO";
    }
}

std::string shown(const eshm::Message& message) {
    const auto text = message.try_text();
    return text ? std::string{*text} : "(" + text.error().message() + ")";
}

std::uint64_t run_master(eshm::Endpoint& endpoint, std::uint64_t count) {
    Reporter sent_report{"[MASTER] Sent: "};
    Reporter received_report{"[MASTER] Received: "};
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    auto due = Clock::now();
    auto last_sign = due;

    while (!interrupted) {
        const auto now = Clock::now();
        const bool all_sent = count != 0 && sent == count;
        if (all_sent && (received == count || now - last_sign > 1s)) {
            break;
        }
        if (!all_sent && now >= due) {
            const std::string text = "Hello from master #" + std::to_string(sent);
            const auto result = endpoint.try_send(eshm::text::encode(text));
            if (result) {
                sent_report(sent++, text);
                last_sign = now;
            } else if (!is_transient(result.error().code())) {
                result.value(); // throws
            }
            due = std::max(due + 1ms, now); // a missed interval is skipped
        }
        // The wait for an answer lasts until the next message is due.
        if (const auto answer = endpoint.recv(all_sent ? longest_wait : due - Clock::now())) {
            received_report(received++, shown(*answer));
            last_sign = Clock::now();
        }
    }
    return sent;
}

std::uint64_t run_slave(eshm::Endpoint& endpoint, std::uint64_t count) {
    Reporter received_report{"[SLAVE] Received "};
    Reporter sent_report{"[SLAVE] Sent: "};
    std::uint64_t answered = 0;

    while (!interrupted && (count == 0 || answered < count)) {
        const auto message = endpoint.recv(longest_wait);
        if (!message) {
            continue;
        }
        received_report(answered, '(', message->size(), " bytes): ", shown(*message));

        const std::string answer = "ACK from slave #" + std::to_string(answered);
        eshm::Result<void> sent;
        do {
            sent = endpoint.try_send(eshm::text::encode(answer), longest_wait);
        } while (!sent && is_transient(sent.error().code()) && !interrupted);
        if (sent) {
            sent_report(answered++, answer);
        } else if (!interrupted) {
            sent.value(); // throws
        }
    }
    return answered;
}

Arguments parse(int argc, char** argv) {
    std::optional<eshm::Role> role;
    std::optional<std::string> name;
    Arguments arguments{};
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--count") {
            char* end = nullptr;
            const char* number = i + 1 < argc ? argv[++i] : "";
            arguments.count = std::strtoull(number, &end, 10);
            if (*number < '0' || *number > '9' || *end != '\0') {
                throw UsageError{"--count takes a number, found '" + std::string{number} + "'"};
            }
        } else if (!word.empty() && word.front() == '-') {
            throw UsageError{"unknown option '" + std::string{word} + "'"};
        } else if (!role) {
            if (word == "master") {
                role = eshm::Role::master;
            } else if (word == "slave") {
                role = eshm::Role::slave;
            } else if (word == "auto") {
                role = eshm::Role::automatic;
            } else {
                throw UsageError{"the role is '" + std::string{word} + "', expected master, slave or auto"};
            }
        } else if (!name) {
            name = word;
        } else {
            throw UsageError{"one name is enough, found also '" + std::string{word} + "'"};
        }
    }
    if (!role) {
        throw UsageError{"the role is missing"};
    }
    arguments.role = *role;
    arguments.name = name.value_or(arguments.name);
    return arguments;
}

/// Opens the endpoint. A slave waits for its master in short steps, so that Ctrl-C takes effect.
std::optional<eshm::Endpoint> open(const Arguments& arguments) {
    eshm::Options options;
    options.role = arguments.role;
    options.connect_timeout = longest_wait;
    const auto deadline = Clock::now() + 5s;
    while (!interrupted) {
        auto endpoint = eshm::Endpoint::try_open(arguments.name, options);
        if (endpoint || endpoint.error().code() != eshm::Errc::not_found || Clock::now() > deadline) {
            return std::move(endpoint).value(); // or throws
        }
    }
    return std::nullopt;
}

void run(const Arguments& arguments) {
    std::cout << '[' << heading(arguments.role) << "] Starting high-performance " << to_string(arguments.role)
              << " process..." << std::endl;
    auto opened = open(arguments);
    if (!opened) {
        return;
    }
    eshm::Endpoint& endpoint = *opened;
    const eshm::Role role = endpoint.role();
    std::cout << '[' << heading(arguments.role) << "] Initialized with role: " << heading(role) << std::endl;

    const bool master = role == eshm::Role::master;
    const auto exchanged =
        master ? run_master(endpoint, arguments.count) : run_slave(endpoint, arguments.count);
    std::cout << '[' << heading(role) << "] Stopped after " << exchanged
              << (master ? " messages" : " answers") << std::endl;
}

} // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        if (std::string_view{argv[i]} == "--help") {
            std::cout << usage;
            return EXIT_SUCCESS;
        }
    }
    for (const int signal : {SIGINT, SIGTERM}) {
        std::signal(signal, [](int) { interrupted = 1; });
    }
    try {
        run(parse(argc, argv));
        return EXIT_SUCCESS;
    } catch (const UsageError& error) {
        std::cerr << "eshm_demo: " << error.what() << "; see --help" << std::endl;
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "eshm_demo: " << error.what() << std::endl;
        return EXIT_FAILURE;
    }
}
