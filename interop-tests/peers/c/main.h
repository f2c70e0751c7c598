// The command line that every peer has, the opening of an endpoint, and calls that fail.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eshm.h>

#include "bytes.h"

typedef struct Arguments {
    ESHMRole role;
    const char* name;
    const char* scenario;
    // The number of numbered messages that this side sends.
    uint64_t count;
    // The segment's data size in bytes, if one is given; a master's default is 4096, a slave's is what it
    // finds.
    bool has_size;
    size_t size;
    // The timeout of every wait, in milliseconds.
    uint32_t timeout;
    // The series of this side's numbered messages.
    uint64_t seed;
    // The queue capacity that `ledger` opens the endpoint with, in bytes; 0: that of the library.
    size_t queue;
    // The path of the journal of `ledger`.
    const char* journal;
} Arguments;

// "master", "slave" or "auto". False if it is none of these.
bool parse_role(const char* word, ESHMRole* role);

// Decimal. False if it is no number.
bool parse_number(const char* word, uint64_t* number);

// Opens an endpoint as the arguments say, and says so. Returns the number of the error if that fails.
int open_endpoint(const Arguments* arguments, ESHMHandle** endpoint);

// Reports that a call failed.
void observe_error(int code);

// Ends the process, after saying so, if a call failed.
void must(int code);

// Whether a call succeeded; not if it may succeed later: the queue is full, or the time did not suffice. Any
// other failure ends the process.
bool succeeded(int code);

// Whether a call brought something; not if there was nothing, in time or at all. Any other failure ends the
// process.
bool came(int code);

// Reads the latest value, which replaces what `value` holds, and tells how many were overwritten unread
// before it. Returns the number of the error if none came.
int read_value(ESHMHandle* endpoint, uint32_t timeout, Bytes* value, uint64_t* skipped);

// Returns the information about the peer and the segment.
ESHMInfo info(ESHMHandle* endpoint);

// An endpoint's role, and "master" or "slave".
ESHMRole role(ESHMHandle* endpoint);
const char* role_name(ESHMRole role);
const char* peer_state_name(enum ESHMPeerState state);
