// The scenario `ledger`: numbered traffic in both directions by processes that may be killed, each of which
// knows from its journal what its predecessors have done.
#pragma once

#include "main.h"

// Streams until it is told to stop; then goes on, or leaves.
void ledger(const Arguments* arguments);
