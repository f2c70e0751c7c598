// The scenario `commands`: one line on stdin is one call, answered by one observation.
#pragma once

#include "main.h"

// A command and what belongs to it: pointers into its line.
typedef struct Words {
    size_t count;
    const char** at;
} Words;

// Answers commands until stdin ends, then closes the endpoint.
void commands(const Arguments* arguments);

// Returns whether the command is this one.
bool is(const Words* words, const char* verb);

// A word, which may be missing from a line that is no command: that ends the process, as the next ones do.
const char* word(const Words* words, size_t index);
uint64_t number(const Words* words, size_t index);

// Hexadecimal. `-` stands for no bytes. To be discarded.
Bytes bytes(const Words* words, size_t index);
Bytes decode(const char* hexadecimal);
Bytes hex(const void* message, size_t size);

// Returns whether bytes are a C string. If not, reports that no segment has such a name.
bool is_name(const Bytes* name);

// Replaces what is open, and observes what was opened.
void observe_opened(ESHMHandle** endpoint, ESHMHandle* opened);

// Observes a message without releasing it.
void observe_content(const void* message, size_t size, uint64_t skipped, uint64_t generation);

// Reports the result of a call that returns no message.
void observe_result(int code);

// Reports the result of a receiving call that returned no message.
void observe_absence(int code);
