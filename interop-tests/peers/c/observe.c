#include "observe.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// Writes a line with one write, so that a SIGKILL never leaves half of it.
static void say_line(Bytes* line) {
    append_string(line, "\n");
    if (fwrite(line->data, 1, line->size, stdout) != line->size || fflush(stdout) != 0) {
        exit(1); // The reader has closed the pipe.
    }
    discard(line);
}

static void append_quoted(Bytes* line, const char* text) {
    append_string(line, "\"");
    for (const char* at = text; *at; ++at) {
        const unsigned char byte = (unsigned char)*at;
        if (byte < 0x20) {
            append_format(line, "\\u%04x", (unsigned)byte);
            continue;
        }
        if (byte == '"' || byte == '\\') {
            append_string(line, "\\");
        }
        append_bytes(line, at, 1);
    }
    append_string(line, "\"");
}

static void append_key(Bytes* line, const char* key) {
    append_string(line, ",");
    append_quoted(line, key);
    append_string(line, ":");
}

noreturn void broken(const char* reason, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, reason);
    vsnprintf(text, sizeof text, reason, arguments);
    va_end(arguments);
    Bytes line = observation("failed");
    with_text(&line, "reason", text);
    say(&line);
    exit(1);
}

void ready(void) {
    Bytes line = {0};
    append_string(&line, "READY");
    say_line(&line);
}

Bytes observation(const char* observed) {
    Bytes line = {0};
    append_string(&line, "{\"observed\":");
    append_quoted(&line, observed);
    return line;
}

void with_number(Bytes* line, const char* key, uint64_t number) {
    append_key(line, key);
    append_format(line, "%" PRIu64, number);
}

void with_code(Bytes* line, const char* key, int code) {
    append_key(line, key);
    append_format(line, "%d", code);
}

void with_text(Bytes* line, const char* key, const char* text) {
    append_key(line, key);
    append_quoted(line, text);
}

void with_texts(Bytes* line, const char* key, const Bytes* texts, size_t count) {
    append_key(line, key);
    append_string(line, "[");
    for (size_t index = 0; index < count; ++index) {
        append_string(line, index > 0 ? "," : "");
        append_quoted(line, texts[index].data);
    }
    append_string(line, "]");
}

void say(Bytes* line) {
    append_string(line, "}");
    say_line(line);
}

void observe(const char* observed) {
    Bytes line = observation(observed);
    say(&line);
}
