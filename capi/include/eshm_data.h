/*
 * The layout of a segment, for programs that inspect its bytes. Other programs need eshm.h alone.
 *
 * This describes segments whose data size is ESHM_MAX_DATA_SIZE. Fields are written by other processes at any
 * time: read them with atomic operations. protocol/PROTOCOL.md says which process writes which field, and
 * when.
 */
#ifndef ESHM_DATA_H
#define ESHM_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "eshm_config.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ESHM_MAGIC 0x4553484Du
/* The version of segments whose writers wake their readers, and of those of ESHM 1.0. */
#define ESHM_VERSION_WAKING 3u
#define ESHM_VERSION_POLLING 2u
/* A bit of ESHMHeader.features: the writers wake parked readers. */
#define ESHM_FEATURE_WAKES 1u

#if defined(__cplusplus)
#define ESHM_STATIC_ASSERT(condition, name) static_assert(condition, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define ESHM_STATIC_ASSERT(condition, name) _Static_assert(condition, #name)
#else
#define ESHM_STATIC_ASSERT(condition, name) typedef char eshm_assert_##name[(condition) ? 1 : -1]
#endif
#define ESHM_CACHE_LINE __attribute__((aligned(64)))

/* The first 128 bytes. From `extension` on it is zero in ESHM 1.x. */
typedef struct ESHM_CACHE_LINE ESHMHeader {
    uint32_t magic;
    uint32_t version;
    uint64_t master_heartbeat; /* +1 every heartbeat interval */
    uint64_t slave_heartbeat;
    int32_t master_pid;
    int32_t slave_pid;
    uint32_t master_alive; /* 1 from attach to clean close */
    uint32_t slave_alive;
    uint32_t stale_threshold;   /* milliseconds */
    uint32_t master_generation; /* +1 per master that starts */
    uint32_t features;
    uint32_t layout_size; /* sizeof(ESHMData) */
    uint32_t extension;   /* 1: the fields below are valid */
    uint32_t data_size;   /* ESHM_MAX_DATA_SIZE */
    uint32_t master_capabilities;
    uint32_t slave_capabilities;
    int32_t master_signature; /* the pid of the endpoint that wrote the capabilities */
    int32_t slave_signature;
    uint32_t slave_generation; /* +1 per slave that attaches, those of ESHM 1.x excepted */
    uint32_t queue_slots;      /* 0: no queues */
    uint64_t queue_offset;
    uint64_t queue_capacity;
    uint32_t slave_stale_threshold; /* milliseconds; 0: the slave does not say */
    uint32_t reserved[5];
} ESHMHeader;

/* One direction. */
typedef struct ESHM_CACHE_LINE ESHMChannel {
    uint32_t sequence;  /* odd while a value is being written */
    uint32_t data_size; /* bytes of the current value */
    uint8_t data[ESHM_MAX_DATA_SIZE];
    uint64_t write_count;   /* +1 per value */
    uint64_t read_count;    /* +1 per read */
    uint32_t wake_seq;      /* futex word, +1 per value */
    uint32_t waiters;       /* readers parked on wake_seq */
    uint32_t unused[8];     /* zero */
    uint32_t taken;         /* the sequence of the last value that was read; not of ESHM 1.x */
    uint32_t taken_waiters; /* writers parked on taken; not of ESHM 1.x */
    uint32_t reserved[4];
} ESHMChannel;

/* A segment, up to its queues. */
typedef struct ESHMData {
    ESHMHeader header;
    ESHMChannel master_to_slave;
    ESHMChannel slave_to_master;
} ESHMData;

ESHM_STATIC_ASSERT(sizeof(ESHMHeader) == 128, header_size);
ESHM_STATIC_ASSERT(offsetof(ESHMHeader, layout_size) == 52, header_of_1x);
ESHM_STATIC_ASSERT(offsetof(ESHMHeader, reserved) == 108, header_end);
ESHM_STATIC_ASSERT(offsetof(ESHMChannel, data) == 8, channel_data);
ESHM_STATIC_ASSERT(offsetof(ESHMChannel, write_count) == (8 + ESHM_MAX_DATA_SIZE + 7) / 8 * 8, channel_tail);
ESHM_STATIC_ASSERT(sizeof(ESHMChannel) == (offsetof(ESHMChannel, write_count) + 80 + 63) / 64 * 64,
                   channel_size);
ESHM_STATIC_ASSERT(sizeof(ESHMData) == 128 + 2 * sizeof(ESHMChannel), data_size);
#if ESHM_MAX_DATA_SIZE == 4096
ESHM_STATIC_ASSERT(sizeof(ESHMData) == 8576, data_size_of_1x);
#endif

#ifdef __cplusplus
}
#endif

#endif
