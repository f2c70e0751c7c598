// Measures ways of waiting for a peer: two processes, and a mark each way in shared memory. See --help.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ways.h"

static const char help[] =
    "Usage: waiting [OPTION]... WAY SITUATION\n"
    "\n"
    "Two processes send a mark to and fro. Prints how long a round trip takes, with the given way of "
    "waiting.\n"
    "\n"
    "WAY            socket: a read from a Unix socket (56 bytes)   park: sleep on a futex   spin: only poll\n"
    "               spin_then_park: poll for at most 10 us; less if that does not pay\n"
    "               yield: poll for 1 us, yield the processor for 20 us, park; learns nothing\n"
    "               adaptive: as yield, but learns from its waits; the default of ESHM\n"
    "               park_at_socket, park_at_eventfd: as park, but sleep in a read from a socket or an "
    "eventfd\n"
    "SITUATION      bursts: 1, 16, 256 and 4096 round trips, each time after 50 ms of rest\n"
    "               continuous: round trips for 2 s, after 2 s that do not count\n"
    "               paced: one round trip every 5 ms\n"
    "               crowd N: as continuous, N pairs at the same time\n"
    "               yields: what a yield costs alone, and beside another process that yields (without WAY)\n"
    "\n"
    "--pinned         a processor for each end of a pair\n"
    "--other-session  one end of each pair in a session of its own, which is a scheduling group of its own\n"
    "--hogs N         N processes that compute, at the same time\n"
    "--beside N WAY   N pairs with another way of waiting, at the same time\n"
    "\n"
    "Columns, in us per round trip: the median, the 99th percentile, the greatest and the mean time, and the "
    "CPU\n"
    "time of both ends. Then the yields and parks of both ends per round trip, and the part of the time in "
    "which\n"
    "both ends were on one processor. A time in 'bursts' is that of a burst, divided by its round trips.\n"
    "With several pairs: the average over the pairs, and the greatest time of all.\n"
    "\n"
    "Both ends on one processor: taskset -c 0 waiting adaptive continuous\n";

enum { MOST_PAIRS = 64, MOST_HOGS = 64, MOST_ROWS = 4, MOST_SAMPLES = 1 << 21 };

struct row {
    double median, p99, greatest, mean, cpu, yields, parks, together;
};

struct pair {
    struct line lines[2];
    struct end ends[2];
    struct row rows[MOST_ROWS];
};

// What a caller does: `samples` times a rest and `trips` round trips, but not beyond the time `until`.
struct plan {
    int trips, rest, samples;
    double warm_up, until;
};

static struct {
    struct pair pairs[2 * MOST_PAIRS];
    _Atomic bool stop;
} * shared;
static pid_t children[5 * MOST_PAIRS + MOST_HOGS];
static volatile sig_atomic_t children_count;
static bool pinned, other_session;
static float samples[MOST_SAMPLES];

static void answer(struct end* end) {
    for (;;) {
        receive(end);
        send_mark(end);
    }
}

static double cpu_time(pid_t process) {
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return 0;
    return time.tv_sec * 1e6 + time.tv_nsec * 1e-3;
}

static int compare(const void* a, const void* b) {
    float x = *(const float*)a, y = *(const float*)b;
    return (x > y) - (x < y);
}

// Makes a sample of round trips, and adds to the time in which both ends were on one processor.
static double sample(struct pair* pair, int trips, double began, double* together) {
    struct end* end = &pair->ends[0];
    double since = began;
    bool same = false;
    for (int trip = 0; trip < trips; trip++) {
        send_mark(end);
        receive(end);
        bool is = end->in->processor == sched_getcpu();
        if (is == same && trip + 1 < trips)
            continue;
        double time = now();
        if (is || same)
            *together += time - since;
        since = time;
        same = is;
    }
    return since;
}

static struct row call(struct pair* pair, struct plan plan, pid_t answerer) {
    struct end *end = &pair->ends[0], *peer = &pair->ends[1];
    double together = 0, sum = 0, last = now();
    while (last < plan.warm_up)
        last = sample(pair, 1, last, &together);
    double cpu = cpu_time(getpid()) + cpu_time(answerer);
    unsigned long yields = end->yields + peer->yields, parks = end->parks + peer->parks;
    int count = 0;
    together = 0;
    while (count < plan.samples && last < plan.until && !shared->stop) {
        if (plan.rest > 0)
            usleep((useconds_t)plan.rest);
        double began = plan.rest > 0 ? now() : last;
        last = sample(pair, plan.trips, began, &together);
        sum += last - began;
        samples[count++ % MOST_SAMPLES] = (float)((last - began) / plan.trips);
    }
    double trips = (double)count * plan.trips;
    cpu = cpu_time(getpid()) + cpu_time(answerer) - cpu;
    yields = end->yields + peer->yields - yields;
    parks = end->parks + peer->parks - parks;
    if (count == 0)
        return (struct row){0};
    int kept = count < MOST_SAMPLES ? count : MOST_SAMPLES;
    qsort(samples, (size_t)kept, sizeof *samples, compare);
    return (struct row){.median = samples[kept / 2],
                        .p99 = samples[kept * 99L / 100],
                        .greatest = samples[kept - 1],
                        .mean = sum / trips,
                        .cpu = cpu / trips,
                        .yields = (double)yields / trips,
                        .parks = (double)parks / trips,
                        .together = together / sum};
}

static void fail(const char* what, const char* which) {
    fprintf(stderr, "waiting: %s%s; see --help\n", what, which);
    exit(2);
}

static void end_children(void) {
    for (int i = 0; i < children_count; i++) {
        if (children[i] > 0)
            kill(children[i], SIGKILL);
    }
    while (wait(NULL) > 0) {
    }
}

static void interrupted(int number) {
    for (int i = 0; i < children_count; i++) {
        if (children[i] > 0)
            kill(children[i], SIGKILL);
    }
    _exit(128 + number);
}

// Returns the number of the child, or -1 in the child. It ends with its parent, however that ends.
static int spawn(void) {
    sigset_t signals, before;
    sigfillset(&signals);
    sigprocmask(SIG_BLOCK, &signals, &before);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
    } else if (child > 0) {
        children[children_count++] = child;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0) {
        perror("waiting: fork");
        end_children();
        exit(1);
    }
    return child == 0 ? -1 : children_count - 1;
}

// Pins this process to the allowed processor with this index.
static void pin(int index) {
    cpu_set_t allowed, one;
    sched_getaffinity(0, sizeof allowed, &allowed);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &allowed) && index-- == 0)
            CPU_SET(i, &one);
    }
    sched_setaffinity(0, sizeof one, &one);
}

// Starts both ends of a pair. Returns the number of the child that calls.
static int start(struct pair* pair, const struct way* way, const struct plan* plans, int rows) {
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
        fail("no socket: ", strerror(errno));
    int bells[2] = {sockets[0], sockets[1]};
    bool eventfds = way->wait == park_at_eventfd;
    for (int i = 0; eventfds && i < 2; i++) {
        bells[i] = eventfd(0, EFD_CLOEXEC);
        if (bells[i] < 0)
            fail("no eventfd: ", strerror(errno));
    }
    for (int i = 0; i < 2; i++) {
        pair->ends[i] = (struct end){.way = way,
                                     .in = &pair->lines[!i],
                                     .out = &pair->lines[i],
                                     .socket = sockets[i],
                                     .bell_in = bells[i],
                                     .bell_out = bells[eventfds ? !i : i],
                                     .polls = way->wait == wait_adaptively ? EAGER_POLLS : MOST_POLLS};
    }
    int answerer = spawn();
    if (answerer < 0) {
        if (pinned)
            pin(1);
        if (other_session)
            setsid();
        answer(&pair->ends[1]);
    }
    int caller = spawn();
    if (caller < 0) {
        if (pinned)
            pin(0);
        for (int row = 0; row < rows; row++)
            pair->rows[row] = call(pair, plans[row], children[answerer]);
        _exit(0);
    }
    for (int i = 0; i < 2; i++) {
        close(sockets[i]);
        if (eventfds)
            close(bells[i]);
    }
    return caller;
}

static void finish(const int* callers, int pairs) {
    for (int i = 0; i < pairs; i++) {
        int status;
        waitpid(children[callers[i]], &status, 0);
        children[callers[i]] = 0;
        if (status != 0) {
            end_children();
            fail("a process failed", "");
        }
    }
}

static void print(const char* name, const struct pair* pairs, int count, const char* what, int row) {
    struct row all = {0};
    for (int i = 0; i < count; i++) {
        const struct row* one = &pairs[i].rows[row];
        all.median += one->median / count;
        all.p99 += one->p99 / count;
        all.greatest = one->greatest > all.greatest ? one->greatest : all.greatest;
        all.mean += one->mean / count;
        all.cpu += one->cpu / count;
        all.yields += one->yields / count;
        all.parks += one->parks / count;
        all.together += one->together / count;
    }
    printf("%-15s %-11s %9.2f %9.2f %9.2f %9.2f %9.2f %7.2f %7.2f %8.0f%%\n", name, what, all.median, all.p99,
           all.greatest, all.mean, all.cpu, all.yields, all.parks, all.together * 100);
}

static void measure_yields(void) {
    enum { YIELDS = 200000 };
    pin(0);
    for (int others = 0; others < 2; others++) {
        if (others > 0 && spawn() < 0) {
            for (;;)
                sched_yield();
        }
        double began = now();
        for (int i = 0; i < YIELDS; i++)
            sched_yield();
        printf("a yield %-28s %.2f us\n", others ? "that runs another (2 switches)" : "alone",
               (now() - began) / YIELDS);
    }
}

static int number(const char* text, int most) {
    char* rest;
    long value = text == NULL ? 0 : strtol(text, &rest, 10);
    if (value < 1 || value > most || *rest != '\0')
        fail("not a number in range: ", text == NULL ? "none" : text);
    return (int)value;
}

static const struct way* way_of(const char* name) {
    for (size_t i = 0; name != NULL && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(name, ways[i].name) == 0)
            return &ways[i];
    }
    fail("there is no way of waiting with this name: ", name == NULL ? "none" : name);
    return NULL;
}

struct job {
    const struct way *way, *other;
    const char* situation;
    int pairs, others, hogs;
};

static struct job job_of(char** argument) {
    struct job job = {.pairs = 1};
    for (; *argument != NULL; argument++) {
        if (strcmp(*argument, "--help") == 0) {
            fputs(help, stdout);
            exit(0);
        } else if (strcmp(*argument, "--pinned") == 0) {
            pinned = true;
        } else if (strcmp(*argument, "--other-session") == 0) {
            other_session = true;
        } else if (strcmp(*argument, "--hogs") == 0) {
            job.hogs = number(*++argument, MOST_HOGS);
        } else if (strcmp(*argument, "--beside") == 0) {
            job.others = number(*++argument, MOST_PAIRS);
            job.other = way_of(*++argument);
        } else if (**argument == '-' || job.situation != NULL) {
            fail("not expected: ", *argument);
        } else if (job.way == NULL && strcmp(*argument, "yields") != 0) {
            job.way = way_of(*argument);
        } else {
            job.situation = *argument;
            if (strcmp(*argument, "crowd") == 0)
                job.pairs = number(*++argument, MOST_PAIRS);
        }
    }
    if (job.situation == NULL)
        fail("a way and a situation are needed", "");
    return job;
}

static int plan_of(const char* situation, struct plan* plans) {
    enum { SECOND = 1000000, BURST_REST = SECOND / 20, PACE = SECOND / 200 };
    double begin = now();
    if (strcmp(situation, "bursts") == 0) {
        for (int i = 0; i < MOST_ROWS; i++) {
            plans[i] = (struct plan){1 << (4 * i), BURST_REST, i < 3 ? 40 : 20, 0, begin + 30.0 * SECOND};
        }
        return MOST_ROWS;
    }
    if (strcmp(situation, "paced") == 0) {
        plans[0] = (struct plan){1, PACE, 300, 0, begin + 10.0 * SECOND};
    } else if (strcmp(situation, "continuous") == 0 || strcmp(situation, "crowd") == 0) {
        plans[0] = (struct plan){1, 0, INT32_MAX, begin + 2 * SECOND, begin + 4 * SECOND};
    } else {
        fail("there is no situation with this name: ", situation);
    }
    return 1;
}

int main(int count, char** arguments) {
    struct plan plans[MOST_ROWS], beside = {1, 0, INT32_MAX, now() + 1e6, now() + 1e9};
    struct job job = job_of(arguments + (count > 0));
    signal(SIGINT, interrupted);
    signal(SIGTERM, interrupted);
    if (strcmp(job.situation, "yields") == 0) {
        measure_yields();
        end_children();
        return 0;
    }
    cpu_set_t allowed;
    if (pinned && (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)) {
        fail("--pinned needs two processors", "");
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("no memory: ", strerror(errno));
    int callers[2 * MOST_PAIRS], rows = plan_of(job.situation, plans);
    for (int i = 0; i < job.hogs; i++) {
        if (spawn() < 0) {
            for (volatile long work = 0;; work++) {
            }
        }
    }
    for (int i = 0; i < job.pairs + job.others; i++) {
        bool other = i >= job.pairs;
        callers[i] =
            start(&shared->pairs[i], other ? job.other : job.way, other ? &beside : plans, other ? 1 : rows);
    }
    finish(callers, job.pairs);
    shared->stop = true;
    finish(callers + job.pairs, job.others);
    end_children();
    printf("%-15s %-11s %9s %9s %9s %9s %9s %7s %7s %9s\n", "way", "situation", "median", "p99", "greatest",
           "mean", "CPU", "yields", "parks", "together");
    for (int row = 0; row < rows; row++) {
        char what[32];
        if (rows > 1) {
            snprintf(what, sizeof what, "burst %d", plans[row].trips);
        } else {
            snprintf(what, sizeof what, "%s %d", job.situation, job.pairs);
        }
        print(job.way->name, shared->pairs, job.pairs, what, row);
    }
    if (job.others > 0) {
        print(job.other->name, shared->pairs + job.pairs, job.others, "beside it", 0);
    }
}
