// The scenario `commands`: one line on stdin is one call, answered by one observation.
#pragma once

#include "main.h"

// Answers commands until stdin ends, then closes the endpoint.
void commands(const Arguments* arguments);
