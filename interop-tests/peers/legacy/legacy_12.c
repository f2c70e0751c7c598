/* The code of ESHM 1.2: version 3, the size of the layout, and waits on a futex. */
#include "endpoint.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPINS = 1000, LONGEST_WAIT_MS = 50 };

const uint32_t version_number = 3;

void version_describe(Header* header) {
    header->features = 1;
    header->layout_size = sizeof(Segment);
}

bool version_accepts(const Header* header) {
    return header->magic == LEGACY_MAGIC && header->version == version_number &&
           header->layout_size == sizeof(Segment);
}

void version_ring(Endpoint* endpoint, Channel* channel) {
    __atomic_fetch_add(&channel->wake_seq, 1, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&channel->waiters, __ATOMIC_RELAXED) != 0 &&
        syscall(SYS_futex, &channel->wake_seq, FUTEX_WAKE, 1 << 30, NULL, NULL, 0) > 0)
        endpoint->woke++;
}

bool version_takes_baseline(Endpoint* endpoint, uint64_t write_count) {
    if (endpoint->has_baseline)
        return false;
    endpoint->has_baseline = true;
    endpoint->seen = write_count;
    return true;
}

void version_reattached(Endpoint* endpoint) { endpoint->has_baseline = false; }

void version_wait(Endpoint* endpoint, Channel* channel) {
    for (int spin = 0; spin < SPINS; spin++)
        if (__atomic_load_n(&channel->write_count, __ATOMIC_ACQUIRE) > endpoint->seen)
            return;
    uint32_t sample = __atomic_load_n(&channel->wake_seq, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&channel->write_count, __ATOMIC_ACQUIRE) > endpoint->seen)
        return;
    struct timespec time = {0, LONGEST_WAIT_MS * 1000000L};
    __atomic_fetch_add(&channel->waiters, 1, __ATOMIC_SEQ_CST);
    if (syscall(SYS_futex, &channel->wake_seq, FUTEX_WAIT, sample, &time, NULL, 0) == 0)
        endpoint->woken++;
    __atomic_fetch_sub(&channel->waiters, 1, __ATOMIC_SEQ_CST);
}
