/* Handles that threads share. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>
#include <pthread.h>

#include "check.h"

static ESHMHandle *master, *slave;

static ESHMHandle* open_as(enum ESHMRole role) {
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle* handle;
    config.role = role;
    handle = eshm_init(&config);
    CHECK(handle != NULL);
    return handle;
}

static void open_pair(void) {
    master = open_as(ESHM_ROLE_MASTER);
    slave = open_as(ESHM_ROLE_SLAVE);
}

static void close_pair(void) {
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static pthread_t start_thread(void* (*body)(void*), void* argument) {
    pthread_t thread;
    CHECK_IS(pthread_create(&thread, NULL, body, argument), 0);
    return thread;
}

/* Returns whether the reader of a channel is parked in the kernel, by the segment's count. */
static int is_parked(ESHMHandle* writer, char* value) {
    ESHMInfo before, after;
    before.struct_size = after.struct_size = sizeof before;
    CHECK_IS(eshm_get_info(writer, &before), ESHM_SUCCESS);
    CHECK_IS(eshm_write(writer, value, 1), ESHM_SUCCESS);
    CHECK_IS(eshm_get_info(writer, &after), ESHM_SUCCESS);
    return after.wakeups > before.wakeups;
}

static void* read_until_q(void* handle) {
    char in[8] = {0};
    while (in[0] != 'q')
        CHECK_IS(eshm_read_ex(handle, in, sizeof in, NULL, ESHM_TIMEOUT_INFINITE), ESHM_SUCCESS);
    return NULL;
}

static void full_duplex(void) {
    int i;
    char in[8];
    pthread_t reader;
    open_pair();
    reader = start_thread(read_until_q, slave);
    AWAIT(is_parked(master, "a"));
    /* The slave's handle is in a blocking read. It writes and answers questions meanwhile. */
    for (i = 0; i < 1000; i++) {
        bool alive;
        ESHMStats stats;
        CHECK_IS(eshm_write(slave, "w", 1), ESHM_SUCCESS);
        CHECK_IS(eshm_read(master, in, sizeof in), 1);
        CHECK_IS(eshm_get_stats(slave, &stats), ESHM_SUCCESS);
        CHECK_IS(eshm_check_remote_alive(slave, &alive), ESHM_SUCCESS);
    }
    CHECK_IS(eshm_write(master, "q", 1), ESHM_SUCCESS);
    CHECK_IS(pthread_join(reader, NULL), 0);
    close_pair();
}

static void* read_destroyed(void* handle) {
    char in[8] = {0};
    while (eshm_read_ex(handle, in, sizeof in, NULL, ESHM_TIMEOUT_INFINITE) == ESHM_SUCCESS)
        continue;
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_NOT_INITIALIZED);
    return NULL;
}

static void* recv_destroyed(void* handle) {
    char in[8];
    CHECK_IS(eshm_recv(handle, in, sizeof in, NULL, ESHM_TIMEOUT_INFINITE), ESHM_ERROR_NOT_INITIALIZED);
    return NULL;
}

static void* send_destroyed(void* handle) {
    while (eshm_send(handle, "x", 1) == ESHM_SUCCESS)
        continue;
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_NOT_INITIALIZED);
    return NULL;
}

static void* wait_destroyed(void* handle) {
    while (eshm_wait_for_peer(handle, ESHM_TIMEOUT_INFINITE) == ESHM_SUCCESS)
        continue;
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_NOT_INITIALIZED);
    return NULL;
}

static void destroyed_in_use(void) {
    void* (*bodies[])(void*) = {read_destroyed, recv_destroyed, send_destroyed, wait_destroyed};
    size_t i;
    for (i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        pthread_t thread;
        open_pair();
        thread = start_thread(bodies[i], master);
        AWAIT(bodies[i] != read_destroyed || is_parked(slave, "a"));
        pause_ms(20);
        CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
        CHECK(!segment_exists());
        CHECK_IS(pthread_join(thread, NULL), 0);
        CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    }
}

enum { SENDERS = 4, EACH = 5000 };

static void* send_each(void* unused) {
    int i;
    (void)unused;
    for (i = 0; i < EACH; i++)
        CHECK_IS(eshm_send(master, &i, sizeof i), ESHM_SUCCESS);
    return NULL;
}

static void* recv_sum(void* sum) {
    int value;
    while (eshm_recv(slave, &value, sizeof value, NULL, ESHM_TIMEOUT_INFINITE) == ESHM_SUCCESS)
        *(long*)sum += value;
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_PEER_CLOSED);
    return NULL;
}

static void many_threads(void) {
    pthread_t senders[SENDERS], receivers[2];
    long sums[2] = {0, 0};
    int i;
    open_pair();
    for (i = 0; i < 2; i++)
        receivers[i] = start_thread(recv_sum, &sums[i]);
    for (i = 0; i < SENDERS; i++)
        senders[i] = start_thread(send_each, NULL);
    for (i = 0; i < SENDERS; i++)
        CHECK_IS(pthread_join(senders[i], NULL), 0);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    for (i = 0; i < 2; i++)
        CHECK_IS(pthread_join(receivers[i], NULL), 0);
    CHECK_IS(sums[0] + sums[1], (long)SENDERS * EACH * (EACH - 1) / 2);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
}

static void* destroy_it(void* handle) { return eshm_destroy(handle) == ESHM_SUCCESS ? handle : NULL; }

static void destroyed_by_two(void) {
    int i;
    for (i = 0; i < 100; i++) {
        void *first, *second;
        pthread_t threads[2];
        open_pair();
        threads[0] = start_thread(destroy_it, master);
        threads[1] = start_thread(destroy_it, master);
        CHECK_IS(pthread_join(threads[0], &first), 0);
        CHECK_IS(pthread_join(threads[1], &second), 0);
        CHECK_IS((first != NULL) + (second != NULL), 1);
        CHECK(!segment_exists());
        CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    }
}

static void* own_error(void* unused) {
    (void)unused;
    CHECK_IS(eshm_last_error_code(), ESHM_SUCCESS);
    CHECK(strcmp(eshm_last_error(), "") == 0);
    CHECK_IS(eshm_destroy(NULL), ESHM_ERROR_INVALID_PARAM);
    return NULL;
}

static void errors_of_threads(void) {
    char in[1];
    open_pair();
    CHECK_IS(eshm_read_ex(slave, in, sizeof in, NULL, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(pthread_join(start_thread(own_error, NULL), NULL), 0);
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_NO_DATA);
    close_pair();
}

int main(void) {
    static const Case cases[] = {
        {"one thread writes while another is blocked in a read", full_duplex},
        {"a destroy ends the calls that wait in other threads", destroyed_in_use},
        {"many threads send and receive on one handle", many_threads},
        {"of two threads that destroy one handle, one succeeds", destroyed_by_two},
        {"each thread has its own last error", errors_of_threads},
    };
    return RUN_CASES("threads", cases);
}
