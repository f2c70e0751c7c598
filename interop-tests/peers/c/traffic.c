#include "traffic.h"

#include <inttypes.h>
#include <sched.h>
#include <time.h>

#include <poll.h>
#include <unistd.h>

#include "observe.h"
#include "payload.h"

// The number of values that are written between two reads of `latest-value`.
static const uint64_t pace = 100;
// How many milliseconds one side of `both-directions` or `stream` waits for one message before it does its
// other work.
static const uint32_t turn = 1;

static void expect(uint64_t found, uint64_t expected) {
    if (found != expected) {
        broken("message %" PRIu64 " came, expected %" PRIu64, found, expected);
    }
}

static void done(uint64_t sent, uint64_t received) {
    Bytes line = observation("done");
    with_number(&line, "sent", sent);
    with_number(&line, "received", received);
    say(&line);
}

// Returns how many values the peer has written.
static uint64_t written(ESHMHandle* endpoint) {
    ESHMStats stats;
    must(eshm_get_stats(endpoint, &stats));
    return role(endpoint) == ESHM_ROLE_MASTER ? stats.s2m_write_count : stats.m2s_write_count;
}

static void write_values(ESHMHandle* endpoint, const Arguments* arguments) {
    const size_t longest = info(endpoint).data_size;
    for (uint64_t number = 0; number < arguments->count; ++number) {
        Bytes value = payload(arguments->seed, number, longest);
        must(eshm_write(endpoint, value.data, value.size));
        discard(&value);
    }
    Bytes line = observation("written");
    with_number(&line, "count", arguments->count);
    say(&line);
}

// Of a clock that is never set.
static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// Waits until so many values have been written that `pace` of them follow value `number`, or all.
static void let_pass(ESHMHandle* endpoint, const Arguments* arguments, uint64_t number) {
    const uint64_t enough = number + 1 + pace < arguments->count ? number + 1 + pace : arguments->count;
    const uint64_t deadline = now_ms() + arguments->timeout;
    while (written(endpoint) < enough) {
        if (now_ms() >= deadline) {
            broken("nothing was written after value %" PRIu64, number);
        }
        sched_yield();
    }
}

// Reads until the last value, letting at least `pace` values be written from one read to the next.
static void read_values(ESHMHandle* endpoint, const Arguments* arguments) {
    const size_t longest = info(endpoint).data_size;
    Bytes value = {0};
    uint64_t number = 0;
    do {
        uint64_t skipped = 0;
        if (!came(read_value(endpoint, arguments->timeout, &value, &skipped))) {
            broken("no value came");
        }
        number = check(value.data, value.size, longest).number;
        Bytes line = observation("value");
        with_number(&line, "number", number);
        with_number(&line, "skipped", skipped);
        say(&line);
        let_pass(endpoint, arguments, number);
    } while (number + 1 < arguments->count);
    discard(&value);
}

// Returns whether the message was sent. It is not if the previous one is unread, or the master is gone.
static bool try_send(ESHMHandle* endpoint, const Bytes* message) {
    return succeeded(eshm_send_ex(endpoint, message->data, message->size, 0));
}

// The same for message `number` of this side.
static bool try_send_numbered(ESHMHandle* endpoint, const Arguments* arguments, uint64_t number,
                              size_t longest) {
    Bytes message = payload(arguments->seed, number, longest);
    const bool sent = try_send(endpoint, &message);
    discard(&message);
    return sent;
}

// Returns, without waiting, whether stdin has a line or has ended.
static bool stop(void) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    return poll(&input, 1, 0) > 0;
}

void echo(ESHMHandle* endpoint, const Arguments* arguments) {
    const bool is_master = role(endpoint) == ESHM_ROLE_MASTER;
    const size_t longest = info(endpoint).data_size;
    for (uint64_t number = 0; number < arguments->count; ++number) {
        if (is_master) {
            Bytes message = payload(arguments->seed, number, longest);
            must(eshm_send_ex(endpoint, message.data, message.size, arguments->timeout));
            discard(&message);
        }
        const void* lent = NULL;
        size_t size = 0;
        if (!came(eshm_recv_borrow(endpoint, &lent, &size, arguments->timeout))) {
            broken("message %" PRIu64 " did not come", number);
        }
        expect(check(lent, size, longest).number, number);
        if (!is_master) {
            must(eshm_send_ex(endpoint, lent, size, arguments->timeout));
        }
        must(eshm_release(endpoint));
    }
    done(arguments->count, arguments->count);
}

void latest_value(ESHMHandle* endpoint, const Arguments* arguments) {
    must(eshm_wait_for_peer(endpoint, arguments->timeout));
    if (role(endpoint) == ESHM_ROLE_SLAVE) {
        read_values(endpoint, arguments);
        write_values(endpoint, arguments);
    } else {
        write_values(endpoint, arguments);
        read_values(endpoint, arguments);
    }
}

void both_directions(ESHMHandle* endpoint, const Arguments* arguments) {
    const size_t longest = info(endpoint).data_size;
    uint64_t sent = 0;
    uint64_t received = 0;
    while (sent < arguments->count || received < arguments->count) {
        if (sent < arguments->count && try_send_numbered(endpoint, arguments, sent, longest)) {
            ++sent;
        }
        const void* lent = NULL;
        size_t size = 0;
        if (received < arguments->count && came(eshm_recv_borrow(endpoint, &lent, &size, turn))) {
            expect(check(lent, size, longest).number, received);
            must(eshm_release(endpoint));
            ++received;
        }
    }
    done(sent, received);
}

// The state of `stream`.
typedef struct Streaming {
    uint64_t sent;
    uint64_t received;
    bool end_sent;
    bool end_received;
    // An ESHMPeerState, or -1: none was said yet.
    int last_state;
} Streaming;

static void say_peer_state(ESHMHandle* endpoint, Streaming* streaming) {
    const enum ESHMPeerState state = info(endpoint).peer_state;
    if (streaming->last_state != (int)state) {
        streaming->last_state = (int)state;
        Bytes line = observation("peer");
        with_text(&line, "state", peer_state_name(state));
        say(&line);
    }
}

static void stream_out(ESHMHandle* endpoint, const Arguments* arguments, size_t longest,
                       Streaming* streaming) {
    if (stop()) {
        streaming->end_sent = try_send(endpoint, &(Bytes){0});
        if (streaming->end_sent) {
            observe("end-sent");
        }
    } else if (try_send_numbered(endpoint, arguments, streaming->sent, longest)) {
        Bytes line = observation("sent");
        with_number(&line, "number", streaming->sent);
        say(&line);
        ++streaming->sent;
    }
}

static void stream_in(ESHMHandle* endpoint, size_t longest, Streaming* streaming) {
    const void* lent = NULL;
    size_t size = 0;
    if (!came(eshm_recv_borrow(endpoint, &lent, &size, turn))) {
        return;
    }
    // Released before it is reported, so that a killed process never leaves a reported message in the queue.
    Bytes message = {0};
    append_bytes(&message, lent, size);
    const uint64_t generation = info(endpoint).generation;
    must(eshm_release(endpoint));
    if (message.size == 0) {
        streaming->end_received = true;
        observe("end-received");
    } else {
        const Numbered found = check(message.data, message.size, longest);
        Bytes line = observation("received");
        with_number(&line, "seed", found.seed);
        with_number(&line, "number", found.number);
        with_number(&line, "generation", generation);
        say(&line);
        ++streaming->received;
    }
    discard(&message);
}

void stream(ESHMHandle* endpoint, const Arguments* arguments) {
    const size_t longest = info(endpoint).data_size;
    Streaming streaming = {.last_state = -1};
    while (!streaming.end_sent || !streaming.end_received) {
        say_peer_state(endpoint, &streaming);
        if (!streaming.end_sent) {
            stream_out(endpoint, arguments, longest, &streaming);
        }
        if (streaming.end_sent && streaming.end_received) {
            break; // The other side may have left, and a receive would say so.
        }
        stream_in(endpoint, longest, &streaming);
    }
    done(streaming.sent, streaming.received);
}
