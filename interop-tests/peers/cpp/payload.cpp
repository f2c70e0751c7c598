#include "payload.hpp"

#include <algorithm>

#include "observe.hpp"

namespace {

// The shortest numbered message: its number and its seed.
constexpr std::size_t shortest = 16;

std::uint64_t word_at(std::string_view bytes, std::size_t offset) {
    std::uint64_t word = 0;
    for (std::size_t index = 0; index < 8; ++index) {
        word |= std::uint64_t{static_cast<unsigned char>(bytes[offset + index])} << (8 * index);
    }
    return word;
}

} // namespace

std::uint64_t next(std::uint64_t& state) {
    state += 0x9E3779B97F4A7C15;
    std::uint64_t word = state;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
    return word ^ (word >> 31);
}

void append(std::string& bytes, std::uint64_t word) {
    for (int shift = 0; shift < 64; shift += 8) {
        bytes.push_back(static_cast<char>(word >> shift & 0xFF));
    }
}

std::string payload(std::uint64_t seed, std::uint64_t number, std::size_t longest) {
    std::uint64_t state = seed;
    state = next(state) ^ number;
    const std::size_t length = shortest + next(state) % (longest - shortest + 1);
    std::string bytes;
    bytes.reserve(length + 8);
    append(bytes, number);
    append(bytes, seed);
    while (bytes.size() < length) {
        append(bytes, next(state));
    }
    bytes.resize(length);
    return bytes;
}

Numbered check(std::string_view message, std::size_t longest) {
    if (message.size() < shortest) {
        throw Broken{"a numbered message has " + std::to_string(message.size()) + " bytes, expected " +
                     std::to_string(shortest) + " or more"};
    }
    const Numbered found{word_at(message, 8), word_at(message, 0)};
    const std::string expected = payload(found.seed, found.number, longest);
    if (message != expected) {
        const auto at = std::mismatch(message.begin(), message.end(), expected.begin(), expected.end());
        throw Broken{"message " + std::to_string(found.number) + " of series " + std::to_string(found.seed) +
                     " is torn at byte " + std::to_string(at.first - message.begin()) + ": " +
                     std::to_string(message.size()) + " bytes, expected " + std::to_string(expected.size())};
    }
    return found;
}
