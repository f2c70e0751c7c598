/* A small harness: named cases. The first check that fails ends the program. */
#ifndef CHECK_H
#define CHECK_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct Case {
    const char* name; /* what it checks */
    void (*run)(void);
} Case;

/* The segment name of the running case, which no other case uses. */
static char segment[128];
static int case_number;

static inline void remove_segment(void) {
    char path[160];
    snprintf(path, sizeof path, "/dev/shm/eshm_%s", segment);
    unlink(path);
}

static inline int segment_exists(void) {
    char path[160];
    snprintf(path, sizeof path, "/dev/shm/eshm_%s", segment);
    return access(path, F_OK) == 0;
}

static inline void fail_check(const char* file, int line, const char* what, long found, long expected) {
    fprintf(stderr, "%s:%d: %s is %ld, expected %ld\n", file, line, what, found, expected);
    remove_segment();
    _exit(1);
}

#define CHECK(condition) ((condition) ? (void)0 : fail_check(__FILE__, __LINE__, #condition, 0, 1))
#define CHECK_IS(found, expected)                                                                            \
    do {                                                                                                     \
        long found_ = (long)(found), expected_ = (long)(expected);                                           \
        if (found_ != expected_)                                                                             \
            fail_check(__FILE__, __LINE__, #found, found_, expected_);                                       \
    } while (0)

static inline double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static inline void pause_ms(long ms) {
    struct timespec time;
    time.tv_sec = ms / 1000;
    time.tv_nsec = ms % 1000 * 1000000;
    nanosleep(&time, NULL);
}

/* Waits for something that other threads or processes bring about, with a watchdog. */
#define AWAIT(condition)                                                                                     \
    do {                                                                                                     \
        double until_ = now_ms() + 20000;                                                                    \
        while (!(condition)) {                                                                               \
            if (now_ms() > until_)                                                                           \
                fail_check(__FILE__, __LINE__, "after 20 s: " #condition, 0, 1);                             \
            pause_ms(1);                                                                                     \
        }                                                                                                    \
    } while (0)

/* Runs `body` in a process of its own. It exits with 0 unless a check fails. */
static inline pid_t start_process(void (*body)(void)) {
    pid_t child;
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(240);
        body();
        exit(0);
    }
    return child;
}

static inline void await_success(pid_t child) {
    int status = 0;
    CHECK_IS(waitpid(child, &status, 0), child);
    CHECK_IS(status, 0);
}

static inline void kill_process(pid_t child) {
    CHECK_IS(kill(child, SIGKILL), 0);
    CHECK_IS(waitpid(child, NULL, 0), child);
}

static inline int run_cases(const char* program, const Case* cases, size_t count) {
    size_t i;
    /* Ends a case that hangs. */
    alarm(240);
    for (i = 0; i < count; i++) {
        snprintf(segment, sizeof segment, "%s-%ld-%d", program, (long)getpid(), ++case_number);
        printf("  %s: %s\n", program, cases[i].name);
        fflush(stdout);
        cases[i].run();
        remove_segment();
    }
    return 0;
}

#define RUN_CASES(program, cases) run_cases(program, cases, sizeof(cases) / sizeof(cases)[0])

#endif
