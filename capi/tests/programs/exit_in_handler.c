/* A signal handler calls exit, as in many programs, while it interrupts a call of the library. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>

#include "check.h"

enum { PROCESSES = 200 };

static int ready[2];

static void leave(int number) {
    (void)number;
    exit(0);
}

static void work(void) {
    ESHMConfig config = eshm_default_config(segment);
    struct sigaction action;
    ESHMHandle* handle;
    ESHMStats stats;
    config.role = ESHM_ROLE_MASTER;
    handle = eshm_init(&config);
    CHECK(handle != NULL);
    memset(&action, 0, sizeof action);
    action.sa_handler = leave;
    CHECK_IS(sigaction(SIGTERM, &action, NULL), 0);
    CHECK_IS(write(ready[1], "", 1), 1);
    for (;;) {
        CHECK_IS(eshm_get_stats(handle, &stats), ESHM_SUCCESS);
        CHECK_IS(eshm_write(handle, "value", 5), ESHM_SUCCESS);
    }
}

/* The handler may also interrupt the allocator, whose lock this thread then holds. */
static void allocate(void) {
    ESHMConfig config = eshm_default_config(segment);
    struct sigaction action;
    config.role = ESHM_ROLE_MASTER;
    CHECK(eshm_init(&config) != NULL);
    memset(&action, 0, sizeof action);
    action.sa_handler = leave;
    CHECK_IS(sigaction(SIGTERM, &action, NULL), 0);
    CHECK_IS(write(ready[1], "", 1), 1);
    for (;;) {
        /* Too long for the thread's cache of free blocks. */
        void* volatile room = malloc(100000);
        free(room);
    }
}

/* Returns whether the process ends by itself, with 0. */
static int ends(pid_t child) {
    const double until = now_ms() + 5000;
    int status = 1;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (now_ms() > until) {
            kill_process(child);
            return 0;
        }
        pause_ms(1);
    }
    return status == 0;
}

static void ends_each_time(void (*body)(void)) {
    int i;
    CHECK_IS(pipe(ready), 0);
    for (i = 0; i < PROCESSES; i++) {
        char byte;
        /* Each process takes over the segment that the one before may have left. */
        pid_t child = start_process(body);
        CHECK_IS(read(ready[0], &byte, 1), 1);
        CHECK_IS(kill(child, SIGTERM), 0);
        CHECK(ends(child));
    }
}

static void in_calls(void) { ends_each_time(work); }
static void in_the_allocator(void) {
#ifdef __SANITIZE_ADDRESS__
    /* The program's own exit handler allocates. */
    CHECK(allocate != NULL);
    puts("  SKIPPED under AddressSanitizer");
#else
    ends_each_time(allocate);
#endif
}

int main(void) {
    static const Case cases[] = {
        {"a process whose signal handler calls exit ends, wherever the signal came", in_calls},
        {"also where the signal came in the allocator", in_the_allocator},
    };
    return RUN_CASES("exit_in_handler", cases);
}
