// Numbered, seeded messages whose every byte can be checked. Every language creates the same ones.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

// The seed and the number of a message.
typedef struct Numbered {
    uint64_t seed;
    uint64_t number;
} Numbered;

// SplitMix64: the next word of the stream, and the state after it.
uint64_t next(uint64_t* state);

// Appends the word's bytes, the lowest first.
void append(Bytes* bytes, uint64_t word);

// Message `number` of the series `seed`, 16 to `longest` bytes: both numbers, then pseudo-random bytes. To be
// discarded.
Bytes payload(uint64_t seed, uint64_t number, size_t longest);

// What a message says it is, after comparing all of it with what that implies; ends the process if they
// differ.
Numbered check(const void* message, size_t size, size_t longest);

// The first byte at which two messages differ, or the end of the shorter one.
size_t mismatch(const void* one, size_t one_size, const void* other, size_t other_size);
