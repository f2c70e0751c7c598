// The journal of a peer of the scenario `ledger`: a file that outlives its process.
#pragma once

#include <stdint.h>

// A word of the journal. The README explains each.
enum Word { INTENDED, SENT, RECEIVED, RELEASED, LIVES, VALUE, WORDS = 8 };

// The kind of a record of the numbers `from` to `to`.
enum Kind { DOUBTFUL = 1, MISSING, AGAIN, DUPLICATE };

// Eight words, then records. A word, or a record, is one `pwrite` within a page: a SIGKILL leaves all of it
// or nothing.
typedef struct Journal {
    int file;
    uint64_t words[WORDS];
    uint64_t end;
} Journal;

// Opens the journal, or begins it. Ends the process if that fails, as do all.
Journal open_journal(const char* path);
void close_journal(Journal* journal);

void set(Journal* journal, enum Word word, uint64_t value);
void record(Journal* journal, enum Kind kind, uint64_t from, uint64_t to);
