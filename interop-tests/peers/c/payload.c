#include "payload.h"

#include <inttypes.h>
#include <string.h>

#include "observe.h"

// The shortest numbered message: its number and its seed.
static const size_t shortest = 16;

static uint64_t word_at(const unsigned char* bytes) {
    uint64_t word = 0;
    for (int index = 0; index < 8; ++index) {
        word |= (uint64_t)bytes[index] << (8 * index);
    }
    return word;
}

uint64_t next(uint64_t* state) {
    *state += 0x9E3779B97F4A7C15;
    uint64_t word = *state;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
    return word ^ (word >> 31);
}

void append(Bytes* bytes, uint64_t word) {
    unsigned char little_endian[8];
    for (int index = 0; index < 8; ++index) {
        little_endian[index] = (unsigned char)(word >> (8 * index));
    }
    append_bytes(bytes, little_endian, sizeof little_endian);
}

Bytes payload(uint64_t seed, uint64_t number, size_t longest) {
    uint64_t state = seed;
    state = next(&state) ^ number;
    const size_t length = shortest + next(&state) % (longest - shortest + 1);
    Bytes bytes = {0};
    append(&bytes, number);
    append(&bytes, seed);
    while (bytes.size < length) {
        append(&bytes, next(&state));
    }
    cut(&bytes, length);
    return bytes;
}

Numbered check(const void* message, size_t size, size_t longest) {
    if (size < shortest) {
        broken("a numbered message has %zu bytes, expected %zu or more", size, shortest);
    }
    const unsigned char* bytes = message;
    const Numbered found = {word_at(bytes + 8), word_at(bytes)};
    Bytes expected = payload(found.seed, found.number, longest);
    if (size != expected.size || memcmp(message, expected.data, size) != 0) {
        broken("message %" PRIu64 " of series %" PRIu64 " is torn at byte %zu: %zu bytes, expected %zu",
               found.number, found.seed, mismatch(message, size, expected.data, expected.size), size,
               expected.size);
    }
    discard(&expected);
    return found;
}

size_t mismatch(const void* one, size_t one_size, const void* other, size_t other_size) {
    const unsigned char *left = one, *right = other;
    size_t at = 0;
    while (at < one_size && at < other_size && left[at] == right[at]) {
        ++at;
    }
    return at;
}
