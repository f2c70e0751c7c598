/*
 * ESHM: messages between processes of one Linux machine, through shared memory. C99 and C++17.
 *
 * Two processes join a segment by its name, one as master, one as slave. Each direction carries
 *
 *   - a mailbox, eshm_write and eshm_read, as in ESHM 1.x: the latest value wins;
 *   - messages, eshm_send and eshm_recv: each message once, in order, without loss.
 *
 *     ESHMOptions options = eshm_default_options("robot");
 *     ESHMHandle* robot;
 *     options.role = ESHM_ROLE_MASTER;
 *     if (eshm_open(&options, &robot)) { fprintf(stderr, "%s\n", eshm_last_error()); return 1; }
 *     eshm_send(robot, "pose 1 2 3", 11);
 *     eshm_destroy(robot);
 *
 * Functions that return int return ESHM_SUCCESS or a negative ESHMError (eshm_read returns a size).
 * eshm_last_error returns the text of the error. NULL for a pointer that is needed is
 * ESHM_ERROR_INVALID_PARAM. A handle that was destroyed, or never was one, is ESHM_ERROR_NOT_INITIALIZED.
 *
 * Any thread may call any function. One thread at a time writes or sends on a handle, and one reads or
 * receives; the others wait for their turn. Writing never waits for reading, nor reading for writing.
 * eshm_destroy ends the calls that wait in other threads.
 *
 * A timeout is in milliseconds. 0: the call does not wait. ESHM_TIMEOUT_INFINITE: it waits as long as the
 * peer may still come.
 *
 * In a forked child every function fails with ESHM_ERROR_FORKED for a handle of the parent, and changes
 * nothing of the parent's. eshm_destroy and eshm_close succeed there, and leave the parent's endpoint open.
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

/* Marks the functions that the libraries export. */
#define ESHM_API __attribute__((visibility("default")))

/* One end of a segment. */
typedef struct ESHMHandle ESHMHandle;

enum ESHMRole {
    ESHM_ROLE_MASTER = 0, /* creates the segment, or takes it over from a dead master */
    ESHM_ROLE_SLAVE = 1,  /* attaches to it */
    ESHM_ROLE_AUTO = 2    /* slave where a live master is, master otherwise */
};
typedef enum ESHMRole ESHMRole;

/* What an endpoint does when the peer's heartbeat has stood still for stale_threshold_ms. */
enum ESHMDisconnectBehavior {
    ESHM_DISCONNECT_IMMEDIATELY = 0, /* calls fail at once; a slave does not look for another master */
    ESHM_DISCONNECT_ON_TIMEOUT = 1,  /* calls without a limit fail when the reconnection limits are used up */
    ESHM_DISCONNECT_NEVER = 2        /* calls without a limit wait for ever */
};
typedef enum ESHMDisconnectBehavior ESHMDisconnectBehavior;

/* How eshm_read waits. */
enum ESHMWakeupMode {
    ESHM_WAKEUP_PUSH = 0, /* sleeps until the writer wakes it (an ESHM 1.0 writer does not: as POLL then) */
    ESHM_WAKEUP_POLL = 1  /* looks every 100 microseconds; the writer never has to wake it */
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
    ESHM_ERROR_ROLE_MISMATCH = -15, /* a live process has the role already */
    /* New in ESHM 2: */
    ESHM_ERROR_PEER_CLOSED = -16, /* the peer closed its endpoint, and all that it sent was received */
    ESHM_ERROR_CORRUPT = -17,     /* the peer wrote something that the protocol forbids */
    ESHM_ERROR_FORKED = -18,      /* the handle belongs to the parent of this process */
    ESHM_ERROR_DISPLACED = -19,   /* the segment's file was removed, and another segment has its name */
    ESHM_ERROR_INTERNAL = -99     /* a defect of this library */
};
typedef enum ESHMError ESHMError;

/*
 * The settings of eshm_init, as in ESHM 1.x. reconnect_wait_ms and max_reconnect_attempts limit how long a
 * slave searches for a master.
 */
typedef struct ESHMConfig {
    /* 1 to 250 bytes of UTF-8 without ".."; '/' becomes '_'. With another prefix than eshm_ (see
     * ESHMOptions), name and prefix have at most 255 bytes together. */
    const char* shm_name;
    enum ESHMRole role;
    enum ESHMDisconnectBehavior disconnect_behavior;
    uint32_t stale_threshold_ms;          /* up to an hour; 0: an hour */
    uint32_t reconnect_wait_ms;           /* 0: without limit */
    uint32_t reconnect_retry_interval_ms; /* up to an hour; 0: as often as possible */
    uint32_t max_reconnect_attempts;      /* 0: without limit */
    bool auto_cleanup;                    /* a master removes the segment's name when it is destroyed */
    bool use_threads; /* a thread of the library keeps the heartbeat; if not: eshm_update_heartbeat */
} ESHMConfig;

/* What eshm_get_stats counts. Values are those of eshm_write; m2s: from master to slave. */
typedef struct ESHMStats {
    uint64_t master_heartbeat;
    uint64_t slave_heartbeat;
    pid_t master_pid;
    pid_t slave_pid;
    bool master_alive;
    bool slave_alive;
    uint32_t stale_threshold;        /* milliseconds */
    uint64_t master_heartbeat_delta; /* since eshm_get_stats or eshm_get_info was last called */
    uint64_t slave_heartbeat_delta;
    uint64_t m2s_write_count;
    uint64_t m2s_read_count;
    uint64_t s2m_write_count;
    uint64_t s2m_read_count;
} ESHMStats;

/* Returns: AUTO, ON_TIMEOUT, a stale threshold of 100 ms, reconnection for 5 s, every 100 ms, 50 times, with
 * clean-up and threads. */
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
 * Opens an endpoint. Returns NULL on failure: see eshm_last_error and eshm_last_error_code. A slave without a
 * master fails at once. So does a role that a live process has already (ESHM_ERROR_ROLE_MISMATCH).
 *
 * The segment's permissions are 0666 less what the umask takes, and any user may own it, as in ESHM 1.x.
 * eshm_open makes it 0600, and accepts segments of this user and of root only.
 */
ESHM_API ESHMHandle* eshm_init(const ESHMConfig* config);

/* As eshm_init, with channels of `data_size` bytes. */
ESHM_API ESHMHandle* eshm_init_sized(const ESHMConfig* config, size_t data_size);

/* Programs that choose the size when they are compiled, as in ESHM 1.x, get that size. */
#if ESHM_MAX_DATA_SIZE != 4096
#define eshm_init(config) eshm_init_sized((config), (ESHM_MAX_DATA_SIZE))
#endif

/*
 * Closes the endpoint. The peer can still read what it wrote. The handle is invalid from then on, also after
 * ESHM_ERROR_SHM_DELETE: the segment's name could not be removed, such as that of another user's file in a
 * directory with the sticky bit.
 */
ESHM_API int eshm_destroy(ESHMHandle* handle);

/*
 * Replaces the latest value, whether it was read or not. Never waits. A value of 0 bytes is legal.
 * ESHM_ERROR_BUFFER_TOO_SMALL: it is greater than the channel. Of a slave whose master is gone:
 * ESHM_ERROR_TIMEOUT while it looks for the next one, ESHM_ERROR_MASTER_STALE once it has given up.
 */
ESHM_API int eshm_write(ESHMHandle* handle, const void* data, size_t size);

/* As eshm_read_ex with a timeout of 1000 ms; returns how many bytes were read, or an error. */
ESHM_API int eshm_read(ESHMHandle* handle, void* buffer, size_t buffer_size);

/*
 * Reads the latest value, if it was not read before. `bytes_read` may be NULL.
 * ESHM_ERROR_NO_DATA: there is none, and the timeout is 0. ESHM_ERROR_TIMEOUT: there was none in time.
 * ESHM_ERROR_BUFFER_TOO_SMALL: call again with a greater buffer. ESHM_ERROR_MASTER_STALE: a slave has given
 * its master up.
 */
ESHM_API int eshm_read_ex(ESHMHandle* handle, void* buffer, size_t buffer_size, size_t* bytes_read,
                          uint32_t timeout_ms);

ESHM_API int eshm_check_remote_alive(ESHMHandle* handle, bool* is_alive);
ESHM_API int eshm_get_stats(ESHMHandle* handle, ESHMStats* stats);
ESHM_API int eshm_get_role(ESHMHandle* handle, enum ESHMRole* role);

/* Increments the heartbeat, for an endpoint without threads (use_threads, background). */
ESHM_API int eshm_update_heartbeat(ESHMHandle* handle);

ESHM_API int eshm_set_wakeup_mode(ESHMHandle* handle, enum ESHMWakeupMode mode);
ESHM_API int eshm_get_wakeup_mode(ESHMHandle* handle, enum ESHMWakeupMode* mode);

/* Returns what an ESHMError means in general. Never NULL; valid for ever. */
ESHM_API const char* eshm_error_string(int error);

/*
 * ---- New in ESHM 2 ----
 */

/*
 * Returns the text of the last failure in this thread: what was found, what was expected, what to do. Never
 * NULL; valid until the next call of this library in this thread. A success does not change it.
 */
ESHM_API const char* eshm_last_error(void);
/* Returns its ESHMError; ESHM_SUCCESS if there was none. */
ESHM_API int eshm_last_error_code(void);

/* Returns the version of the library. That of this header is ESHM_VERSION. */
ESHM_API const char* eshm_version(void);

/* The scheduling policy of the background thread of the process: see sched(7). */
enum ESHMMonitorPolicy {
    ESHM_MONITOR_NORMAL = 0,     /* SCHED_OTHER, whatever the policy of the thread that opens an endpoint */
    ESHM_MONITOR_FIFO = 1,       /* SCHED_FIFO */
    ESHM_MONITOR_ROUND_ROBIN = 2 /* SCHED_RR */
};
typedef enum ESHMMonitorPolicy ESHMMonitorPolicy;

/*
 * Sets how the background thread of this process is scheduled, which keeps the heartbeats of all its
 * endpoints. It may be called at any time, and holds until the next call, also in forked children. The
 * priority is 0 for ESHM_MONITOR_NORMAL and 1 to 99 otherwise. `cpus` are the processors that the thread may
 * run on, each less than 1024. NULL with a count of 0: all that the process may use, except those of the
 * calling thread if that is a real-time thread.
 *
 * ESHM_ERROR_INVALID_PARAM: something is out of range, or the system refuses it; the text says which.
 */
ESHM_API int eshm_configure_monitor(ESHMMonitorPolicy policy, int priority, const uint32_t* cpus,
                                    size_t cpu_count);

/* How calls wait for what is not there yet. */
enum ESHMWaitStrategy {
    ESHM_WAIT_ADAPTIVE = 0,       /* learns where the peer runs, and polls, offers the processor or sleeps */
    ESHM_WAIT_SPIN = 1,           /* polls, and never leaves its core */
    ESHM_WAIT_SPIN_THEN_PARK = 2, /* polls for some ten microseconds, then sleeps until it is woken */
    ESHM_WAIT_PARK = 3            /* sleeps at once until it is woken */
};
typedef enum ESHMWaitStrategy ESHMWaitStrategy;

/*
 * The options of an endpoint, the same as in every language of ESHM. Make them with eshm_default_options and
 * change fields from there: a later version may append fields.
 */
typedef struct ESHMOptions {
    size_t struct_size; /* sizeof(ESHMOptions), for the library to tell versions apart */
    const char* name;   /* of the segment: UTF-8 without '/' and "..", at most 255 bytes with the prefix */
    /* The domain: the segment's file is directory/prefix + name. NULL: what the environment variable
     * ESHM_DIRECTORY or ESHM_PREFIX says when the endpoint is opened; if it is not set, or empty, /dev/shm or
     * eshm_. The directory is absolute. The prefix has 0 to 64 bytes of UTF-8 without '/' and "..". */
    const char* directory;
    const char* prefix;
    enum ESHMRole role;
    enum ESHMWaitStrategy wait; /* how calls wait for what is not there yet */
    size_t data_size;      /* bytes of the greatest value of eshm_write; 0: that of the segment, or 4096 */
    size_t queue_capacity; /* bytes of the greatest message of eshm_send; 0: that of the segment, or
                              256 KiB; ESHM_NO_QUEUE: a segment without queues */
    uint32_t connect_timeout_ms;            /* how long a slave waits for its segment to appear */
    uint32_t heartbeat_interval_ms;         /* 1 to 1000, at most stale_threshold_ms */
    uint32_t stale_threshold_ms;            /* how long the peer's heartbeat may stand still; 1 to an hour */
    enum ESHMDisconnectBehavior disconnect; /* what calls without a limit do when the peer is stale */
    uint32_t reconnect_timeout_ms;  /* how long calls without a limit wait for a stale peer; 0: no limit */
    uint32_t reconnect_interval_ms; /* how often a slave looks for a new master; 1 to an hour */
    uint32_t reconnect_attempts;    /* for how many searches such calls wait; 0: no limit */
    uint32_t mode;         /* the permissions of a segment that this endpoint creates, such as 0660 */
    int64_t group;         /* the group of such a segment, by its number; -1: the group of the process */
    bool mode_by_umask;    /* the umask decides on the permissions, as in ESHM 1.x; mode does not count */
    bool any_owner;        /* accepts a segment that belongs to neither this user nor root */
    bool steady_heartbeat; /* keeps the full heartbeat rate, as ESHM 1.x does */
    bool give_up;      /* a slave stops its search when the timeout or the attempts are used up, as in ESHM
                          1.x: calls with a timeout fail then, too, and a later master is not found */
    bool auto_cleanup; /* a master removes the segment's name when it is destroyed */
    bool background;   /* a thread of the library keeps the heartbeat; if not: eshm_update_heartbeat */
} ESHMOptions;

/* Returns the defaults: AUTO, the environment's domain, ADAPTIVE, the sizes of the segment, 5 s to
 * connect, a heartbeat every 1 ms, stale after 100 ms, ON_TIMEOUT, reconnection for 5 s, every 100 ms, 50
 * times, without giving up; 0600 and no other owner; clean-up and background. */
static inline ESHMOptions eshm_default_options(const char* name) {
    ESHMOptions options;
    options.struct_size = sizeof options;
    options.name = name;
    options.directory = NULL;
    options.prefix = NULL;
    options.role = ESHM_ROLE_AUTO;
    options.wait = ESHM_WAIT_ADAPTIVE;
    options.data_size = 0;
    options.queue_capacity = 0;
    options.connect_timeout_ms = 5000;
    options.heartbeat_interval_ms = ESHM_HEARTBEAT_INTERVAL_MS;
    options.stale_threshold_ms = 100;
    options.disconnect = ESHM_DISCONNECT_ON_TIMEOUT;
    options.reconnect_timeout_ms = 5000;
    options.reconnect_interval_ms = 100;
    options.reconnect_attempts = 50;
    options.mode = 0600;
    options.group = -1;
    options.mode_by_umask = false;
    options.any_owner = false;
    options.steady_heartbeat = false;
    options.give_up = false;
    options.auto_cleanup = true;
    options.background = true;
    return options;
}

/*
 * Opens an endpoint. On failure *handle is NULL. ESHM_ERROR_SHM_ATTACH: a slave found no segment in time, or
 * one that cannot be used; ESHM_ERROR_ROLE_MISMATCH: a live process has the role already.
 */
ESHM_API int eshm_open(const ESHMOptions* options, ESHMHandle** handle);

/* Waits until the peer is attached and alive. */
ESHM_API int eshm_wait_for_peer(ESHMHandle* handle, uint32_t timeout_ms);

enum ESHMPeerState {
    ESHM_PEER_ABSENT = 0, /* no process has taken the peer's role yet */
    ESHM_PEER_ALIVE = 1,  /* its heartbeat moves */
    ESHM_PEER_FROZEN = 2, /* its heartbeat stands still, and its process exists */
    ESHM_PEER_DEAD = 3,   /* its process is gone, and did not close its endpoint */
    ESHM_PEER_CLOSED = 4  /* it closed its endpoint */
};
typedef enum ESHMPeerState ESHMPeerState;

/*
 * The state of the peer and the segment, and the counts of this endpoint. Values are those of eshm_write,
 * messages those of eshm_send. Set struct_size before the call.
 */
typedef struct ESHMInfo {
    size_t struct_size; /* sizeof(ESHMInfo) */
    enum ESHMPeerState peer_state;
    bool peer_is_legacy; /* the peer is an ESHM 1.x process */
    uint64_t generation; /* of the peer: greater after each restart of it */
    size_t data_size;    /* bytes of the greatest value of eshm_write */
    size_t max_message;  /* bytes of the greatest message of eshm_send */
    uint64_t skipped;    /* values that were overwritten before this endpoint read them */
    uint64_t reconnects; /* how often another peer replaced the one before */
    uint64_t wakeups;    /* system calls made to wake the peer */
    uint64_t timeouts;   /* calls that ended with ESHM_ERROR_TIMEOUT */
    uint64_t stalls;     /* how often the peer stood still for the stale threshold, and then continued */
    uint64_t messages_sent;
    uint64_t messages_received; /* and released */
    uint64_t bytes_sent;        /* of the messages sent */
    uint64_t bytes_received;    /* of the messages received and released */
    uint32_t m2s_queue_depth;   /* messages from master to slave that are not released, now */
    uint32_t s2m_queue_depth;   /* from slave to master */
    /* The greatest depth, as the sender's process has seen it at its heartbeats and when the queue was full.
     * 0 if that process uses ESHM 2.0. */
    uint32_t m2s_queue_high_water;
    uint32_t s2m_queue_high_water;
    uint64_t room_waits;        /* calls that slept because there was no room for a message, or no peer */
    uint64_t room_wait_time_ns; /* how long these calls have waited in all, in nanoseconds */
    uint64_t unreceived;        /* as eshm_unreceived */
} ESHMInfo;

ESHM_API int eshm_get_info(ESHMHandle* handle, ESHMInfo* info);

/* Stores how many messages that this endpoint sent were not received: no receiver has released them. */
ESHM_API int eshm_unreceived(ESHMHandle* handle, uint64_t* count);

/*
 * As eshm_destroy, and stores how many messages that this endpoint sent were not received: 0 if all were. A
 * peer that is attached can still receive them. So can the next master of a slave that stays open. Without
 * such a peer they are lost. `unreceived` may be NULL.
 */
ESHM_API int eshm_close(ESHMHandle* handle, uint64_t* unreceived);

/*
 * Sends a message that is delivered once and in order. Waits while the queue is full. After an error the
 * message was not sent. On a segment without queues, and with an ESHM 1.x peer, the message travels in the
 * mailbox, and the call waits until the one before was read; with an ESHM 1.x peer it waits a second at most.
 * `data` may be NULL if `size` is 0.
 */
ESHM_API int eshm_send(ESHMHandle* handle, const void* data, size_t size);
/* As eshm_send, for a limited time: ESHM_ERROR_TIMEOUT; with a timeout of 0, ESHM_ERROR_BUFFER_FULL. */
ESHM_API int eshm_send_ex(ESHMHandle* handle, const void* data, size_t size, uint32_t timeout_ms);

/*
 * Copies the next message. `size` may be NULL. `buffer` may be NULL if `capacity` is 0.
 * ESHM_ERROR_BUFFER_TOO_SMALL: *size is the size of the message, which stays the next one.
 * ESHM_ERROR_NO_DATA: there is none, and the timeout is 0. ESHM_ERROR_TIMEOUT: there was none in time.
 */
ESHM_API int eshm_recv(ESHMHandle* handle, void* buffer, size_t capacity, size_t* size, uint32_t timeout_ms);

/*
 * Lends the next message in place, until eshm_release, or the next call that reads, receives or destroys. A
 * process that is killed before that receives the message again after its restart.
 */
ESHM_API int eshm_recv_borrow(ESHMHandle* handle, const void** data, size_t* size, uint32_t timeout_ms);
/* Releases the message that is borrowed. ESHM_ERROR_INVALID_PARAM: nothing is borrowed. */
ESHM_API int eshm_release(ESHMHandle* handle);

/*
 * Lends memory for a message of `size` bytes, to be filled in place, until eshm_loan_send or eshm_loan_drop.
 * Meanwhile the handle neither writes nor sends anything else: ESHM_ERROR_INVALID_PARAM.
 */
ESHM_API int eshm_loan(ESHMHandle* handle, size_t size, void** data, uint32_t timeout_ms);
/* Sends the message that was built in the loan. The loan is over, also after an error. */
ESHM_API int eshm_loan_send(ESHMHandle* handle);
/* Gives the loan back, unsent. */
ESHM_API int eshm_loan_drop(ESHMHandle* handle);

typedef struct ESHMBuffer {
    const void* data;
    size_t size;
} ESHMBuffer;

/*
 * Sends `count` messages in order. The timeout is that of the whole batch: ESHM_ERROR_TIMEOUT. With a timeout
 * of 0 it sends those that there is room for: ESHM_ERROR_BUFFER_FULL if some are left. `sent` may be NULL. It
 * is set in any case: after an error, to the number of messages that were sent before it.
 */
ESHM_API int eshm_send_batch(ESHMHandle* handle, const ESHMBuffer* messages, size_t count, size_t* sent,
                             uint32_t timeout_ms);
/*
 * Copies up to `most` messages that are there, one behind the other. Waits for the first one only. `sizes`
 * has room for `most` sizes; *count is the number of messages. ESHM_ERROR_BUFFER_TOO_SMALL: the first one
 * needs sizes[0] bytes, and all of them stay.
 */
ESHM_API int eshm_recv_batch(ESHMHandle* handle, void* buffer, size_t capacity, size_t* sizes, size_t most,
                             size_t* count, uint32_t timeout_ms);

enum ESHMSegmentKind {
    ESHM_SEGMENT_CURRENT = 0,    /* a segment of this version, made in whatever language */
    ESHM_SEGMENT_LEGACY = 1,     /* a segment of ESHM 1.x */
    ESHM_SEGMENT_UNFINISHED = 2, /* a process is making it, or was killed while it did */
    ESHM_SEGMENT_FOREIGN = 3,    /* no segment that this version knows */
    ESHM_SEGMENT_UNREADABLE = 4  /* this process may not read it */
};
typedef enum ESHMSegmentKind ESHMSegmentKind;

/* A file of a domain. The library makes it; a later version may append fields. Texts are never NULL. */
typedef struct ESHMSegment {
    const char* name; /* the name with which an endpoint opens it */
    const char* path;
    enum ESHMSegmentKind kind;
    const char* reason;     /* what is wrong with it; empty if it can be opened */
    uint64_t size;          /* of the file, in bytes */
    uint32_t owner;         /* the number of the user that the file belongs to */
    const char* owner_name; /* empty if the system does not know it */
    uint32_t mode;          /* the file's permission bits */
    int64_t since_ns; /* when the file was made, in nanoseconds since 1970; 0 if the system does not know */
    bool has_seats;   /* the fields up to s2m_slots could be read */
    /* ALIVE: it holds its seat, and may be frozen; in ESHM 1.x its heartbeat moves. */
    enum ESHMPeerState master_state;
    enum ESHMPeerState slave_state;
    pid_t master_pid; /* in its own PID namespace; 0 if there never was one */
    pid_t slave_pid;
    uint32_t m2s_waiting; /* messages from master to slave that are not released */
    uint32_t m2s_slots;   /* how many there can be; 0 without queues */
    uint32_t s2m_waiting;
    uint32_t s2m_slots;
    /* Of eshm_remove_dead and eshm_find_dead: */
    bool removed;             /* it was removed; of eshm_find_dead, it would be */
    const char* left_because; /* why not; empty if it was */
} ESHMSegment;

/* Is called with a segment. The segment and its texts are valid during the call. */
typedef void (*ESHMSegmentVisitor)(const ESHMSegment* segment, void* context);

/*
 * Calls `visit` with each segment of a domain in the order of their names, and with every other file that has
 * a segment's name. Only reads. `directory` and `prefix` are as in ESHMOptions. ESHM_ERROR_SHM_ATTACH: the
 * directory cannot be read.
 */
ESHM_API int eshm_segments(const char* directory, const char* prefix, ESHMSegmentVisitor visit,
                           void* context);

/*
 * Removes the segments of a domain that no process uses, with all that is unread in them, and the temporary
 * files that killed processes have left. Safe while other processes start. Calls `visit` with each segment
 * that was removed, as it was found, and with each that was left. `visit` may be NULL.
 */
ESHM_API int eshm_remove_dead(const char* directory, const char* prefix, ESHMSegmentVisitor visit,
                              void* context);

/* Calls `visit` as eshm_remove_dead would, and removes nothing. */
ESHM_API int eshm_find_dead(const char* directory, const char* prefix, ESHMSegmentVisitor visit,
                            void* context);

/* Read-only monitoring of a segment. */
typedef struct ESHMObserver ESHMObserver;

/* One endpoint of a segment. */
typedef struct ESHMSeatView {
    enum ESHMPeerState state; /* FROZEN only if this observer has looked before, and long enough ago */
    pid_t pid;                /* in its own PID namespace; 0 if there never was one */
    uint64_t heartbeat;       /* its heartbeats */
    uint32_t generation;      /* how often endpoints that are not ESHM 1.x took the seat */
    bool is_legacy;           /* it is, or was, an ESHM 1.x process */
} ESHMSeatView;

/* One direction of a segment. */
typedef struct ESHMDirectionView {
    uint64_t written;    /* values written */
    uint64_t read;       /* values read: up to a heartbeat interval old */
    uint32_t waiting;    /* messages in the queue that are not released */
    uint32_t high_water; /* the most messages that were in the queue at once: see ESHMInfo */
    uint32_t slots;      /* the most messages that the queue can hold; 0 without queues */
} ESHMDirectionView;

/* What an observer sees. The numbers are each true, and may be of different moments. */
typedef struct ESHMView {
    size_t struct_size; /* sizeof(ESHMView); set it before the call */
    bool is_current;    /* the name still leads to this segment: if not, open a new observer */
    size_t data_size;   /* bytes of the greatest value of eshm_write */
    size_t max_message; /* bytes of the greatest message of eshm_send */
    ESHMSeatView master;
    ESHMSeatView slave;
    ESHMDirectionView master_to_slave;
    ESHMDirectionView slave_to_master;
} ESHMView;

/*
 * Opens an observer. It maps the segment for reading only, so the permission to read suffices, and neither
 * endpoint notices. Of the options, name, domain and any_owner count, and data_size for a segment of ESHM 1.x
 * whose data size is no multiple of 64. Never waits. On failure *observer is NULL. ESHM_ERROR_SHM_ATTACH:
 * there is no finished segment, or it cannot be read.
 */
ESHM_API int eshm_observe(const ESHMOptions* options, ESHMObserver** observer);
/* Looks at the segment. Takes microseconds, and some more per message that waits. */
ESHM_API int eshm_observer_look(ESHMObserver* observer, ESHMView* view);
/* Closes the observer, which is invalid from then on. */
ESHM_API int eshm_observer_close(ESHMObserver* observer);

/*
 * ---- One thread that waits for several things ----
 */

/* What makes an event descriptor readable. Combine them with |. */
enum ESHMInterest {
    ESHM_INTEREST_READABLE = 1, /* a message: eshm_recv may find one */
    ESHM_INTEREST_VALUE = 2,    /* a new value: eshm_read_ex may find one */
    ESHM_INTEREST_WRITABLE = 4, /* room: eshm_send_ex was refused for lack of room, and may succeed now */
    ESHM_INTEREST_PEER = 8      /* the peer's state differs from the one that eshm_peer_state stored last */
};
typedef enum ESHMInterest ESHMInterest;

/*
 * Returns the event descriptor of an endpoint, for poll, epoll and event loops, or a negative ESHMError. The
 * first call makes it. `interest` is some of ESHMInterest; that of the last call holds, also that of
 * eshm_wait_set_add. An endpoint without a descriptor pays nothing for it.
 *
 * The descriptor is level-triggered. It stays readable until a call with a timeout of 0 has found nothing, so
 * call until ESHM_ERROR_NO_DATA (of a send: ESHM_ERROR_BUFFER_FULL; of the peer: eshm_peer_state once). It
 * may be readable although there is nothing. It is readable, too, when the endpoint was stopped, closed or
 * displaced: the next call says which. Do not read, write or close it. It belongs to the handle, and is
 * closed with it: take it out of the loop before eshm_destroy. In a forked child it is readable, and every
 * call fails with ESHM_ERROR_FORKED.
 *
 * ESHM_ERROR_SHM_ATTACH: the process can have no descriptor more. The endpoint works without.
 */
ESHM_API int eshm_fd(ESHMHandle* handle, uint32_t interest);

/* Stores the state of the peer, and takes note of it: see ESHM_INTEREST_PEER. */
ESHM_API int eshm_peer_state(ESHMHandle* handle, enum ESHMPeerState* state);

/*
 * Waits for any number of endpoints, and for descriptors of sockets, timers and signals, each with a token: a
 * number other than UINT64_MAX. Any thread may wait, add and remove. A wait takes time in proportion to what
 * is ready, and what is ready takes turns. In a forked child every function fails with ESHM_ERROR_FORKED but
 * eshm_wait_set_free, which leaves the parent's set alone.
 */
typedef struct ESHMWaitSet ESHMWaitSet;

/* Makes an empty set. On failure *set is NULL. ESHM_ERROR_SHM_ATTACH: no file descriptors are left. */
ESHM_API int eshm_wait_set_new(ESHMWaitSet** set);

/*
 * Adds an endpoint, with an interest as for eshm_fd. Its token is returned while a call is worth while. The
 * set keeps the descriptor: after eshm_destroy the token is returned until it is removed.
 * ESHM_ERROR_INVALID_PARAM: the token is in use, or the set has the endpoint already.
 */
ESHM_API int eshm_wait_set_add(ESHMWaitSet* set, ESHMHandle* handle, uint32_t interest, uint64_t token);

/*
 * Adds another descriptor. Its token is returned while it is readable, or has an error. The set has a
 * duplicate of it: if the program closes its own, the set goes on with the same file.
 * ESHM_ERROR_INVALID_PARAM: the token is in use; the descriptor is not open, or cannot be waited for, such as
 * that of a regular file.
 */
ESHM_API int eshm_wait_set_add_fd(ESHMWaitSet* set, int fd, uint64_t token);

/* Removes what the token stands for. ESHM_ERROR_INVALID_PARAM: the set does not have the token. */
ESHM_API int eshm_wait_set_remove(ESHMWaitSet* set, uint64_t token);

/*
 * Waits until something is ready, and stores up to `most` tokens of what is, 64 at most; *count is their
 * number. The others are the first of the next call. ESHM_ERROR_TIMEOUT: nothing was ready in time.
 * ESHM_ERROR_NO_DATA: nothing is, and the timeout is 0. ESHM_ERROR_NOT_INITIALIZED: the set was freed.
 */
ESHM_API int eshm_wait_set_wait(ESHMWaitSet* set, uint64_t* tokens, size_t most, size_t* count,
                                uint32_t timeout_ms);

/* Returns a descriptor that is readable while something in the set is ready, for another loop. */
ESHM_API int eshm_wait_set_fd(ESHMWaitSet* set);

/* Frees the set, which is invalid from then on. Waits in other threads end. Endpoints are left alone. */
ESHM_API int eshm_wait_set_free(ESHMWaitSet* set);

/*
 * Text travels as UTF-8 with one NUL at its end: a C string with its NUL. Checks that the `size` bytes of a
 * message are such a text, and stores its length without the NULs at its end, of which there may be none.
 * ESHM_ERROR_INVALID_PARAM: it is not UTF-8, or has a NUL before its end. `length` may be NULL; `message` may
 * be NULL if `size` is 0.
 */
ESHM_API int eshm_text_length(const void* message, size_t size, size_t* length);

#ifdef __cplusplus
}
#endif

#endif
