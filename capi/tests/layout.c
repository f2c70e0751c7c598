/* Prints the layout and the numbers that a C compiler finds in the headers, one "name value" to a line. See
 * layout.rs. */
#include <eshm.h>
#include <eshm_data.h>
#include <stdio.h>

#define SIZE(type) printf(#type " %zu\n", sizeof(type))
#define FIELD(type, field) printf(#type "." #field " %zu\n", offsetof(type, field))
#define NUMBER(name) printf(#name " %lld\n", (long long)(name))

static void options(void) {
    SIZE(ESHMConfig);
    FIELD(ESHMConfig, shm_name);
    FIELD(ESHMConfig, role);
    FIELD(ESHMConfig, disconnect_behavior);
    FIELD(ESHMConfig, stale_threshold_ms);
    FIELD(ESHMConfig, reconnect_wait_ms);
    FIELD(ESHMConfig, reconnect_retry_interval_ms);
    FIELD(ESHMConfig, max_reconnect_attempts);
    FIELD(ESHMConfig, auto_cleanup);
    FIELD(ESHMConfig, use_threads);
    SIZE(ESHMBuffer);
    FIELD(ESHMBuffer, data);
    FIELD(ESHMBuffer, size);
    SIZE(ESHMOptions);
    FIELD(ESHMOptions, struct_size);
    FIELD(ESHMOptions, name);
    FIELD(ESHMOptions, directory);
    FIELD(ESHMOptions, prefix);
    FIELD(ESHMOptions, role);
    FIELD(ESHMOptions, wait);
    FIELD(ESHMOptions, data_size);
    FIELD(ESHMOptions, queue_capacity);
    FIELD(ESHMOptions, connect_timeout_ms);
    FIELD(ESHMOptions, heartbeat_interval_ms);
    FIELD(ESHMOptions, stale_threshold_ms);
    FIELD(ESHMOptions, disconnect);
    FIELD(ESHMOptions, reconnect_timeout_ms);
    FIELD(ESHMOptions, reconnect_interval_ms);
    FIELD(ESHMOptions, reconnect_attempts);
    FIELD(ESHMOptions, mode);
    FIELD(ESHMOptions, group);
    FIELD(ESHMOptions, mode_by_umask);
    FIELD(ESHMOptions, any_owner);
    FIELD(ESHMOptions, steady_heartbeat);
    FIELD(ESHMOptions, give_up);
    FIELD(ESHMOptions, auto_cleanup);
    FIELD(ESHMOptions, background);
}

static void views(void) {
    SIZE(ESHMSeatView);
    FIELD(ESHMSeatView, state);
    FIELD(ESHMSeatView, pid);
    FIELD(ESHMSeatView, heartbeat);
    FIELD(ESHMSeatView, generation);
    FIELD(ESHMSeatView, is_legacy);
    SIZE(ESHMDirectionView);
    FIELD(ESHMDirectionView, written);
    FIELD(ESHMDirectionView, read);
    FIELD(ESHMDirectionView, waiting);
    FIELD(ESHMDirectionView, high_water);
    FIELD(ESHMDirectionView, slots);
    SIZE(ESHMView);
    FIELD(ESHMView, struct_size);
    FIELD(ESHMView, is_current);
    FIELD(ESHMView, data_size);
    FIELD(ESHMView, max_message);
    FIELD(ESHMView, master);
    FIELD(ESHMView, slave);
    FIELD(ESHMView, master_to_slave);
    FIELD(ESHMView, slave_to_master);
}

static void statistics(void) {
    SIZE(ESHMStats);
    FIELD(ESHMStats, master_heartbeat);
    FIELD(ESHMStats, slave_heartbeat);
    FIELD(ESHMStats, master_pid);
    FIELD(ESHMStats, slave_pid);
    FIELD(ESHMStats, master_alive);
    FIELD(ESHMStats, slave_alive);
    FIELD(ESHMStats, stale_threshold);
    FIELD(ESHMStats, master_heartbeat_delta);
    FIELD(ESHMStats, slave_heartbeat_delta);
    FIELD(ESHMStats, m2s_write_count);
    FIELD(ESHMStats, m2s_read_count);
    FIELD(ESHMStats, s2m_write_count);
    FIELD(ESHMStats, s2m_read_count);
    SIZE(ESHMInfo);
    FIELD(ESHMInfo, struct_size);
    FIELD(ESHMInfo, peer_state);
    FIELD(ESHMInfo, peer_is_legacy);
    FIELD(ESHMInfo, generation);
    FIELD(ESHMInfo, data_size);
    FIELD(ESHMInfo, max_message);
    FIELD(ESHMInfo, skipped);
    FIELD(ESHMInfo, reconnects);
    FIELD(ESHMInfo, wakeups);
    FIELD(ESHMInfo, timeouts);
    FIELD(ESHMInfo, stalls);
    FIELD(ESHMInfo, messages_sent);
    FIELD(ESHMInfo, messages_received);
    FIELD(ESHMInfo, bytes_sent);
    FIELD(ESHMInfo, bytes_received);
    FIELD(ESHMInfo, m2s_queue_depth);
    FIELD(ESHMInfo, s2m_queue_depth);
    FIELD(ESHMInfo, m2s_queue_high_water);
    FIELD(ESHMInfo, s2m_queue_high_water);
    FIELD(ESHMInfo, room_waits);
    FIELD(ESHMInfo, room_wait_time_ns);
    FIELD(ESHMInfo, unreceived);
}

static void segments(void) {
    SIZE(ESHMSegment);
    FIELD(ESHMSegment, name);
    FIELD(ESHMSegment, path);
    FIELD(ESHMSegment, kind);
    FIELD(ESHMSegment, reason);
    FIELD(ESHMSegment, size);
    FIELD(ESHMSegment, owner);
    FIELD(ESHMSegment, owner_name);
    FIELD(ESHMSegment, mode);
    FIELD(ESHMSegment, since_ns);
    FIELD(ESHMSegment, has_seats);
    FIELD(ESHMSegment, master_state);
    FIELD(ESHMSegment, slave_state);
    FIELD(ESHMSegment, master_pid);
    FIELD(ESHMSegment, slave_pid);
    FIELD(ESHMSegment, m2s_waiting);
    FIELD(ESHMSegment, m2s_slots);
    FIELD(ESHMSegment, s2m_waiting);
    FIELD(ESHMSegment, s2m_slots);
    FIELD(ESHMSegment, removed);
    FIELD(ESHMSegment, left_because);
}

static void enumerations(void) {
    SIZE(enum ESHMRole);
    SIZE(enum ESHMDisconnectBehavior);
    SIZE(enum ESHMWakeupMode);
    SIZE(enum ESHMWaitStrategy);
    SIZE(enum ESHMMonitorPolicy);
    SIZE(enum ESHMPeerState);
    SIZE(enum ESHMSegmentKind);
    SIZE(enum ESHMInterest);
    SIZE(enum ESHMError);
}

static void numbers(void) {
    NUMBER(ESHM_ROLE_MASTER);
    NUMBER(ESHM_ROLE_SLAVE);
    NUMBER(ESHM_ROLE_AUTO);
    NUMBER(ESHM_WAKEUP_PUSH);
    NUMBER(ESHM_WAKEUP_POLL);
    NUMBER(ESHM_TIMEOUT_INFINITE);
    NUMBER(ESHM_NO_QUEUE);
    NUMBER(ESHM_PEER_ABSENT);
    NUMBER(ESHM_PEER_ALIVE);
    NUMBER(ESHM_PEER_FROZEN);
    NUMBER(ESHM_PEER_DEAD);
    NUMBER(ESHM_PEER_CLOSED);
    NUMBER(ESHM_INTEREST_READABLE);
    NUMBER(ESHM_INTEREST_VALUE);
    NUMBER(ESHM_INTEREST_WRITABLE);
    NUMBER(ESHM_INTEREST_PEER);
    NUMBER(ESHM_SEGMENT_CURRENT);
    NUMBER(ESHM_SEGMENT_LEGACY);
    NUMBER(ESHM_SEGMENT_UNFINISHED);
    NUMBER(ESHM_SEGMENT_FOREIGN);
    NUMBER(ESHM_SEGMENT_UNREADABLE);
    NUMBER(ESHM_VERSION_MAJOR);
    NUMBER(ESHM_VERSION_MINOR);
    NUMBER(ESHM_VERSION_PATCH);
    NUMBER(ESHM_SUCCESS);
    NUMBER(ESHM_ERROR_INVALID_PARAM);
    NUMBER(ESHM_ERROR_SHM_CREATE);
    NUMBER(ESHM_ERROR_NO_DATA);
    NUMBER(ESHM_ERROR_TIMEOUT);
    NUMBER(ESHM_ERROR_MASTER_STALE);
    NUMBER(ESHM_ERROR_BUFFER_TOO_SMALL);
    NUMBER(ESHM_ERROR_NOT_INITIALIZED);
    NUMBER(ESHM_ERROR_PEER_CLOSED);
    NUMBER(ESHM_ERROR_DISPLACED);
    NUMBER(ESHM_ERROR_INTERNAL);
}

/* The defaults of the options: those of the core's table of settings, see layout.rs. */
#define DEFAULT(name) printf("default " #name " %lld\n", (long long)options.name)

static void defaults(void) {
    const ESHMOptions options = eshm_default_options("x");
    DEFAULT(role);
    DEFAULT(wait);
    DEFAULT(data_size);
    DEFAULT(queue_capacity);
    DEFAULT(connect_timeout_ms);
    DEFAULT(heartbeat_interval_ms);
    DEFAULT(stale_threshold_ms);
    DEFAULT(disconnect);
    DEFAULT(reconnect_timeout_ms);
    DEFAULT(reconnect_interval_ms);
    DEFAULT(reconnect_attempts);
    DEFAULT(mode);
    DEFAULT(group);
    DEFAULT(mode_by_umask);
    DEFAULT(any_owner);
    DEFAULT(steady_heartbeat);
    DEFAULT(give_up);
    DEFAULT(auto_cleanup);
    DEFAULT(background);
    printf("default directory %d\n", options.directory != NULL);
    printf("default prefix %d\n", options.prefix != NULL);
}

/* Every error that a program can be given. */
#define FAILURE(name) printf("error " #name " %d\n", ESHM_##name)

static void errors(void) {
    FAILURE(ERROR_INVALID_PARAM);
    FAILURE(ERROR_SHM_CREATE);
    FAILURE(ERROR_SHM_ATTACH);
    FAILURE(ERROR_SHM_DETACH);
    FAILURE(ERROR_SHM_DELETE);
    FAILURE(ERROR_MUTEX_INIT);
    FAILURE(ERROR_MUTEX_LOCK);
    FAILURE(ERROR_MUTEX_UNLOCK);
    FAILURE(ERROR_NO_DATA);
    FAILURE(ERROR_TIMEOUT);
    FAILURE(ERROR_MASTER_STALE);
    FAILURE(ERROR_BUFFER_FULL);
    FAILURE(ERROR_BUFFER_TOO_SMALL);
    FAILURE(ERROR_NOT_INITIALIZED);
    FAILURE(ERROR_ROLE_MISMATCH);
    FAILURE(ERROR_PEER_CLOSED);
    FAILURE(ERROR_CORRUPT);
    FAILURE(ERROR_FORKED);
    FAILURE(ERROR_DISPLACED);
    FAILURE(ERROR_INTERNAL);
}

/* Names as in protocol/layout.json. */
#define SHARED_SIZE(name, type) printf("shared " name " %zu\n", sizeof(type))
#define SHARED(name, type, field) printf("shared " name "." #field " %zu\n", offsetof(type, field))
#define TAIL(field)                                                                                          \
    printf("shared channel_tail." #field " %zu\n",                                                           \
           offsetof(ESHMChannel, field) - offsetof(ESHMChannel, write_count))

static void segment(void) {
    printf("shared magic %u\n", ESHM_MAGIC);
    printf("shared version %u\n", ESHM_VERSION_WAKING);
    printf("shared version_polling %u\n", ESHM_VERSION_POLLING);
    printf("shared feature_wakes %u\n", ESHM_FEATURE_WAKES);
    SHARED_SIZE("ESHMData", ESHMData);
    SHARED("ESHMData", ESHMData, header);
    SHARED("ESHMData", ESHMData, master_to_slave);
    SHARED("ESHMData", ESHMData, slave_to_master);
    SHARED_SIZE("header", ESHMHeader);
    SHARED("header", ESHMHeader, magic);
    SHARED("header", ESHMHeader, version);
    SHARED("header", ESHMHeader, master_heartbeat);
    SHARED("header", ESHMHeader, slave_heartbeat);
    SHARED("header", ESHMHeader, master_pid);
    SHARED("header", ESHMHeader, slave_pid);
    SHARED("header", ESHMHeader, master_alive);
    SHARED("header", ESHMHeader, slave_alive);
    SHARED("header", ESHMHeader, stale_threshold);
    SHARED("header", ESHMHeader, master_generation);
    SHARED("header", ESHMHeader, features);
    SHARED("header", ESHMHeader, layout_size);
    SHARED("header", ESHMHeader, extension);
    SHARED("header", ESHMHeader, data_size);
    SHARED("header", ESHMHeader, master_capabilities);
    SHARED("header", ESHMHeader, slave_capabilities);
    SHARED("header", ESHMHeader, master_signature);
    SHARED("header", ESHMHeader, slave_signature);
    SHARED("header", ESHMHeader, slave_generation);
    SHARED("header", ESHMHeader, queue_slots);
    SHARED("header", ESHMHeader, queue_offset);
    SHARED("header", ESHMHeader, queue_capacity);
    SHARED("header", ESHMHeader, slave_stale_threshold);
    SHARED("header", ESHMHeader, reserved);
    SHARED("channel_head", ESHMChannel, sequence);
    SHARED("channel_head", ESHMChannel, data_size);
    TAIL(write_count);
    TAIL(read_count);
    TAIL(wake_seq);
    TAIL(waiters);
    TAIL(unused);
    TAIL(taken);
    TAIL(taken_waiters);
    TAIL(reserved);
}

int main(void) {
    options();
    views();
    statistics();
    segments();
    enumerations();
    numbers();
    defaults();
    errors();
    segment();
    return 0;
}
