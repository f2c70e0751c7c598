/* Numbered messages, whose every byte can be checked: the same in every language. See ../../README.md. */
#ifndef LEGACY_PAYLOAD_H
#define LEGACY_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* Makes a message of up to `longest` bytes, which `bytes` has room for, and returns its length. */
uint32_t payload_make(uint64_t seed, uint64_t number, uint32_t longest, uint8_t* bytes);
/* Whether a message is whole; `number` is set to its number. */
bool payload_check(const uint8_t* bytes, uint32_t length, uint32_t longest, uint64_t* number);

#endif
