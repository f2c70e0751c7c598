// Many messages of every size that are cheap to create and to compare. Every language creates the same ones.
#pragma once

#include "main.hpp"

// The master sends its messages first, then the slave.
void flood(Endpoint& endpoint, const Arguments& arguments);
