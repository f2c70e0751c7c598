// Many messages of every size, cheap to make and to compare: the same in every language.
#pragma once

#include "main.h"

// The master sends its messages, then the slave.
void flood(ESHMHandle* endpoint, const Arguments* arguments);
