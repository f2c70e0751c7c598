/*
 * ESHM: messages between processes of one Linux machine, through shared memory. C99 and C++17.
 *
 * Two processes join a segment by its name, one as master, one as slave. Each direction carries
 *
 *   - a mailbox, eshm_write and eshm_read, as in ESHM 1.x: the latest value wins;
 *   - messages, eshm_send and eshm_recv: each one, once, in order, none lost.
 *
 *     ESHMConfig config = eshm_default_config("robot");
 *     config.role = ESHM_ROLE_MASTER;
 *     ESHMHandle* robot = eshm_init(&config);
 *     if (!robot) { fprintf(stderr, "%s\n", eshm_last_error()); return 1; }
 *     eshm_write(robot, "pose 1 2 3", 11);
 *     eshm_destroy(robot);
 *
 * Functions that return int return ESHM_SUCCESS or a negative ESHMError (eshm_read returns a size); the text
 * of the error is to be had from eshm_last_error. NULL where a pointer is needed is ESHM_ERROR_INVALID_PARAM,
 * a handle that was destroyed, or never was one, is ESHM_ERROR_NOT_INITIALIZED.
 *
 * Any thread may call anything: one thread writes and sends at a time, and one reads and receives at a time;
 * the others wait their turn. Writing never waits for reading, nor the other way round. eshm_destroy ends the
 * calls that wait in other threads.
 *
 * A timeout is in milliseconds; 0: do not wait; ESHM_TIMEOUT_INFINITE: as long as it takes.
 *
 * In a forked child every handle of the parent fails with ESHM_ERROR_FORKED; eshm_destroy and eshm_close
 * there leave the parent's endpoint alone.
 */
#ifndef ESHM_H
#define ESHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "eshm_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what the libraries show. */
#define ESHM_API __attribute__((visibility("default")))

/* One end of a segment. */
typedef struct ESHMHandle ESHMHandle;

enum ESHMRole {
    ESHM_ROLE_MASTER = 0, /* creates the segment, or takes it over from a dead master */
    ESHM_ROLE_SLAVE = 1,  /* attaches to it */
    ESHM_ROLE_AUTO = 2    /* slave where a live master is, master otherwise */
};
typedef enum ESHMRole ESHMRole;

/* What to do when the peer's heartbeat has stood still for stale_threshold_ms. */
enum ESHMDisconnectBehavior {
    ESHM_DISCONNECT_IMMEDIATELY = 0, /* give it up */
    ESHM_DISCONNECT_ON_TIMEOUT = 1,  /* see reconnect_wait_ms and max_reconnect_attempts */
    ESHM_DISCONNECT_NEVER = 2        /* look for it, and wait for it, without end */
};
typedef enum ESHMDisconnectBehavior ESHMDisconnectBehavior;

/* How eshm_read waits. */
enum ESHMWakeupMode {
    ESHM_WAKEUP_PUSH = 0, /* until the writer wakes it (a 1.0 writer does not: then as POLL) */
    ESHM_WAKEUP_POLL = 1  /* looks every 100 microseconds, and costs the writer nothing */
};
typedef enum ESHMWakeupMode ESHMWakeupMode;

enum ESHMError {
    ESHM_SUCCESS = 0,
    ESHM_ERROR_INVALID_PARAM = -1,
    ESHM_ERROR_SHM_CREATE = -2,
    ESHM_ERROR_SHM_ATTACH = -3,
    ESHM_ERROR_SHM_DETACH = -4,
    ESHM_ERROR_SHM_DELETE = -5,
    ESHM_ERROR_MUTEX_INIT = -6,
    ESHM_ERROR_MUTEX_LOCK = -7,
    ESHM_ERROR_MUTEX_UNLOCK = -8,
    ESHM_ERROR_NO_DATA = -9,
    ESHM_ERROR_TIMEOUT = -10,
    ESHM_ERROR_MASTER_STALE = -11,
    ESHM_ERROR_BUFFER_FULL = -12,
    ESHM_ERROR_BUFFER_TOO_SMALL = -13,
    ESHM_ERROR_NOT_INITIALIZED = -14,
    ESHM_ERROR_ROLE_MISMATCH = -15, /* the role is taken by a live process */
    /* Not of ESHM 1.x: */
    ESHM_ERROR_PEER_CLOSED = -16, /* the peer left, and all that it sent was received */
    ESHM_ERROR_CORRUPT = -17,     /* the peer wrote what the protocol forbids */
    ESHM_ERROR_FORKED = -18,      /* the handle belongs to the parent of this process */
    ESHM_ERROR_DISPLACED = -19,   /* the segment's file was removed, and another segment has its name */
    ESHM_ERROR_INTERNAL = -99     /* a defect of this library */
};
typedef enum ESHMError ESHMError;

/*
 * reconnect_wait_ms and max_reconnect_attempts limit how long a slave of eshm_init searches for a master.
 * With eshm_init_ex they limit how long its calls without a timeout wait; the search goes on as long as it is
 * open, unless ESHMConfigEx.give_up is set.
 */
typedef struct ESHMConfig {
    /* 1 to 250 bytes of UTF-8 without ".."; '/' becomes '_', but not in eshm_init_ex. With another prefix
     * than eshm_, as many bytes as it leaves of 255. */
    const char* shm_name;
    enum ESHMRole role;
    enum ESHMDisconnectBehavior disconnect_behavior;
    uint32_t stale_threshold_ms;          /* up to an hour; 0: an hour */
    uint32_t reconnect_wait_ms;           /* 0: without limit */
    uint32_t reconnect_retry_interval_ms; /* up to an hour; 0: as often as possible */
    uint32_t max_reconnect_attempts;      /* 0: without limit */
    bool auto_cleanup;                    /* a master removes the segment's name when it is destroyed */
    bool use_threads; /* a thread keeps the heartbeat; without it see eshm_update_heartbeat */
} ESHMConfig;

typedef struct ESHMStats {
    uint64_t master_heartbeat;
    uint64_t slave_heartbeat;
    pid_t master_pid;
    pid_t slave_pid;
    bool master_alive;
    bool slave_alive;
    uint32_t stale_threshold;        /* milliseconds */
    uint64_t master_heartbeat_delta; /* since this handle was asked, by eshm_get_info too */
    uint64_t slave_heartbeat_delta;
    uint64_t m2s_write_count;
    uint64_t m2s_read_count;
    uint64_t s2m_write_count;
    uint64_t s2m_read_count;
} ESHMStats;

/* AUTO, ON_TIMEOUT, 100 ms stale threshold, reconnection for 5 s, every 100 ms, 50 times, clean-up, threads.
 */
static inline ESHMConfig eshm_default_config(const char* shm_name) {
    ESHMConfig config;
    config.shm_name = shm_name;
    config.role = ESHM_ROLE_AUTO;
    config.disconnect_behavior = ESHM_DISCONNECT_ON_TIMEOUT;
    config.stale_threshold_ms = 100;
    config.reconnect_wait_ms = 5000;
    config.reconnect_retry_interval_ms = 100;
    config.max_reconnect_attempts = 50;
    config.auto_cleanup = true;
    config.use_threads = true;
    return config;
}

/*
 * ---- As in ESHM 1.x ----
 */

/*
 * Opens an endpoint. NULL on failure: see eshm_last_error and eshm_last_error_code. A slave without a master
 * fails at once; so does a role that a live process has already (ESHM_ERROR_ROLE_MISMATCH).
 *
 * The segment's permissions are 0666 less what the umask takes, and its owner may be anybody: as in ESHM 1.x.
 * eshm_init_ex makes it 0600, and is particular about owners.
 */
ESHM_API ESHMHandle* eshm_init(const ESHMConfig* config);

/* As eshm_init, with channels of `data_size` bytes. */
ESHM_API ESHMHandle* eshm_init_sized(const ESHMConfig* config, size_t data_size);

/* Programs that choose the size when they are compiled, as ESHM 1.x had it, get it. */
#if ESHM_MAX_DATA_SIZE != 4096
#define eshm_init(config) eshm_init_sized((config), (ESHM_MAX_DATA_SIZE))
#endif

/*
 * Closes the endpoint: what it wrote can still be read. The handle is invalid from here on, also when the
 * result is ESHM_ERROR_SHM_DELETE: the segment's name could not be removed, such as that of another user's
 * file in a directory with the sticky bit.
 */
ESHM_API int eshm_destroy(ESHMHandle* handle);

/*
 * Replaces the latest value, whether it was read or not. Never waits. ESHM_ERROR_BUFFER_TOO_SMALL: it is
 * greater than the channel; ESHM_ERROR_TIMEOUT: a slave whose master is gone, while it looks for the next
 * one; ESHM_ERROR_MASTER_STALE: it has given up. A value of 0 bytes is legal.
 */
ESHM_API int eshm_write(ESHMHandle* handle, const void* data, size_t size);

/* As eshm_read_ex with a timeout of 1000 ms; returns how many bytes were read, or an error. */
ESHM_API int eshm_read(ESHMHandle* handle, void* buffer, size_t buffer_size);

/*
 * Reads the latest value, if it is one that was not read before. `bytes_read` may be NULL.
 * ESHM_ERROR_NO_DATA: none, and the timeout is 0; ESHM_ERROR_TIMEOUT: none in time;
 * ESHM_ERROR_BUFFER_TOO_SMALL: call again with a greater buffer; ESHM_ERROR_MASTER_STALE: a slave that has
 * given its master up.
 */
ESHM_API int eshm_read_ex(ESHMHandle* handle, void* buffer, size_t buffer_size, size_t* bytes_read,
                          uint32_t timeout_ms);

ESHM_API int eshm_check_remote_alive(ESHMHandle* handle, bool* is_alive);
ESHM_API int eshm_get_stats(ESHMHandle* handle, ESHMStats* stats);
ESHM_API int eshm_get_role(ESHMHandle* handle, enum ESHMRole* role);

/* Shows one sign of life, where use_threads is false. */
ESHM_API int eshm_update_heartbeat(ESHMHandle* handle);

ESHM_API int eshm_set_wakeup_mode(ESHMHandle* handle, enum ESHMWakeupMode mode);
ESHM_API int eshm_get_wakeup_mode(ESHMHandle* handle, enum ESHMWakeupMode* mode);

/* What an ESHMError means, in general. Never NULL; lives for ever. */
ESHM_API const char* eshm_error_string(int error);

/*
 * ---- Not of ESHM 1.x ----
 */

/*
 * The text of the last failure in this thread: what was found, what was expected, what to do. Never NULL;
 * valid until the next call of this library in this thread. A success changes nothing.
 */
ESHM_API const char* eshm_last_error(void);
/* Its ESHMError; ESHM_SUCCESS if there was none. */
ESHM_API int eshm_last_error_code(void);

/* The library's version, such as "2.0.0". */
ESHM_API const char* eshm_version(void);

/* The scheduling policy of the background thread of the process: see sched(7). */
enum ESHMMonitorPolicy {
    ESHM_MONITOR_NORMAL = 0,     /* SCHED_OTHER, whatever that of the thread that opens the first endpoint */
    ESHM_MONITOR_FIFO = 1,       /* SCHED_FIFO */
    ESHM_MONITOR_ROUND_ROBIN = 2 /* SCHED_RR */
};
typedef enum ESHMMonitorPolicy ESHMMonitorPolicy;

/*
 * Sets how the background thread of this process is scheduled, which keeps the heartbeats of all its
 * endpoints: at any time, until it is set anew, also in forked children. The priority is 0 for
 * ESHM_MONITOR_NORMAL and 1 to 99 otherwise; cpus are the processors that the thread may run on, each less
 * than 1024, and NULL with a count of 0 is all that the process may use, but for those of the calling thread
 * if that is a real-time one.
 *
 * ESHM_ERROR_INVALID_PARAM for what is out of range or what the system refuses; the text says which.
 */
ESHM_API int eshm_configure_monitor(ESHMMonitorPolicy policy, int priority, const uint32_t* cpus,
                                    size_t cpu_count);

/* How calls wait for what is not there yet. */
enum ESHMWaitStrategy {
    ESHM_WAIT_SPIN_THEN_PARK = 0, /* looks for some ten microseconds, then sleeps until it is woken */
    ESHM_WAIT_SPIN = 1,           /* never leaves its core */
    ESHM_WAIT_PARK = 2            /* sleeps at once */
};
typedef enum ESHMWaitStrategy ESHMWaitStrategy;

/* Made by eshm_default_config_ex, and changed from there, so that programs survive new fields. */
typedef struct ESHMConfigEx {
    size_t struct_size; /* sizeof(ESHMConfigEx), for the library to tell versions apart */
    ESHMConfig base;
    size_t data_size;               /* the greatest value of eshm_write; 0: what is there, or 4096 */
    size_t queue_capacity;          /* the greatest message of eshm_send; 0: what is there, or 256 KiB */
    uint32_t connect_timeout_ms;    /* how long a slave waits for its segment */
    uint32_t heartbeat_interval_ms; /* 1 to 1000, not above the stale threshold; less often when idle */
    enum ESHMWaitStrategy wait_strategy;
    uint32_t mode;  /* the permissions of a segment that this endpoint creates, such as 0660 */
    bool any_owner; /* accept a segment that belongs to neither this user nor root */
    int64_t
        group; /* the group that a segment which this endpoint creates is given, by its number; -1: its own */
    bool give_up; /* a slave stops searching when reconnect_wait_ms or max_reconnect_attempts is used up, as
                     in ESHM 1.x: calls with a timeout fail then, too, and a later master is not found */
    /* Where the segment's file is: directory/prefix + shm_name. NULL: as the environment variable
     * ESHM_DIRECTORY or ESHM_PREFIX says when the endpoint is opened; if that is not set, or empty, /dev/shm
     * or eshm_. The directory is absolute; the prefix has 0 to 64 bytes of UTF-8 without '/' or "..". */
    const char* directory;
    const char* prefix;
} ESHMConfigEx;

/* eshm_default_config, and: the sizes that are there, 5 s to connect, 1 ms, SPIN_THEN_PARK, 0600, its own
 * group, no other owner, a search without end, the environment's domain. */
static inline ESHMConfigEx eshm_default_config_ex(const char* shm_name) {
    ESHMConfigEx config;
    config.struct_size = sizeof config;
    config.base = eshm_default_config(shm_name);
    config.data_size = 0;
    config.queue_capacity = 0;
    config.connect_timeout_ms = 5000;
    config.heartbeat_interval_ms = ESHM_HEARTBEAT_INTERVAL_MS;
    config.wait_strategy = ESHM_WAIT_SPIN_THEN_PARK;
    config.mode = 0600;
    config.any_owner = false;
    config.group = -1;
    config.give_up = false;
    config.directory = NULL;
    config.prefix = NULL;
    return config;
}

/* Opens an endpoint; on failure *handle is NULL. A name with a '/' is ESHM_ERROR_INVALID_PARAM. */
ESHM_API int eshm_init_ex(const ESHMConfigEx* config, ESHMHandle** handle);

/* Waits until the peer is there and alive. */
ESHM_API int eshm_wait_for_peer(ESHMHandle* handle, uint32_t timeout_ms);

enum ESHMPeerState {
    ESHM_PEER_ABSENT = 0, /* nobody has taken the peer's role yet */
    ESHM_PEER_ALIVE = 1,  /* its heartbeat moves */
    ESHM_PEER_FROZEN = 2, /* its heartbeat stands still, though the process exists */
    ESHM_PEER_DEAD = 3,   /* its process is gone, without a goodbye */
    ESHM_PEER_CLOSED = 4  /* it was destroyed in good order */
};
typedef enum ESHMPeerState ESHMPeerState;

/*
 * What is known of the peer and of the segment, and what this endpoint has counted. Values are those of
 * eshm_write, messages those of eshm_send. Set struct_size before the call.
 */
typedef struct ESHMInfo {
    size_t struct_size; /* sizeof(ESHMInfo) */
    enum ESHMPeerState peer_state;
    bool peer_is_legacy; /* the peer is an ESHM 1.x process */
    uint64_t generation; /* of the peer: greater after each restart of it */
    size_t data_size;    /* bytes of the greatest value of eshm_write */
    size_t max_message;  /* bytes of the greatest message of eshm_send */
    uint64_t skipped;    /* values that were overwritten before this endpoint read them */
    uint64_t reconnects; /* how often another peer followed the one before */
    uint64_t wakeups;    /* system calls made to wake the peer */
    uint64_t timeouts;   /* calls whose time ran out */
    uint64_t stalls;     /* how often the peer stood still for the stale threshold, and then went on */
    uint64_t messages_sent;
    uint64_t messages_received; /* and released */
    uint64_t bytes_sent;        /* of the messages sent */
    uint64_t bytes_received;    /* of the messages received and released */
    uint32_t m2s_queue_depth;   /* messages from master to slave that are not released, now */
    uint32_t s2m_queue_depth;   /* from slave to master */
    /* The greatest depth, as the sender's process has seen it: it looks at each heartbeat, and whenever the
     * queue is full. 0 if that process is one of ESHM 2.0. */
    uint32_t m2s_queue_high_water;
    uint32_t s2m_queue_high_water;
    uint64_t room_waits;   /* calls that slept since there was no room for a message, or no peer */
    uint64_t room_wait_ns; /* how long these calls have waited in all, in nanoseconds */
    uint64_t unreceived;   /* as eshm_unreceived */
} ESHMInfo;

ESHM_API int eshm_get_info(ESHMHandle* handle, ESHMInfo* info);

/* How many messages that this endpoint sent were not received: no receiver has released them. */
ESHM_API int eshm_unreceived(ESHMHandle* handle, uint64_t* count);

/*
 * As eshm_destroy, and says how many messages that this endpoint sent were not received: 0 if all were. A
 * peer that is there can still receive them; so can the slave's next master, as long as that slave stays
 * open. With nobody there they are lost. `unreceived` may be NULL.
 */
ESHM_API int eshm_close(ESHMHandle* handle, uint64_t* unreceived);

/*
 * Sends a message that is delivered once and in order; waits while the queue is full. It was not sent if this
 * fails. With an ESHM 1.x peer, or on a segment without queues, it is a value in the mailbox that waits until
 * the one before was read. `data` may be NULL if `size` is 0.
 */
ESHM_API int eshm_send(ESHMHandle* handle, const void* data, size_t size);
/* For a limited time: ESHM_ERROR_TIMEOUT; if that is 0, ESHM_ERROR_BUFFER_FULL. */
ESHM_API int eshm_send_ex(ESHMHandle* handle, const void* data, size_t size, uint32_t timeout_ms);

/*
 * Copies the next message. `size` may be NULL. ESHM_ERROR_BUFFER_TOO_SMALL: *size is what it needs, and the
 * message stays. `buffer` may be NULL if `capacity` is 0.
 */
ESHM_API int eshm_recv(ESHMHandle* handle, void* buffer, size_t capacity, size_t* size, uint32_t timeout_ms);

/*
 * Lends the next message in place, until eshm_release, or the next call that reads, receives or destroys. A
 * process that is killed before that receives the message again when it is back.
 */
ESHM_API int eshm_recv_borrow(ESHMHandle* handle, const void** data, size_t* size, uint32_t timeout_ms);
/* Gives it back. ESHM_ERROR_INVALID_PARAM: nothing is borrowed. */
ESHM_API int eshm_release(ESHMHandle* handle);

/*
 * Lends room for a message of `size` bytes, to be filled in place, until eshm_loan_send or eshm_loan_drop.
 * Meanwhile the handle neither writes nor sends anything else: that is ESHM_ERROR_INVALID_PARAM.
 */
ESHM_API int eshm_loan(ESHMHandle* handle, size_t size, void** data, uint32_t timeout_ms);
ESHM_API int eshm_loan_send(ESHMHandle* handle);
ESHM_API int eshm_loan_drop(ESHMHandle* handle);

typedef struct ESHMBuffer {
    const void* data;
    size_t size;
} ESHMBuffer;

/*
 * Sends `count` messages in order. The timeout is for all of them together: ESHM_ERROR_TIMEOUT; if it is 0,
 * what fits is sent: ESHM_ERROR_BUFFER_FULL if that is not all. `sent` may be NULL; it is set in any case:
 * beside an error, to how many were sent before it.
 */
ESHM_API int eshm_send_batch(ESHMHandle* handle, const ESHMBuffer* messages, size_t count, size_t* sent,
                             uint32_t timeout_ms);
/*
 * Copies up to `most` messages that are there one behind the other, waiting for the first one only. `sizes`
 * has room for `most`; *count is how many there were. ESHM_ERROR_BUFFER_TOO_SMALL: the first one needs
 * sizes[0] bytes.
 */
ESHM_API int eshm_recv_batch(ESHMHandle* handle, void* buffer, size_t capacity, size_t* sizes, size_t most,
                             size_t* count, uint32_t timeout_ms);

enum ESHMSegmentKind {
    ESHM_SEGMENT_CURRENT = 0,    /* a segment of this version, made in whatever language */
    ESHM_SEGMENT_LEGACY = 1,     /* a segment of ESHM 1.x */
    ESHM_SEGMENT_UNFINISHED = 2, /* somebody is making it, or was killed while it did */
    ESHM_SEGMENT_FOREIGN = 3,    /* no segment that this version knows */
    ESHM_SEGMENT_UNREADABLE = 4  /* this process may not read it */
};
typedef enum ESHMSegmentKind ESHMSegmentKind;

/* A file of a domain. The library makes it; a later version may append fields. Texts are never NULL. */
typedef struct ESHMSegment {
    const char* name; /* with which an endpoint opens it */
    const char* path;
    enum ESHMSegmentKind kind;
    const char* reason;     /* what is wrong with it; empty if it can be opened */
    uint64_t size;          /* of the file, in bytes */
    uint32_t owner;         /* the number of the user that the file belongs to */
    const char* owner_name; /* empty if the system does not know it */
    uint32_t mode;          /* the file's permission bits */
    int64_t since_ns; /* when the file was made, in nanoseconds since 1970; 0 if the system does not know */
    bool has_seats;   /* what follows could be read */
    /* ALIVE is whoever holds its seat, frozen or not; of ESHM 1.x, whose heartbeat moves. */
    enum ESHMPeerState master_state;
    enum ESHMPeerState slave_state;
    pid_t master_pid; /* in its own PID namespace; 0 if nobody ever sat there */
    pid_t slave_pid;
    uint32_t m2s_waiting; /* messages from master to slave that are not released */
    uint32_t m2s_slots;   /* how many there can be; 0 without queues */
    uint32_t s2m_waiting;
    uint32_t s2m_slots;
    /* Of eshm_remove_dead: */
    bool removed;             /* it was removed; in a dry run, it would be */
    const char* left_because; /* why not; empty if it was */
} ESHMSegment;

/* Is shown a segment. It and its texts are valid during the call. */
typedef void (*ESHMSegmentVisitor)(const ESHMSegment* segment, void* context);

/*
 * Shows the segments of a domain in the order of their names, and what else has a segment's name. Only reads.
 * The domain is as in ESHMConfigEx: NULL is what the environment says. ESHM_ERROR_SHM_ATTACH: the directory
 * cannot be read.
 */
ESHM_API int eshm_segments(const char* directory, const char* prefix, ESHMSegmentVisitor visit,
                           void* context);

/*
 * Removes the segments of a domain in which nobody sits, with all that is unread in them, and the temporary
 * files that killed processes have left; with dry_run, only says which these are. Safe beside processes that
 * start at the same moment. Shows what was removed, as it was found, and what was left. `visit` may be NULL.
 */
ESHM_API int eshm_remove_dead(const char* directory, const char* prefix, bool dry_run,
                              ESHMSegmentVisitor visit, void* context);

/*
 * Text travels as UTF-8 with one NUL at its end: a C string with its NUL. Tells whether the `size` bytes of a
 * message are such a text; *length is its length, without the NULs at its end, of which there may be none.
 * ESHM_ERROR_INVALID_PARAM: it is not UTF-8, or has a NUL before its end. `length` may be NULL, and `message`
 * if `size` is 0.
 */
ESHM_API int eshm_text_length(const void* message, size_t size, size_t* length);

#ifdef __cplusplus
}
#endif

#endif
