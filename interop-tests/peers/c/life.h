// The commands of the life test: what a process can do to its endpoint besides plain calls.
#pragma once

#include "commands.h"

// What the process holds between two commands.
typedef struct Hands {
    // A message that was received in place and not released; NULL if there is none.
    const void* held;
    size_t size;
    // Whether room for a message is lent, and filled.
    bool loan;
} Hands;

// Answers a command of the life test; false if it is another one.
bool answer_life(Hands* hands, const Words* words, ESHMHandle** endpoint);
