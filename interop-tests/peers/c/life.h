// The commands of the life test: everything besides plain calls that a process can do with its endpoint.
#pragma once

#include "commands.h"

// The message and the loan that the process has borrowed between two commands.
typedef struct Borrows {
    // A message that was received in place and not released; NULL if there is none.
    const void* held;
    size_t size;
    // Whether a loan is open. Its message is written already.
    bool loan;
} Borrows;

// Answers a command of the life test. Returns false for another command.
bool answer_life(Borrows* borrows, const Words* words, ESHMHandle** endpoint);
