/* A segment as ESHM 1.x defines it. 1.x ignores all bytes after these. */
#ifndef LEGACY_SEGMENT_H
#define LEGACY_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

enum { LEGACY_MAGIC = 0x4553484D, LEGACY_N = 4096 };

typedef struct Header {
    uint32_t magic;
    uint32_t version;
    uint64_t heartbeat[2]; /* of the master, of the slave; all pairs are in this order */
    int32_t pid[2];
    uint32_t alive[2];
    uint32_t stale_threshold;
    uint32_t master_generation;
    uint32_t features;    /* 1.2 */
    uint32_t layout_size; /* 1.2 */
    uint8_t padding[72];
} Header;

typedef struct Channel {
    uint32_t sequence;
    uint32_t data_size;
    uint8_t data[LEGACY_N];
    uint64_t write_count;
    uint64_t read_count;
    uint32_t wake_seq; /* 1.2 */
    uint32_t waiters;  /* 1.2 */
    uint8_t padding[96];
} Channel;

typedef struct Segment {
    Header header;
    Channel channel[2]; /* master to slave, slave to master */
} Segment;

_Static_assert(offsetof(Header, layout_size) == 52 && sizeof(Header) == 128, "the header");
_Static_assert(offsetof(Channel, write_count) == 4104 && sizeof(Channel) == 4224, "a channel");
_Static_assert(sizeof(Segment) == 8576, "a segment");

#endif
