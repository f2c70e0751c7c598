// The C++ peer of the conformance kit. `interop-tests/README.md` says what each scenario does.
#include "main.hpp"

#include <charconv>
#include <cstdio>
#include <vector>

#include "commands.hpp"
#include "flood.hpp"
#include "ledger.hpp"
#include "observe.hpp"
#include "traffic.hpp"

namespace {

using Traffic = void (*)(Endpoint&, const Arguments&);

// The scenario of this name, or null.
Traffic traffic(std::string_view scenario) {
    if (scenario == "echo") {
        return echo;
    }
    if (scenario == "latest-value") {
        return latest_value;
    }
    if (scenario == "both-directions") {
        return both_directions;
    }
    if (scenario == "flood") {
        return flood;
    }
    return scenario == "stream" ? stream : nullptr;
}

// Throws Broken when the command line is not one.
Arguments parse(const std::vector<std::string_view>& words) {
    if (words.size() < 3 || words.size() % 2 == 0) {
        throw Broken{"expected a role, a name and a scenario, then options with values"};
    }
    Arguments arguments;
    arguments.role = role(words[0]);
    arguments.name = words[1];
    arguments.scenario = words[2];
    if (arguments.scenario != "commands" && arguments.scenario != "ledger" &&
        traffic(arguments.scenario) == nullptr) {
        throw Broken{"there is no scenario " + arguments.scenario};
    }
    for (std::size_t index = 3; index < words.size(); index += 2) {
        const std::string_view option = words[index];
        if (option == "--journal") {
            arguments.journal = words[index + 1];
            continue;
        }
        const std::uint64_t value = number(words[index + 1]);
        if (option == "--count") {
            arguments.count = value;
        } else if (option == "--size") {
            arguments.size = value;
        } else if (option == "--timeout-ms") {
            arguments.timeout = std::chrono::milliseconds{value};
        } else if (option == "--seed") {
            arguments.seed = value;
        } else if (option == "--queue") {
            arguments.queue = value;
        } else {
            throw Broken{"there is no option " + std::string{option}};
        }
    }
    return arguments;
}

void run(const Arguments& arguments) {
    if (arguments.scenario == "commands") {
        commands(arguments);
        return;
    }
    if (arguments.scenario == "ledger") {
        ledger(arguments);
        return;
    }
    Endpoint endpoint = open(arguments.role, arguments.name, arguments.size, arguments.timeout);
    traffic(arguments.scenario)(endpoint, arguments);
    endpoint.close();
}

} // namespace

eshm::Role role(std::string_view word) {
    for (const eshm::Role role : {eshm::Role::master, eshm::Role::slave, eshm::Role::automatic}) {
        if (word == eshm::to_string(role)) {
            return role;
        }
    }
    throw Broken{"the role is " + std::string{word} + ", expected master, slave or auto"};
}

std::uint64_t number(std::string_view word) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size()) {
        throw Broken{std::string{word} + " is no number"};
    }
    return value;
}

Endpoint open(eshm::Role role, std::string_view name, std::optional<std::size_t> size,
              std::chrono::milliseconds timeout) {
    Observation{"opening"};
    eshm::Options options;
    options.role = role;
    options.data_size = size;
    options.connect_timeout = timeout;
    Endpoint endpoint{name, options};
    ready();
    return endpoint;
}

void observe_error(const eshm::Error& error) {
    Observation{"error"}.with("code", error.number()).with("message", error.what());
}

int main(int count, char** words) {
    Arguments arguments;
    try {
        arguments = parse({words + 1, words + count});
    } catch (const Broken& usage) {
        std::fprintf(stderr,
                     "%s\nusage: %s master|slave|auto NAME SCENARIO "
                     "[--count N] [--size BYTES] [--timeout-ms T] [--seed S] [--queue BYTES] "
                     "[--journal FILE]\n",
                     usage.what(), words[0]);
        return 2;
    }
    try {
        run(arguments);
        return 0;
    } catch (const eshm::Error& error) {
        observe_error(error);
    } catch (const Broken& broken) {
        Observation{"failed"}.with("reason", broken.what());
    }
    return 1;
}
