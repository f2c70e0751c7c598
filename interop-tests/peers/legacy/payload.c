#include "payload.h"

#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 16 };

/* Returns the next word of the stream (SplitMix64). */
static uint64_t next(uint64_t* state) {
    *state += 0x9E3779B97F4A7C15u;
    uint64_t word = *state;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return word ^ (word >> 31);
}

/* Writes the first bytes of a word, little endian. */
static void put(uint8_t* bytes, uint64_t word, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(word >> (8 * i));
}

static uint64_t get(const uint8_t* bytes) {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

uint32_t payload_make(uint64_t seed, uint64_t number, uint32_t longest, uint8_t* bytes) {
    uint64_t state = seed;
    state = next(&state) ^ number;
    uint32_t length = SHORTEST + (uint32_t)(next(&state) % (longest - SHORTEST + 1));
    put(bytes, number, 8);
    put(bytes + 8, seed, 8);
    for (uint32_t at = SHORTEST; at < length; at += 8)
        put(bytes + at, next(&state), length - at < 8 ? length - at : 8);
    return length;
}

bool payload_check(const uint8_t* bytes, uint32_t length, uint32_t longest, uint64_t* number) {
    if (length < SHORTEST)
        return false;
    *number = get(bytes);
    uint8_t* expected = malloc(longest);
    bool whole = expected != NULL && payload_make(get(bytes + 8), *number, longest, expected) == length &&
                 memcmp(bytes, expected, length) == 0;
    free(expected);
    return whole;
}
