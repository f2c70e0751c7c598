/*
 * What scripts/test_instructions.sh counts of C: each verb at both ends. See src/main.rs, which does the same
 * in Rust.
 */
#include <eshm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FEW = 100, MANY = 500, BATCH = 8, LONGEST = 4096 };

typedef void Call(ESHMHandle* handle, size_t bytes);

static const uint32_t turns[] = {FEW, FEW, MANY};
enum { TURNS = sizeof turns / sizeof *turns };

/* At the start of a cache line: the instructions of a copy depend on the alignment. */
static _Alignas(64) char message[LONGEST];
static _Alignas(64) char buffer[BATCH * LONGEST];
static ESHMHandle* master;
static ESHMHandle* slave;

static void check(int result) {
    if (result >= 0)
        return;
    fprintf(stderr, "instructions: %s\n", eshm_last_error());
    exit(1);
}

/* The only function in which callgrind counts. */
__attribute__((noinline)) static void counted(uint32_t calls, Call* call, ESHMHandle* handle, size_t bytes) {
    for (uint32_t i = 0; i < calls; i++)
        call(handle, bytes);
}

/* Callgrind ends a part of its report here. */
__attribute__((noinline)) static void part_ends(const char* end, const char* verb, size_t bytes,
                                                uint32_t calls) {
    printf("c %s %s %zu %u\n", end, verb, bytes, calls);
}

static void fill(uint32_t messages, size_t bytes) {
    for (uint32_t i = 0; i < messages; i++)
        check(eshm_send_ex(master, message, bytes, 0));
}

static void drain(void) {
    int result;
    while ((result = eshm_recv(slave, buffer, sizeof buffer, NULL, 0)) == ESHM_SUCCESS) {
    }
    if (result != ESHM_ERROR_NO_DATA && result != ESHM_ERROR_TIMEOUT)
        check(result);
}

/* Counts a verb of the sender: its messages fit into the empty queue. */
static void sends(const char* verb, size_t bytes, Call* call) {
    for (int turn = 0; turn < TURNS; turn++) {
        counted(turns[turn], call, master, bytes);
        part_ends("sender", verb, bytes, turns[turn]);
        drain();
    }
}

/* Counts a verb of the receiver: every message that it asks for is there. */
static void receives(const char* verb, size_t bytes, uint32_t messages, Call* call) {
    for (int turn = 0; turn < TURNS; turn++) {
        fill(turns[turn] * messages, bytes);
        counted(turns[turn], call, slave, bytes);
        part_ends("receiver", verb, bytes, turns[turn]);
        if (eshm_recv(slave, buffer, sizeof buffer, NULL, 0) == ESHM_SUCCESS) {
            fprintf(stderr, "instructions: %s has left a message\n", verb);
            exit(1);
        }
    }
}

/* Counts a verb that reads: a new value is there before each call. */
static void reads(const char* verb, size_t bytes, Call* call) {
    for (int turn = 0; turn < TURNS; turn++) {
        for (uint32_t i = 0; i < turns[turn]; i++) {
            check(eshm_write(master, message, bytes));
            counted(1, call, slave, bytes);
        }
        part_ends("receiver", verb, bytes, turns[turn]);
    }
}

static void call_write(ESHMHandle* handle, size_t bytes) { check(eshm_write(handle, message, bytes)); }
static void call_send(ESHMHandle* handle, size_t bytes) { check(eshm_send(handle, message, bytes)); }
static void call_try_send(ESHMHandle* handle, size_t bytes) {
    check(eshm_send_ex(handle, message, bytes, 0));
}

static void call_loan(ESHMHandle* handle, size_t bytes) {
    void* data;
    check(eshm_loan(handle, bytes, &data, ESHM_TIMEOUT_INFINITE));
    memcpy(data, message, bytes);
    check(eshm_loan_send(handle));
}

static void call_send_batch(ESHMHandle* handle, size_t bytes) {
    ESHMBuffer batch[BATCH];
    for (int i = 0; i < BATCH; i++)
        batch[i] = (ESHMBuffer){message, bytes};
    check(eshm_send_batch(handle, batch, BATCH, NULL, ESHM_TIMEOUT_INFINITE));
}

static void receive(ESHMHandle* handle, size_t bytes, uint32_t timeout) {
    size_t size;
    check(eshm_recv(handle, buffer, sizeof buffer, &size, timeout));
    if (size != bytes)
        abort();
}

static void call_recv(ESHMHandle* handle, size_t bytes) { receive(handle, bytes, ESHM_TIMEOUT_INFINITE); }
static void call_try_recv(ESHMHandle* handle, size_t bytes) { receive(handle, bytes, 0); }

static void call_borrow(ESHMHandle* handle, size_t bytes) {
    const void* data;
    size_t size;
    check(eshm_recv_borrow(handle, &data, &size, ESHM_TIMEOUT_INFINITE));
    if (size != bytes)
        abort();
    check(eshm_release(handle));
}

static void call_recv_batch(ESHMHandle* handle, size_t bytes) {
    size_t sizes[BATCH], count;
    check(eshm_recv_batch(handle, buffer, sizeof buffer, sizes, BATCH, &count, ESHM_TIMEOUT_INFINITE));
    if (count != BATCH || sizes[0] != bytes)
        abort();
}

static void read_value(ESHMHandle* handle, size_t bytes, uint32_t timeout) {
    size_t size;
    check(eshm_read_ex(handle, buffer, sizeof buffer, &size, timeout));
    if (size != bytes)
        abort();
}

static void call_read(ESHMHandle* handle, size_t bytes) { read_value(handle, bytes, ESHM_TIMEOUT_INFINITE); }
static void call_try_read(ESHMHandle* handle, size_t bytes) { read_value(handle, bytes, 0); }

static ESHMHandle* open_as(enum ESHMRole role, const char* name) {
    ESHMOptions options = eshm_default_options(name);
    ESHMHandle* handle;
    options.role = role;
    /* Neither a time-out nor a heartbeat ends in a run. */
    options.stale_threshold_ms = 3600 * 1000;
    options.heartbeat_interval_ms = 1000;
    /* Every message of the longest turn has its place in the queue. */
    options.queue_capacity = 24 << 20;
    check(eshm_open(&options, &handle));
    return handle;
}

static void count(size_t bytes) {
    char name[64];
    snprintf(name, sizeof name, "instructions-%ld", (long)getpid());
    master = open_as(ESHM_ROLE_MASTER, name);
    slave = open_as(ESHM_ROLE_SLAVE, name);
    sends("eshm_send", bytes, call_send);
    sends("eshm_send_ex(0)", bytes, call_try_send);
    sends("eshm_loan+eshm_loan_send", bytes, call_loan);
    sends("eshm_send_batch(8)", bytes, call_send_batch);
    receives("eshm_recv", bytes, 1, call_recv);
    receives("eshm_recv(0)", bytes, 1, call_try_recv);
    receives("eshm_recv_borrow+eshm_release", bytes, 1, call_borrow);
    receives("eshm_recv_batch(8)", bytes, BATCH, call_recv_batch);
    sends("eshm_write", bytes, call_write);
    reads("eshm_read_ex", bytes, call_read);
    reads("eshm_read_ex(0)", bytes, call_try_read);
    check(eshm_destroy(slave));
    check(eshm_destroy(master));
}

int main(void) {
    memset(message, 7, sizeof message);
    count(56);
    count(LONGEST);
    return 0;
}
