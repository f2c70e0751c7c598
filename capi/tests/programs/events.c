/* Event descriptors and wait sets. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

#include "pair.h"

enum { WATCHDOG = 20000 };

static int is_readable(int fd, int timeout_ms) {
    struct pollfd one = {fd, POLLIN, 0};
    int ready = poll(&one, 1, timeout_ms);
    CHECK(ready >= 0);
    return ready == 1;
}

/* Opens a pair, and returns the descriptor of the slave. */
static int open_with_fd(uint32_t interest, size_t queue_capacity) {
    int fd;
    open_pair(0, queue_capacity);
    fd = eshm_fd(slave, interest);
    CHECK(fd >= 0);
    CHECK(is_readable(fd, 0));
    return fd;
}

/* The calls that find nothing. */

static int no_message(void) {
    char in[8];
    return eshm_recv(slave, in, sizeof in, NULL, 0) == ESHM_ERROR_NO_DATA;
}

static int no_value(void) {
    char in[8];
    return eshm_read_ex(slave, in, sizeof in, NULL, 0) == ESHM_ERROR_NO_DATA;
}

static int peer_is(ESHMPeerState expected) {
    ESHMPeerState state;
    CHECK_IS(eshm_peer_state(slave, &state), ESHM_SUCCESS);
    return state == expected;
}

static int peer_is_alive(void) { return peer_is(ESHM_PEER_ALIVE); }
static int peer_is_closed(void) { return peer_is(ESHM_PEER_CLOSED); }

static void readable(void) {
    char in[8];
    size_t size;
    int fd = open_with_fd(ESHM_INTEREST_READABLE, 0);
    AWAIT(no_message() && !is_readable(fd, 0));
    CHECK_IS(eshm_send(master, "one", 3), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "two", 3), ESHM_SUCCESS);
    CHECK(is_readable(fd, WATCHDOG));
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 0), ESHM_SUCCESS);
    CHECK(is_readable(fd, 0));
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 0), ESHM_SUCCESS);
    AWAIT(no_message() && !is_readable(fd, 0));
    /* A value is not what was asked for, until it is. */
    CHECK_IS(eshm_write(master, "value", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_fd(slave, ESHM_INTEREST_VALUE), fd);
    CHECK(is_readable(fd, WATCHDOG));
    CHECK_IS(eshm_read_ex(slave, in, sizeof in, &size, 0), ESHM_SUCCESS);
    CHECK_IS(size, 5);
    AWAIT(no_value() && !is_readable(fd, 0));
    CHECK_IS(eshm_write(master, "next", 4), ESHM_SUCCESS);
    CHECK(is_readable(fd, WATCHDOG));
    close_pair();
}

static void writable(void) {
    char in[600];
    int fd = open_with_fd(ESHM_INTEREST_WRITABLE, 4096);
    int code;
    do
        code = eshm_send_ex(slave, in, sizeof in, 0);
    while (code == ESHM_SUCCESS);
    CHECK_IS(code, ESHM_ERROR_BUFFER_FULL);
    AWAIT(eshm_send_ex(slave, in, sizeof in, 0) == ESHM_ERROR_BUFFER_FULL && !is_readable(fd, 0));
    CHECK_IS(eshm_recv(master, in, sizeof in, NULL, 0), ESHM_SUCCESS);
    CHECK(is_readable(fd, WATCHDOG));
    CHECK_IS(eshm_send_ex(slave, in, sizeof in, 0), ESHM_SUCCESS);
    close_pair();
}

static void peer(void) {
    int fd = open_with_fd(ESHM_INTEREST_PEER, 0);
    AWAIT(peer_is_alive() && !is_readable(fd, 0));
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK(is_readable(fd, WATCHDOG));
    AWAIT(peer_is_closed() && !is_readable(fd, 0));
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
}

static uint64_t wait_for_one(ESHMWaitSet* set) {
    uint64_t token = 99;
    size_t count = 7;
    CHECK_IS(eshm_wait_set_wait(set, &token, 1, &count, WATCHDOG), ESHM_SUCCESS);
    CHECK_IS(count, 1);
    return token;
}

static int is_idle(ESHMWaitSet* set) {
    uint64_t token;
    size_t count = 7;
    int code = eshm_wait_set_wait(set, &token, 1, &count, 0);
    CHECK(code == ESHM_ERROR_NO_DATA || code == ESHM_SUCCESS);
    CHECK_IS(count, code == ESHM_SUCCESS);
    return code == ESHM_ERROR_NO_DATA;
}

static void wait_set(void) {
    ESHMWaitSet *set, *outer;
    uint64_t tokens[8], seen = 0;
    size_t count, i;
    int ends[2];
    open_pair(0, 0);
    CHECK_IS(pipe(ends), 0);
    CHECK_IS(eshm_wait_set_new(&set), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_wait(set, tokens, 8, &count, 5), ESHM_ERROR_TIMEOUT);
    CHECK_IS(eshm_wait_set_add(set, slave, ESHM_INTEREST_READABLE, 0), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_add_fd(set, ends[0], UINT64_MAX - 1), ESHM_SUCCESS);
    AWAIT(no_message() && is_idle(set));
    CHECK_IS(eshm_send(master, "one", 3), ESHM_SUCCESS);
    CHECK_IS(wait_for_one(set), 0);
    CHECK_IS(write(ends[1], "x", 1), 1);
    /* Of two that are ready, each has its turn. */
    for (i = 0; i < 2; i++)
        seen |= wait_for_one(set) == 0 ? 1 : 2;
    CHECK_IS(seen, 3);
    CHECK_IS(eshm_wait_set_wait(set, tokens, 8, &count, WATCHDOG), ESHM_SUCCESS);
    CHECK_IS(count, 2);
    /* The set in a set. */
    CHECK_IS(eshm_wait_set_new(&outer), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_add_fd(outer, eshm_wait_set_fd(set), 3), ESHM_SUCCESS);
    CHECK_IS(wait_for_one(outer), 3);
    CHECK_IS(eshm_wait_set_free(outer), ESHM_SUCCESS);
    /* A descriptor that the program closes is not another file's afterwards. */
    close(ends[0]);
    CHECK_IS(open("/dev/null", O_RDONLY), ends[0]);
    CHECK_IS(eshm_wait_set_remove(set, UINT64_MAX - 1), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_remove(set, UINT64_MAX - 1), ESHM_ERROR_INVALID_PARAM);
    close(ends[0]);
    close(ends[1]);
    /* After its end the endpoint is ready until it is removed, and says why. */
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(wait_for_one(set), 0);
    CHECK_IS(eshm_recv(slave, tokens, 8, NULL, 0), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_wait_set_remove(set, 0), ESHM_SUCCESS);
    CHECK(is_idle(set));
    CHECK_IS(eshm_wait_set_free(set), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_free(set), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void refused(void) {
    ESHMWaitSet* set;
    uint64_t token;
    size_t count;
    ESHMPeerState state;
    int file = open("/etc/passwd", O_RDONLY);
    open_pair(0, 0);
    CHECK_IS(eshm_fd(NULL, ESHM_INTEREST_READABLE), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_fd(slave, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_fd(slave, 16), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "interest is 0x10") != NULL);
    CHECK_IS(eshm_peer_state(slave, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_peer_state(NULL, &state), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_new(NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_free(NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_new(&set), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_add(set, slave, ESHM_INTEREST_READABLE, UINT64_MAX), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_add(set, slave, 0, 1), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_add(set, (ESHMHandle*)set, 1, 1), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_wait_set_add((ESHMWaitSet*)slave, slave, 1, 1), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_wait_set_add(set, slave, ESHM_INTEREST_READABLE, 1), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_add(set, slave, ESHM_INTEREST_READABLE, 2), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "has this endpoint already") != NULL);
    CHECK_IS(eshm_wait_set_add(set, master, ESHM_INTEREST_READABLE, 1), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "the token 1 is in use") != NULL);
    CHECK_IS(eshm_wait_set_add_fd(set, -1, 3), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_add_fd(set, 1000000, 3), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "not open") != NULL);
    CHECK_IS(eshm_wait_set_add_fd(set, file, 3), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "cannot be waited for") != NULL);
    CHECK_IS(eshm_wait_set_remove(set, 3), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_wait(set, &token, 1, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_wait(set, NULL, 1, &count, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_wait(set, &token, 0, &count, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_set_free(set), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_fd(set), ESHM_ERROR_NOT_INITIALIZED);
    close(file);
    close_pair();
}

static void without_descriptors(void) {
    struct rlimit before, none;
    ESHMWaitSet* set;
    char in[8];
    open_pair(0, 0);
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_IS(eshm_fd(slave, ESHM_INTEREST_READABLE), ESHM_ERROR_SHM_ATTACH);
    CHECK(strstr(eshm_last_error(), "ulimit -n") != NULL);
    CHECK_IS(eshm_wait_set_new(&set), ESHM_ERROR_SHM_ATTACH);
    CHECK(set == NULL);
    CHECK(strstr(eshm_last_error(), "ulimit -n") != NULL);
    CHECK_IS(eshm_send(master, "one", 3), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, in, sizeof in, NULL, 1000), ESHM_SUCCESS);
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &before), 0);
    close_pair();
}

static void* wait_for_ever(void* set) {
    uint64_t token;
    size_t count;
    CHECK_IS(eshm_wait_set_wait(set, &token, 1, &count, ESHM_TIMEOUT_INFINITE), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(count, 0);
    return NULL;
}

static void* wait_for_seven(void* set) {
    CHECK_IS(wait_for_one(set), 7);
    return NULL;
}

static void threads(void) {
    ESHMWaitSet* set;
    pthread_t waiting[3];
    int i;
    open_pair(0, 0);
    CHECK_IS(eshm_wait_set_new(&set), ESHM_SUCCESS);
    /* Added while another thread waits. */
    CHECK_IS(pthread_create(&waiting[0], NULL, wait_for_seven, set), 0);
    CHECK_IS(eshm_wait_set_add(set, slave, ESHM_INTEREST_READABLE, 7), ESHM_SUCCESS);
    CHECK_IS(pthread_join(waiting[0], NULL), 0);
    CHECK_IS(eshm_wait_set_remove(set, 7), ESHM_SUCCESS);
    for (i = 0; i < 3; i++)
        CHECK_IS(pthread_create(&waiting[i], NULL, wait_for_ever, set), 0);
    CHECK_IS(eshm_wait_set_free(set), ESHM_SUCCESS);
    for (i = 0; i < 3; i++)
        CHECK_IS(pthread_join(waiting[i], NULL), 0);
    close_pair();
}

static ESHMWaitSet* set_of_parent;
static int fd_of_parent;

static void in_child(void) {
    uint64_t token;
    size_t count;
    ESHMPeerState state;
    CHECK(is_readable(fd_of_parent, 0));
    CHECK(no_message() == 0);
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_fd(slave, ESHM_INTEREST_READABLE), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_peer_state(slave, &state), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_wait_set_wait(set_of_parent, &token, 1, &count, 0), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_wait_set_remove(set_of_parent, 1), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_wait_set_fd(set_of_parent), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_wait_set_free(set_of_parent), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_free(set_of_parent), ESHM_ERROR_NOT_INITIALIZED);
}

static void stay(void) {
    for (;;)
        pause();
}

/* A child has its copy of all that ends the waits. */
static void frees_beside_a_child(void) {
    ESHMWaitSet* set;
    pthread_t waiting;
    pid_t child;
    CHECK_IS(eshm_wait_set_new(&set), ESHM_SUCCESS);
    child = start_process(stay);
    CHECK_IS(pthread_create(&waiting, NULL, wait_for_ever, set), 0);
    CHECK_IS(eshm_wait_set_free(set), ESHM_SUCCESS);
    CHECK_IS(pthread_join(waiting, NULL), 0);
    kill_process(child);
}

static void forks(void) {
    fd_of_parent = open_with_fd(ESHM_INTEREST_READABLE, 0);
    CHECK_IS(eshm_wait_set_new(&set_of_parent), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_set_add(set_of_parent, slave, ESHM_INTEREST_READABLE, 1), ESHM_SUCCESS);
    AWAIT(no_message() && is_idle(set_of_parent));
    await_success(start_process(in_child));
    CHECK_IS(eshm_send(master, "one", 3), ESHM_SUCCESS);
    CHECK_IS(wait_for_one(set_of_parent), 1);
    CHECK_IS(eshm_wait_set_free(set_of_parent), ESHM_SUCCESS);
    close_pair();
}

int main(void) {
    static const Case cases[] = {
        {"the descriptor is readable while there is a message or a value to take", readable},
        {"the descriptor is readable when there is room again", writable},
        {"the descriptor is readable until a change of the peer is noticed", peer},
        {"a wait set returns the tokens of endpoints and other descriptors", wait_set},
        {"what cannot be waited for is refused", refused},
        {"without descriptors an error names the limit, and the endpoint works", without_descriptors},
        {"other threads add to a set, and end its waits", threads},
        {"a forked child leaves the descriptor and the set of its parent alone", forks},
        {"a set is freed while a forked child lives", frees_beside_a_child},
    };
    return RUN_CASES("events", cases);
}
