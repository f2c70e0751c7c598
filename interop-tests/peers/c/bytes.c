#include "bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void append_bytes(Bytes* bytes, const void* data, size_t size) {
    void* end = reserve(bytes, size);
    if (size > 0) {
        memcpy(end, data, size);
    }
    cut(bytes, bytes->size + size);
}

void append_string(Bytes* bytes, const char* string) { append_bytes(bytes, string, strlen(string)); }

void append_format(Bytes* bytes, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    const size_t size = (size_t)vsnprintf(NULL, 0, format, arguments);
    vsnprintf(reserve(bytes, size), size + 1, format, again);
    bytes->size += size;
    va_end(again);
    va_end(arguments);
}

void* reserve(Bytes* bytes, size_t more) {
    const size_t needed = bytes->size + more + 1; // The NUL, too.
    if (needed > bytes->capacity) {
        bytes->capacity = needed < 2 * bytes->capacity ? 2 * bytes->capacity : needed;
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data) {
            perror("peer");
            abort();
        }
    }
    return bytes->data + bytes->size;
}

void cut(Bytes* bytes, size_t size) {
    bytes->size = size;
    bytes->data[size] = '\0';
}

void discard(Bytes* bytes) {
    free(bytes->data);
    *bytes = (Bytes){0};
}
