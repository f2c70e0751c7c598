// Many messages of every size, cheap to make and to compare: the same in every language.
#pragma once

#include "main.hpp"

// The master sends its messages, then the slave.
void flood(eshm::Endpoint& endpoint, const Arguments& arguments);
