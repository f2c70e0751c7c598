// The commands of the life test: what a process can do to its endpoint besides plain calls.
#pragma once

#include "commands.h"

// What the process holds between two commands.
typedef struct Borrows {
    // A message that was received in place and not released; NULL if there is none.
    const void* held;
    size_t size;
    // Whether room for a message is lent, and filled.
    bool loan;
} Borrows;

// Answers a command of the life test; false if it is another one.
bool answer_life(Borrows* borrows, const Words* words, ESHMHandle** endpoint);
