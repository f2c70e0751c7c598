// A growing byte buffer, as std::string is for the C++ peer.
#pragma once

#include <stddef.h>

// As many bytes as were appended, and a NUL behind them that does not count. Zero-initialised it is empty;
// `discard` frees it.
typedef struct Bytes {
    char* data;
    size_t size;
    size_t capacity;
} Bytes;

// Appends `size` bytes.
void append_bytes(Bytes* bytes, const void* data, size_t size);

// Appends a string, without its NUL.
void append_string(Bytes* bytes, const char* string);

// Appends what printf would print.
__attribute__((format(printf, 2, 3))) void append_format(Bytes* bytes, const char* format, ...);

// Reserves `more` bytes, and returns them. `cut` then sets the number of bytes in use.
void* reserve(Bytes* bytes, size_t more);

// Makes the first `size` bytes all there are.
void cut(Bytes* bytes, size_t size);

// Frees the bytes; none are left.
void discard(Bytes* bytes);
