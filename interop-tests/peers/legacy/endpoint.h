/*
 * An endpoint of ESHM 1.x: a stand-in that changes the bytes of a segment as a process of 1.0 or 1.2 does,
 * defects included. endpoint.c has the code that the versions share, legacy_10.c and legacy_12.c that of
 * each.
 */
#ifndef LEGACY_ENDPOINT_H
#define LEGACY_ENDPOINT_H

#include <pthread.h>
#include <stdbool.h>

#include "segment.h"

enum Role { MASTER = 0, SLAVE = 1, AUTO = 2 };

/* The errors of 1.x that the stand-in returns. */
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
    /* Protects `segment` from the thread that re-attaches. (1.x has no lock: it sleeps before it unmaps.) */
    pthread_rwlock_t attached;
    Segment* segment; /* NULL: reconnecting */
    bool given_up;
    bool stopping;
    pthread_t thread;
    /* The write count at the last read. A value with another count is new. */
    uint64_t seen;
    bool has_baseline; /* 1.2 */
    /* 1.2: the number of waits that a wake ended, and of wakes that woke a thread. */
    uint64_t woken, woke;
} Endpoint;

/* Opens an endpoint. Returns OK or an error. */
int legacy_open(Endpoint* endpoint, enum Role role, const char* name);
void legacy_close(Endpoint* endpoint);
int legacy_write(Endpoint* endpoint, const void* data, uint32_t size);
/* Returns the size or an error. `buffer` has room for LEGACY_N bytes. 0 ms: does not wait. */
int legacy_read(Endpoint* endpoint, void* buffer, long timeout_ms);
/* Returns whether the peer's heartbeat changes within the stale threshold. */
bool legacy_peer_lives(Endpoint* endpoint);
double legacy_now_ms(void);
void legacy_sleep_us(long us);

/* ---- The differences between the versions ---- */

extern const uint32_t version_number;
/* Writes the fields of a new segment that only this version has. */
void version_describe(Header* header);
/* Returns whether this version attaches to the segment. */
bool version_accepts(const Header* header);
/* Is called after a write. */
void version_ring(Endpoint* endpoint, Channel* channel);
/* Sets the count before the first read. Returns true if it has set `seen` to the present count. */
bool version_takes_baseline(Endpoint* endpoint, uint64_t write_count);
/* Is called after the slave has attached to another segment. */
void version_reattached(Endpoint* endpoint);
/* Waits until there may be a new value. The caller has locked the segment. */
void version_wait(Endpoint* endpoint, Channel* channel);

#endif
