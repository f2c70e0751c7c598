/*
 * An endpoint of ESHM 1.x: a stand-in that does to the bytes of a segment what a process of 1.0 or 1.2 does,
 * defects included. What the versions have in common is in endpoint.c; legacy_10.c and legacy_12.c are the
 * rest.
 */
#ifndef LEGACY_ENDPOINT_H
#define LEGACY_ENDPOINT_H

#include <pthread.h>
#include <stdbool.h>

#include "segment.h"

enum Role { MASTER = 0, SLAVE = 1, AUTO = 2 };

/* The errors of 1.x that are needed here. */
enum { OK = 0, SHM_CREATE = -2, SHM_ATTACH = -3, NO_DATA = -9, TIMEOUT = -10, STALE = -11, TOO_SMALL = -13 };

enum {
    /* Not 1.x's default, 100, but what its guide advises for slow machines: a test's processes may be
       starved. */
    STALE_THRESHOLD_MS = 500,
    RECONNECT_WAIT_MS = 5000,
    RECONNECT_RETRY_MS = 100,
    RECONNECT_ATTEMPTS = 50,
    INFINITE_MS = -1
};

typedef struct Endpoint {
    char name[256];
    enum Role role;
    bool creator;
    /* Guards `segment` against the thread that re-attaches. (1.x unmaps after a blind sleep instead.) */
    pthread_rwlock_t attached;
    Segment* segment; /* NULL: reconnecting */
    bool given_up;
    bool stopping;
    pthread_t thread;
    /* The write count that was found, or read, last: what differs from it is new. */
    uint64_t seen;
    bool has_baseline; /* 1.2 */
    /* 1.2: waits that a wake ended, and wakes that woke somebody. */
    uint64_t woken, woke;
} Endpoint;

/* Opens an endpoint: OK, or an error. */
int legacy_open(Endpoint* endpoint, enum Role role, const char* name);
void legacy_close(Endpoint* endpoint);
int legacy_write(Endpoint* endpoint, const void* data, uint32_t size);
/* The size, or an error; `buffer` has room for LEGACY_N bytes; 0 ms: does not wait. */
int legacy_read(Endpoint* endpoint, void* buffer, long timeout_ms);
/* Whether the peer's heartbeat moves: watches it for up to the stale threshold. */
bool legacy_peer_lives(Endpoint* endpoint);
double legacy_now_ms(void);
void legacy_sleep_us(long us);

/* ---- What the versions differ in ---- */

extern const uint32_t version_number;
/* What it fills in when it creates a segment, apart from what both do. */
void version_describe(Header* header);
/* Whether it attaches to what it finds. */
bool version_accepts(const Header* header);
/* After a write. */
void version_ring(Endpoint* endpoint, Channel* channel);
/* The count before the first read, and what becomes of it. `true`: `seen` has just been taken anew. */
bool version_takes_baseline(Endpoint* endpoint, uint64_t write_count);
/* After the slave has attached to another segment. */
void version_reattached(Endpoint* endpoint);
/* Lets time pass until there may be something new. The segment is locked by the caller. */
void version_wait(Endpoint* endpoint, Channel* channel);

#endif
