#include "flood.h"

#include <inttypes.h>
#include <string.h>

#include "observe.h"
#include "payload.h"

// The number of messages that are sent one at a time, and then in a batch, alternately.
enum { RUN = 100 };
// The number of offsets in the block at which messages start.
static const size_t starts = 1 << 16;

// The messages of a series: slices of one block of pseudo-random bytes.
typedef struct Flood {
    uint64_t seed;
    size_t longest;
    Bytes block;
} Flood;

static Flood make(uint64_t seed, size_t longest) {
    Flood flood = {.seed = seed, .longest = longest};
    uint64_t state = seed;
    while (flood.block.size < longest + starts) {
        append(&flood.block, next(&state));
    }
    return flood;
}

static ESHMBuffer message(const Flood* flood, uint64_t number) {
    uint64_t state = flood->seed ^ number;
    const uint64_t word = next(&state);
    const size_t medium = flood->longest < 4096 ? flood->longest : 4096;
    size_t length = (word >> 12) % 65;
    if (number < 2) {
        length = number == 0 ? 0 : flood->longest;
    } else if (word % 4096 == 0) {
        length = (word >> 12) % (flood->longest + 1);
    } else if (word % 64 == 0) {
        length = (word >> 12) % (medium + 1);
    }
    return (ESHMBuffer){flood->block.data + (word >> 48), length};
}

static void expect(const Flood* flood, uint64_t number, const void* found, size_t size) {
    const ESHMBuffer expected = message(flood, number);
    if (size != expected.size || memcmp(found, expected.data, size) != 0) {
        broken("message %" PRIu64 " differs at byte %zu: %zu bytes, expected %zu", number,
               mismatch(found, size, expected.data, expected.size), size, expected.size);
    }
}

// Returns the first number of the run that contains `number`.
static uint64_t begin_of(uint64_t number) { return number - number % RUN; }

// Returns the number of messages in the run that begins with `first`, of `count` in all.
static size_t length_of(uint64_t first, uint64_t count) { return count - first < RUN ? count - first : RUN; }

// Returns whether the run that begins with `first` is sent as a batch.
static bool is_batch(uint64_t first) { return first / RUN % 2 == 1; }

static void send_messages(ESHMHandle* endpoint, const Arguments* arguments, const Flood* flood) {
    for (uint64_t first = 0; first < arguments->count; first += RUN) {
        const size_t length = length_of(first, arguments->count);
        ESHMBuffer messages[RUN];
        for (size_t index = 0; index < length; ++index) {
            messages[index] = message(flood, first + index);
        }
        if (is_batch(first)) {
            must(eshm_send_batch(endpoint, messages, length, NULL, ESHM_TIMEOUT_INFINITE));
            continue;
        }
        for (size_t index = 0; index < length; ++index) {
            must(eshm_send_ex(endpoint, messages[index].data, messages[index].size, arguments->timeout));
        }
    }
}

// Receives one message. Returns how many that were.
static size_t receive_one(ESHMHandle* endpoint, const Arguments* arguments, const Flood* flood,
                          uint64_t due) {
    const void* lent = NULL;
    size_t size = 0;
    if (!came(eshm_recv_borrow(endpoint, &lent, &size, arguments->timeout))) {
        return 0;
    }
    expect(flood, due, lent, size);
    must(eshm_release(endpoint));
    return 1;
}

// Receives up to `most` messages at once. Returns how many that were.
static size_t receive_batch(ESHMHandle* endpoint, const Arguments* arguments, const Flood* flood,
                            uint64_t due, size_t most, Bytes* room) {
    size_t sizes[RUN];
    size_t count = 0;
    const int code =
        eshm_recv_batch(endpoint, room->data, flood->longest, sizes, most, &count, arguments->timeout);
    if (!came(code)) {
        return 0;
    }
    const char* found = room->data;
    for (size_t index = 0; index < count; ++index) {
        expect(flood, due + index, found, sizes[index]);
        found += sizes[index];
    }
    return count;
}

static void receive_messages(ESHMHandle* endpoint, const Arguments* arguments, const Flood* flood) {
    Bytes room = {0};
    reserve(&room, flood->longest);
    uint64_t due = 0;
    while (due < arguments->count) {
        const uint64_t first = begin_of(due);
        const size_t most = length_of(first, arguments->count) - (due - first);
        const size_t count = is_batch(first) ? receive_batch(endpoint, arguments, flood, due, most, &room)
                                             : receive_one(endpoint, arguments, flood, due);
        if (count == 0) {
            broken("message %" PRIu64 " did not come", due);
        }
        due += count;
    }
    discard(&room);
}

void flood(ESHMHandle* endpoint, const Arguments* arguments) {
    Flood messages = make(arguments->seed, info(endpoint).max_message);
    if (role(endpoint) == ESHM_ROLE_MASTER) {
        send_messages(endpoint, arguments, &messages);
        receive_messages(endpoint, arguments, &messages);
    } else {
        receive_messages(endpoint, arguments, &messages);
        send_messages(endpoint, arguments, &messages);
    }
    discard(&messages.block);
    Bytes line = observation("done");
    with_number(&line, "sent", arguments->count);
    with_number(&line, "received", arguments->count);
    say(&line);
}
