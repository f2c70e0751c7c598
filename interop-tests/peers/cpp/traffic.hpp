// The scenarios with continuous traffic.
#pragma once

#include "main.hpp"

// The master sends numbered messages and expects each back; the slave sends each back.
void echo(Endpoint& endpoint, const Arguments& arguments);

// The master writes values as fast as it can while the slave reads. Then they swap.
void latest_value(Endpoint& endpoint, const Arguments& arguments);

// Both sides send and receive at once.
void both_directions(Endpoint& endpoint, const Arguments& arguments);

// Both sides send and receive at once, and say so message by message, until a line or the end of stdin asks
// them to stop: then each sends an empty message, and leaves when it has had the other's.
void stream(Endpoint& endpoint, const Arguments& arguments);
