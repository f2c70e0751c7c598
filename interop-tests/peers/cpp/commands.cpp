#include "commands.hpp"

#include <iostream>
#include <sstream>
#include <utility>
#include <vector>

#include "life.hpp"
#include "observe.hpp"
#include "payload.hpp"

std::string bytes(const std::string& word) {
    std::string result;
    if (word == "-") {
        return result;
    }
    for (std::size_t index = 0; index + 1 < word.size(); index += 2) {
        result.push_back(static_cast<char>(std::stoi(word.substr(index, 2), nullptr, 16)));
    }
    return result;
}

std::string hex(std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string result;
    for (const char character : bytes) {
        const auto byte = static_cast<unsigned char>(character);
        result += {digits[byte >> 4], digits[byte & 15]};
    }
    return result;
}

void observe_opened(const Endpoint& endpoint) {
    Observation{"opened"}
        .with("role", eshm::to_string(endpoint.role()))
        .with("data_size", std::uint64_t{endpoint.data_size()});
}

void observe_content(const eshm::Message& message) {
    Observation{"message"}
        .with("hex", hex(eshm::bytes_view{message.bytes()}.chars()))
        .with("skipped", message.skipped())
        .with("generation", message.generation());
}

namespace {

using Words = std::vector<std::string>;

// Returns the timeout of a command. It is unlimited if the command has none.
eshm::Duration wait(const Words& words, std::size_t index) {
    return index < words.size() ? eshm::Duration{std::chrono::milliseconds{number(words[index])}}
                                : eshm::forever;
}

// Observes a message, or that none came in time. Throws other errors.
void observe(eshm::Result<eshm::Message> result) {
    if (result) {
        const std::string content = hex(eshm::bytes_view{result->bytes()}.chars());
        const auto skipped = result->skipped();
        const auto generation = result->generation();
        // Released before it is reported: after the report, the segment no longer contains it.
        { const eshm::Message released = std::move(*result); }
        Observation{"message"}.with("hex", content).with("skipped", skipped).with("generation", generation);
    } else if (result.error().code() == eshm::Errc::no_data || result.error().code() == eshm::Errc::timeout) {
        Observation{"nothing"};
    } else {
        result.error().raise();
    }
}

void open(const Words& words, std::optional<Endpoint>& endpoint, const Arguments& arguments) {
    auto role = arguments.role;
    auto name = arguments.name;
    auto size = arguments.size;
    if (words.size() > 1) {
        role = ::role(words.at(1));
        name = bytes(words.at(2));
        size = words.size() > 3 ? std::optional<std::size_t>{number(words[3])} : std::nullopt;
    }
    endpoint = ::open(role, name, size, arguments.timeout);
    observe_opened(*endpoint);
}

void state(const Endpoint& endpoint) {
    Observation{"state"}
        .with("role", eshm::to_string(endpoint.role()))
        .with("peer", eshm::to_string(endpoint.peer_state()))
        .with("generation", endpoint.generation())
        .with("data_size", std::uint64_t{endpoint.data_size()});
}

// Runs the command if it sends or writes.
bool put(const Words& words, Endpoint& endpoint) {
    const std::string& verb = words[0];
    if (verb == "wait-peer") {
        endpoint.wait_for_peer(wait(words, 1));
    } else if (verb == "write") {
        endpoint.write(bytes(words.at(1)));
    } else if (verb == "try-send") {
        endpoint.try_send(bytes(words.at(1))).value();
    } else if (verb == "send") {
        endpoint.send(bytes(words.at(1)), wait(words, 2));
    } else if (verb == "cancel-send") {
        const auto sent = endpoint.cancel_send(bytes(words.at(1)), wait(words, 2));
        if (!sent) {
            Observation{"nothing"};
            return true;
        }
        sent->value();
    } else if (verb == "send-text") {
        endpoint.send(eshm::text::encode(bytes(words.at(1))));
    } else {
        return false;
    }
    Observation{"ok"};
    return true;
}

// Runs the command if it receives or reads.
bool get(const Words& words, Endpoint& endpoint) {
    const std::string& verb = words[0];
    if (verb == "try-read") {
        observe(endpoint.try_read());
    } else if (verb == "read") {
        observe(endpoint.try_read(wait(words, 1)));
    } else if (verb == "try-recv") {
        observe(endpoint.try_recv());
    } else if (verb == "recv") {
        observe(endpoint.try_recv(wait(words, 1)));
    } else if (verb == "cancel-recv") {
        auto received = endpoint.cancel_recv(wait(words, 1));
        received ? observe(std::move(*received)) : static_cast<void>(Observation{"nothing"});
    } else if (verb == "recv-text") {
        const std::string text{endpoint.recv().text()};
        Observation{"text"}.with("text", text);
    } else {
        return false;
    }
    return true;
}

void answer(const Words& words, std::optional<Endpoint>& endpoint, Borrows& borrows,
            const Arguments& arguments) {
    const std::string& verb = words.at(0);
    if (borrows.answer(words, endpoint)) {
        return;
    }
    if (verb == "open") {
        open(words, endpoint, arguments);
    } else if (verb == "close") {
        endpoint.reset();
        Observation{"ok"};
    } else if (verb == "payload") {
        Observation{"payload"}.with(
            "hex", hex(payload(number(words.at(1)), number(words.at(2)), number(words.at(3)))));
    } else if (!endpoint) {
        throw Broken{verb + ": no endpoint is open"};
    } else if (verb == "state") {
        state(*endpoint);
    } else if (!put(words, *endpoint) && !get(words, *endpoint)) {
        throw Broken{verb + " is no command"};
    }
}

} // namespace

void commands(const Arguments& arguments) {
    std::optional<Endpoint> endpoint;
    Borrows borrows;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream stream{line};
        Words words;
        for (std::string word; stream >> word;) {
            words.push_back(std::move(word));
        }
        try {
            answer(words, endpoint, borrows, arguments);
        } catch (const eshm::Error& error) {
            observe_error(error);
        } catch (const std::logic_error& error) {
            throw Broken{line.substr(0, 80) + ": " + error.what()};
        }
    }
}
