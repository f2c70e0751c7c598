// The ways of waiting, and the rule of `adaptive` in C.
#pragma once

#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EAGER_POLLS = 2000, FEWEST_POLLS = 50, MOST_POLLS = 3000, PARK_MS = 50, YIELD_US = 20 };
// The rule of `adaptive`, with the names and values of core/src/wait/backoff/adaptive/mod.rs; times in us.
enum { POLLS_PER_YIELD = 200, SPIN = 20, LONG_SPIN = 100, BUSY_YIELDS = 4, LOST_YIELD = 500 };
static const double idle_yield = 1.25;
enum { FIRST_REST = 16, MOST_RESTS = 3, PROBATION = 25 * 1000, SCORE_LIMIT = 8, TRIAL = 32 };

// One direction. `processor` is only for the column "together": no way of waiting reads it.
struct line {
    _Alignas(128) _Atomic uint32_t mark;
    _Atomic int processor;
    _Alignas(128) _Atomic uint32_t parked;
};

struct score {
    int value, refused;
};

// One end. Only its own process changes it.
struct end {
    _Alignas(128) const struct way* way;
    struct line *in, *out;
    int socket, bell_in, bell_out;                    // a bell is a descriptor from which a parked end reads
    uint32_t sent, received, sent_since, woken_since; // "since": since the last wait
    int polls;
    struct score spins, long_spins;
    bool on_trial;
    double rest_until;
    int rests;
    unsigned long yields, parks;
};

struct way {
    const char* name;
    void (*wait)(struct end*);
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec * 1e-3;
}

static bool there(struct end* end) {
    return atomic_load_explicit(&end->in->mark, memory_order_acquire) == end->received + 1;
}

static bool poll_for(struct end* end, int polls) {
    for (int i = 0; i < polls; i++) {
        if (there(end))
            return true;
        if (i >= EAGER_POLLS)
            __builtin_ia32_pause();
    }
    return false;
}

static void yield_now(struct end* end) {
    end->yields++;
    sched_yield();
}

static void park(struct end* end) {
    const struct timespec slice = {.tv_nsec = PARK_MS * 1000 * 1000};
    while (!there(end)) {
        end->parks++;
        atomic_fetch_add(&end->in->parked, 1);
        if (!there(end))
            syscall(SYS_futex, &end->in->mark, FUTEX_WAIT, end->received, &slice, NULL, 0);
        atomic_fetch_sub(&end->in->parked, 1);
    }
}

// As `park`, but the end sleeps in a read from its bell.
static void park_at_bell(struct end* end) {
    uint64_t ring;
    while (!there(end)) {
        uint32_t parked = 1;
        end->parks++;
        atomic_store(&end->in->parked, 1);
        // If the count is taken back in time, no ring comes.
        if (there(end) && atomic_compare_exchange_strong(&end->in->parked, &parked, 0))
            return;
        if (read(end->bell_in, &ring, sizeof ring) != sizeof ring)
            _exit(1);
    }
}

static void ring_bell(struct end* end) {
    const uint64_t ring = 1;
    if (atomic_exchange(&end->out->parked, 0) == 0)
        return;
    end->woken_since++;
    if (write(end->bell_out, &ring, sizeof ring) != sizeof ring)
        _exit(1);
}

static void park_at_socket(struct end* end) { park_at_bell(end); }

static void park_at_eventfd(struct end* end) { park_at_bell(end); }

static void wait_by_spin(struct end* end) {
    while (!there(end)) {
    }
}

static void wait_by_spin_then_park(struct end* end) {
    if (there(end))
        return;
    bool found = poll_for(end, end->polls);
    int polls = found ? end->polls * 2 : end->polls / 2;
    end->polls = polls > MOST_POLLS ? MOST_POLLS : polls < FEWEST_POLLS ? FEWEST_POLLS : polls;
    if (!found)
        park(end);
}

static void wait_by_yield(struct end* end) {
    if (poll_for(end, EAGER_POLLS))
        return;
    for (double began = now(); now() - began < YIELD_US;) {
        yield_now(end);
        if (there(end))
            return;
    }
    park(end);
}

static bool pays(struct score* score) {
    return score->value >= 0 || (score->refused = (score->refused + 1) % TRIAL) == 0;
}

static void record(struct score* score, bool paid) {
    score->value += paid && score->value < SCORE_LIMIT ? 1 : !paid && score->value > -SCORE_LIMIT ? -1 : 0;
}

// Returns whether this end has woken its peer since the last wait, and ends the trial of a long spin.
static bool note(struct end* end) {
    if (end->on_trial)
        record(&end->long_spins, end->sent_since > end->woken_since);
    bool woke = end->woken_since > 0;
    end->on_trial = false;
    end->sent_since = end->woken_since = 0;
    return woke;
}

static int rest_factor(const struct end* end) { return FIRST_REST << (2 * end->rests); }

static bool rests(struct end* end, double time) {
    if (time < end->rest_until)
        return true;
    if (end->rests > 0 && time - end->rest_until > (double)PROBATION * rest_factor(end) / FIRST_REST) {
        end->rests--;
        end->rest_until = time;
    }
    return false;
}

// Yields and polls until the mark is there, or until it is time to park.
static bool offer(struct end* end) {
    bool woke = note(end), found;
    double yielded = now(), idle = 0;
    if (rests(end, yielded))
        return false;
    bool lengthy = woke && pays(&end->long_spins), brief = !lengthy && pays(&end->spins);
    double limit = lengthy ? LONG_SPIN : brief ? SPIN : 0;
    for (int busy = 0; busy < BUSY_YIELDS;) {
        double began = yielded;
        yield_now(end);
        yielded = now();
        double took = yielded - began;
        found = there(end);
        if (took > LOST_YIELD) {
            end->rest_until = yielded + took * rest_factor(end);
            if (end->rests < MOST_RESTS)
                end->rests++;
            return found;
        }
        if (took > idle_yield) {
            if (found)
                return true;
            busy++;
            continue;
        }
        found = found || poll_for(end, POLLS_PER_YIELD);
        yielded = now();
        idle += yielded - began;
        if (!found && idle < limit)
            continue;
        if (found)
            end->polls = EAGER_POLLS;
        if (brief)
            record(&end->spins, found);
        if (lengthy && found)
            end->on_trial = true;
        if (lengthy && !found)
            record(&end->long_spins, false);
        return found;
    }
    return false;
}

static void wait_adaptively(struct end* end) {
    if (poll_for(end, end->polls))
        return;
    end->polls = end->polls / 2 < FEWEST_POLLS ? FEWEST_POLLS : end->polls / 2;
    if (!offer(end))
        park(end);
}

static void wait_on_socket(struct end* end) {
    char bytes[56];
    if (read(end->socket, bytes, sizeof bytes) != sizeof bytes)
        _exit(1);
}

static const struct way ways[] = {
    {"socket", wait_on_socket},
    {"park", park},
    {"spin", wait_by_spin},
    {"spin_then_park", wait_by_spin_then_park},
    {"yield", wait_by_yield},
    {"adaptive", wait_adaptively},
    {"park_at_socket", park_at_socket},
    {"park_at_eventfd", park_at_eventfd},
};

static void receive(struct end* end) {
    end->way->wait(end);
    end->received++;
}

static void send_mark(struct end* end) {
    end->sent_since++;
    end->out->processor = sched_getcpu();
    if (end->way->wait == wait_on_socket) {
        static const char bytes[56];
        if (write(end->socket, bytes, sizeof bytes) != sizeof bytes)
            _exit(1);
        return;
    }
    atomic_store(&end->out->mark, ++end->sent);
    if (end->way->wait == park_at_socket || end->way->wait == park_at_eventfd) {
        ring_bell(end);
        return;
    }
    if (atomic_load(&end->out->parked) == 0)
        return;
    end->woken_since++;
    syscall(SYS_futex, &end->out->mark, FUTEX_WAKE, 1, NULL, NULL, 0);
}
