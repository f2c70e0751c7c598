// The output of a peer on stdout: `READY`, and one JSON object per observation.
#pragma once

#include <stdint.h>
#include <stdnoreturn.h>

#include "bytes.h"

// Something arrived that should not have, or did not: this side of the scenario did not hold. Says why, as
// printf would, and ends the process.
__attribute__((format(printf, 1, 2))) noreturn void broken(const char* reason, ...);

// Prints `READY`: the endpoint is attached.
void ready(void);

// Begins an observation, which is said by `say`:
// `Bytes line = observation("sent"); with_number(&line, "number", number); say(&line);`
Bytes observation(const char* observed);
void with_number(Bytes* line, const char* key, uint64_t number);
void with_code(Bytes* line, const char* key, int code);
void with_text(Bytes* line, const char* key, const char* text);
void with_texts(Bytes* line, const char* key, const Bytes* texts, size_t count);
void say(Bytes* line);

// Prints an observation that has no other keys.
void observe(const char* observed);
