#include "observe.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

// Writes a line with one write, so that a SIGKILL never leaves half of it.
void say(std::string line) {
    line += '\n';
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fflush(stdout) != 0) {
        std::exit(1); // The reader has closed the pipe.
    }
}

std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (byte < 0x20) {
            char escape[7];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(byte));
            result += escape;
            continue;
        }
        if (character == '"' || character == '\\') {
            result += '\\';
        }
        result += character;
    }
    return result + '"';
}

} // namespace

void ready() { say("READY"); }

Observation::Observation(std::string_view observed) : line_{"{\"observed\":" + quoted(observed)} {}

Observation::~Observation() { say(line_ + '}'); }

Observation& Observation::with(std::string_view key, std::uint64_t number) {
    line_ += ',' + quoted(key) + ':' + std::to_string(number);
    return *this;
}

Observation& Observation::with(std::string_view key, int number) {
    line_ += ',' + quoted(key) + ':' + std::to_string(number);
    return *this;
}

Observation& Observation::with(std::string_view key, std::string_view text) {
    line_ += ',' + quoted(key) + ':' + quoted(text);
    return *this;
}

Observation& Observation::with(std::string_view key, const std::vector<std::string>& texts) {
    line_ += ',' + quoted(key) + ":[";
    for (const std::string& text : texts) {
        line_ += line_.back() == '[' ? quoted(text) : ',' + quoted(text);
    }
    line_ += ']';
    return *this;
}
