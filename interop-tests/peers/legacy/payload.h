/* Numbered messages. Each byte can be checked. The same in every language: see ../../README.md. */
#ifndef LEGACY_PAYLOAD_H
#define LEGACY_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* Writes a message of up to `longest` bytes to `bytes`, and returns its length. */
uint32_t payload_make(uint64_t seed, uint64_t number, uint32_t longest, uint8_t* bytes);
/* Returns whether a message is complete. Sets `number` to its number. */
bool payload_check(const uint8_t* bytes, uint32_t length, uint32_t longest, uint64_t* number);

#endif
