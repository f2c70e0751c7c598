#include "life.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <future>
#include <string_view>
#include <thread>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

#include "commands.hpp"
#include "main.hpp"
#include "observe.hpp"

namespace {

using Words = std::vector<std::string>;

// Opens an endpoint with settings of the form `key=value`.
Endpoint open_with(const Words& words) {
    std::string name;
    eshm::Options options;
    options.reconnect_attempts = std::nullopt;
    for (std::size_t index = 1; index < words.size(); ++index) {
        const std::size_t at = words[index].find('=');
        const std::string key = words[index].substr(0, at);
        const std::string value = at == std::string::npos ? "" : words[index].substr(at + 1);
        if (key == "name") {
            name = bytes(value);
        } else if (key == "role") {
            options.role = role(value);
        } else if (key == "data_size") {
            options.data_size = number(value);
        } else if (key == "queue_capacity") {
            options.queue_capacity = number(value);
        } else if (key == "stale_ms") {
            options.stale_threshold = std::chrono::milliseconds{number(value)};
        } else if (key == "reconnect_timeout_ms") {
            options.reconnect_timeout = std::chrono::milliseconds{number(value)};
        } else if (key == "reconnect_ms") {
            options.reconnect_interval = std::chrono::milliseconds{number(value)};
        } else if (key == "connect_ms") {
            options.connect_timeout = std::chrono::milliseconds{number(value)};
        } else {
            throw Broken{key + " is no setting"};
        }
    }
    Observation{"opening"};
    Endpoint endpoint{name, options};
    ready();
    return endpoint;
}

// Sends a batch: the messages that fit in time. `-` waits without limit.
void send_many(const Words& words, Endpoint& endpoint) {
    std::vector<std::string> messages;
    for (std::size_t index = 2; index < words.size(); ++index) {
        messages.push_back(bytes(words[index]));
    }
    const eshm::Duration wait =
        words.at(1) == "-" ? eshm::forever : eshm::Duration{std::chrono::milliseconds{number(words[1])}};
    const auto result = endpoint.try_send_many(messages, wait);
    Observation{"count"}
        .with("count", std::uint64_t{result.sent()})
        .with("code", result ? 0 : result.error().number())
        .with("message", result ? std::string{} : result.error().message());
}

void recv_many(const Words& words, Endpoint& endpoint) {
    std::vector<std::string> texts;
    const auto each = [&texts](eshm::bytes_view message) { texts.push_back(hex(message.chars())); };
    endpoint.recv_many(number(words.at(1)), each, std::chrono::milliseconds{number(words.at(2))});
    Observation{"messages"}.with("hex", texts);
}

// Forks, and reports the error of the child's call.
void use_in_child(Endpoint& endpoint) {
    const pid_t child = fork();
    if (child == 0) {
        const auto result = endpoint.try_recv();
        std::exit(result ? 0 : -result.error().number());
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        throw Broken{"the child did not exit"};
    }
    Observation{"forked"}.with("code", -WEXITSTATUS(status));
}

// Exits while a thread waits for a message.
[[noreturn]] void exit_busy(Endpoint& endpoint) {
    std::promise<void> begins;
    std::thread{[&] {
        begins.set_value();
        // A message may come before the exit: the model accepts both.
        const auto received = endpoint.try_recv(eshm::forever);
        std::this_thread::sleep_for(std::chrono::hours{1});
    }}.detach();
    begins.get_future().wait();
    // Usually long enough for the call to park. Otherwise the exit only comes earlier.
    std::this_thread::sleep_for(std::chrono::milliseconds{3});
    Observation{"ok"};
    std::exit(0);
}

} // namespace

void Borrows::drop() {
    held_.reset();
    loan_.reset();
}

bool Borrows::answer(const Words& words, std::optional<Endpoint>& endpoint) {
    const std::string& verb = words.at(0);
    if (verb == "open-with") {
        endpoint = open_with(words);
        observe_opened(*endpoint);
    } else if (verb == "leave") {
        drop();
        const std::uint64_t unreceived = endpoint ? endpoint->close() : 0;
        endpoint.reset();
        Observation{"closed"}.with("unreceived", unreceived);
    } else if (verb == "observe") {
        static_cast<void>(eshm::Observer{bytes(words.at(1))}.look());
        Observation{"ok"};
    } else {
        return endpoint && call(words, *endpoint);
    }
    return true;
}

bool Borrows::call(const Words& words, Endpoint& endpoint) {
    const std::string& verb = words[0];
    if (verb == "send-many") {
        send_many(words, endpoint);
    } else if (verb == "recv-many") {
        recv_many(words, endpoint);
    } else if (verb == "loan") {
        const std::string content = bytes(words.at(1));
        loan_ = endpoint.loan(content.size(), std::chrono::milliseconds{number(words.at(2))});
        std::memcpy(loan_->bytes().data(), content.data(), content.size());
        Observation{"ok"};
    } else if (verb == "loan-send") {
        eshm::Loan loan = std::move(loan_.value());
        loan_.reset();
        loan.send();
        Observation{"ok"};
    } else if (verb == "loan-drop") {
        loan_.reset();
        Observation{"ok"};
    } else if (verb == "hold") {
        held_ = endpoint.recv(std::chrono::milliseconds{number(words.at(1))});
        held_ ? observe_content(*held_) : static_cast<void>(Observation{"nothing"});
    } else if (verb == "held") {
        held_ ? observe_content(*held_) : static_cast<void>(Observation{"nothing"});
    } else if (verb == "release") {
        held_.reset();
        Observation{"ok"};
    } else if (verb == "fork") {
        use_in_child(endpoint);
    } else if (verb == "exit-busy") {
        exit_busy(endpoint);
    } else {
        return false;
    }
    return true;
}
