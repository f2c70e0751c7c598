/* The code of ESHM 1.0: version 2, polling, and a baseline that skips the first value. */
#include "endpoint.h"

const uint32_t version_number = 2;

void version_describe(Header* header) { (void)header; }

bool version_accepts(const Header* header) { return header->magic == LEGACY_MAGIC; }

void version_ring(Endpoint* endpoint, Channel* channel) {
    (void)endpoint;
    (void)channel;
}

/* Sets the baseline again while it is 0, so the first value of a segment counts as old. */
bool version_takes_baseline(Endpoint* endpoint, uint64_t write_count) {
    if (endpoint->seen != 0)
        return false;
    endpoint->seen = write_count;
    return true;
}

/* Keeps the old count, so no value is new until the count of the new segment exceeds it. */
void version_reattached(Endpoint* endpoint) { (void)endpoint; }

void version_wait(Endpoint* endpoint, Channel* channel) {
    (void)endpoint;
    (void)channel;
    legacy_sleep_us(100);
}
