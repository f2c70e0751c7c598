// The scenario `ledger`: numbered traffic in both directions by processes that may be killed, each of which
// knows from its journal what its predecessors have done.
#pragma once

#include "main.hpp"

// Sends and receives until it is told to stop. Then it continues or leaves, as ordered.
void ledger(const Arguments& arguments);
