// Numbered, seeded messages whose every byte can be checked. Every language creates the same ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// The seed and the number of a message.
struct Numbered {
    std::uint64_t seed;
    std::uint64_t number;
};

// SplitMix64: the next word of the stream, and the state after it.
std::uint64_t next(std::uint64_t& state);

// Appends the word's bytes, the lowest first.
void append(std::string& bytes, std::uint64_t word);

// Message `number` of the series `seed`, 16 to `longest` bytes: both numbers, then pseudo-random bytes.
std::string payload(std::uint64_t seed, std::uint64_t number, std::size_t longest);

// What a message says it is, after comparing all of it with what that implies. Throws Broken.
Numbered check(std::string_view message, std::size_t longest);
