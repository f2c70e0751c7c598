/*
 * Measures ESHM for C on this machine: two processes, messages of 56 bytes.
 *
 *   cc -O2 measure.c $(pkg-config --cflags --libs eshm) -o measure && ./measure [SECONDS]
 *
 * Each figure is the median of five turns of SECONDS (1) each; the first second is not counted.
 */
#define _GNU_SOURCE
#include <eshm.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TURNS = 5, SIZE = 56 };

typedef struct Message {
    uint64_t number; /* 0: the last one */
    char rest[SIZE - 8];
} Message;

typedef struct Rates {
    double sent, received; /* per second */
} Rates;

typedef Rates Turn(ESHMHandle* master, double seconds);

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void check(int result) {
    if (result >= 0)
        return;
    fprintf(stderr, "measure: %s\n", eshm_last_error());
    exit(1);
}

/* Each process has a core of its own, if there are two. */
static void pin(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    sched_setaffinity(0, sizeof cores, &cores);
}

static ESHMHandle* open_as(enum ESHMRole role, const char* name) {
    ESHMOptions config = eshm_default_options(name);
    ESHMHandle* handle;
    config.role = role;
    check(eshm_open(&config, &handle));
    check(eshm_wait_for_peer(handle, 5000));
    return handle;
}

/* ---- The slave's side: until the message with number 0 ---- */

static void read_values(ESHMHandle* slave) {
    Message message = {1, ""};
    uint64_t reads = 0, last = 0;
    while (message.number != 0) {
        check(eshm_read_ex(slave, &message, sizeof message, NULL, 20000));
        reads++;
        if (message.number != 0 && message.number <= last)
            exit(3); /* the same value twice */
        last = message.number;
    }
    check(eshm_send(slave, &reads, sizeof reads));
}

static void receive_messages(ESHMHandle* slave) {
    Message message;
    uint64_t expected = 1;
    for (;; expected++) {
        check(eshm_recv(slave, &message, sizeof message, NULL, 20000));
        if (message.number == 0)
            break;
        if (message.number != expected)
            exit(4); /* one was lost */
    }
    check(eshm_send(slave, &expected, sizeof expected));
}

static void answer_values(ESHMHandle* slave) {
    Message message = {1, ""};
    while (message.number != 0) {
        check(eshm_read_ex(slave, &message, sizeof message, NULL, 20000));
        check(eshm_write(slave, &message, sizeof message));
    }
}

static void answer_messages(ESHMHandle* slave) {
    Message message = {1, ""};
    while (message.number != 0) {
        check(eshm_recv(slave, &message, sizeof message, NULL, 20000));
        check(eshm_send(slave, &message, sizeof message));
    }
}

/* ---- The master's side ---- */

static Rates flood(ESHMHandle* master, double seconds, int (*put)(ESHMHandle*, const void*, size_t)) {
    Message message = {0, ""};
    uint64_t received;
    double start = now(), took;
    Rates rates;
    do
        for (int i = 0; i < 1000; i++) {
            message.number++;
            check(put(master, &message, sizeof message));
        }
    while (now() - start < seconds);
    took = now() - start;
    rates.sent = (double)message.number / took;
    message.number = 0;
    check(put(master, &message, sizeof message));
    check(eshm_recv(master, &received, sizeof received, NULL, 20000));
    rates.received = (double)received / (now() - start);
    return rates;
}

static Rates flood_values(ESHMHandle* master, double seconds) { return flood(master, seconds, eshm_write); }
static Rates flood_messages(ESHMHandle* master, double seconds) { return flood(master, seconds, eshm_send); }

static void ask_value(ESHMHandle* master, Message* message) {
    check(eshm_write(master, message, sizeof *message));
    check(eshm_read_ex(master, message, sizeof *message, NULL, 20000));
}

static void ask_message(ESHMHandle* master, Message* message) {
    check(eshm_send(master, message, sizeof *message));
    check(eshm_recv(master, message, sizeof *message, NULL, 20000));
}

static Rates ask(ESHMHandle* master, double seconds, void (*one)(ESHMHandle*, Message*)) {
    Message message = {0, ""};
    uint64_t count = 0;
    double start = now();
    Rates rates;
    do
        for (int i = 0; i < 100; i++) {
            message.number = ++count;
            one(master, &message);
        }
    while (now() - start < seconds);
    rates.sent = rates.received = (double)count / (now() - start);
    message.number = 0;
    one(master, &message);
    return rates;
}

static Rates ask_values(ESHMHandle* master, double seconds) { return ask(master, seconds, ask_value); }
static Rates ask_messages(ESHMHandle* master, double seconds) { return ask(master, seconds, ask_message); }

static Rates measure(Turn* turn, void (*slave)(ESHMHandle*), double seconds) {
    char name[64];
    Rates rates;
    int status = 1;
    ESHMHandle* master;
    snprintf(name, sizeof name, "measure-%ld", (long)getpid());
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        pin(1);
        ESHMHandle* handle = open_as(ESHM_ROLE_SLAVE, name);
        slave(handle);
        exit(eshm_destroy(handle) == ESHM_SUCCESS ? 0 : 2);
    }
    pin(0);
    master = open_as(ESHM_ROLE_MASTER, name);
    rates = turn(master, seconds);
    if (waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "measure: the slave failed: %d\n", WEXITSTATUS(status));
        exit(1);
    }
    check(eshm_destroy(master));
    return rates;
}

static int by_received(const void* one, const void* other) {
    double a = ((const Rates*)one)->received, b = ((const Rates*)other)->received;
    return (a > b) - (a < b);
}

static Rates median(Turn* turn, void (*slave)(ESHMHandle*), double seconds) {
    Rates rates[TURNS];
    for (int i = 0; i < TURNS; i++)
        rates[i] = measure(turn, slave, seconds);
    qsort(rates, TURNS, sizeof *rates, by_received);
    return rates[TURNS / 2];
}

int main(int count, char** words) {
    double seconds = count > 1 ? atof(words[1]) : 1;
    Rates rates;
    measure(ask_messages, answer_messages, seconds < 1 ? seconds : 1);
    rates = median(flood_values, read_values, seconds);
    printf("eshm_write, flooded      %6.2f M written/s, %.2f M read/s, none twice\n", rates.sent / 1e6,
           rates.received / 1e6);
    rates = median(flood_messages, receive_messages, seconds);
    printf("eshm_send, flooded       %6.2f M sent/s, all received\n", rates.received / 1e6);
    rates = median(ask_values, answer_values, seconds);
    printf("eshm_write / eshm_read   %6.3f us there and back\n", 1e6 / rates.sent);
    rates = median(ask_messages, answer_messages, seconds);
    printf("eshm_send / eshm_recv    %6.3f us there and back\n", 1e6 / rates.sent);
    return 0;
}
