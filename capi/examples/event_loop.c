/*
 * One thread waits for an endpoint, a timer and a socket, with epoll.
 *
 *   cc event_loop.c $(pkg-config --cflags --libs eshm) -o event_loop && ./event_loop
 *
 * A child process is the other end of the endpoint and of the socket.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <eshm.h>

/* Ends the program if a call of the system failed. */
static int need(int result, const char* call) {
    if (result < 0) {
        perror(call);
        exit(1);
    }
    return result;
}

/* Ends the program if a call of ESHM failed. */
static int must(int result) {
    if (result < 0) {
        fprintf(stderr, "event_loop: %s\n", eshm_last_error());
        exit(1);
    }
    return result;
}

static ESHMHandle* open_endpoint(const char* name, ESHMRole role) {
    ESHMOptions options = eshm_default_options(name);
    ESHMHandle* handle;
    options.role = role;
    must(eshm_open(&options, &handle));
    return handle;
}

/* The other process: sends three messages, says good-bye on the socket, and closes. */
static void run_robot(const char* name, int line) {
    ESHMHandle* robot = open_endpoint(name, ESHM_ROLE_SLAVE);
    char pose[32];
    int i;
    for (i = 0; i < 3; i++) {
        int size = snprintf(pose, sizeof pose, "pose %d", i);
        must(eshm_send(robot, pose, (size_t)size));
        usleep(30000);
    }
    need((int)write(line, "good-bye", 8), "write");
    must(eshm_destroy(robot));
}

static void watch(int loop, int fd) {
    struct epoll_event event = {0};
    event.events = EPOLLIN;
    event.data.fd = fd;
    need(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static int start_timer(void) {
    const struct itimerspec every = {{0, 20000000}, {0, 20000000}};
    int timer = need(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), "timerfd_create");
    need(timerfd_settime(timer, 0, &every, NULL), "timerfd_settime");
    return timer;
}

/* Takes what is there. Returns whether the robot is still there. */
static int serve_robot(ESHMHandle* master) {
    char message[64];
    size_t size;
    ESHMPeerState robot;
    int code;
    /* Before the messages: what it sent before its close is received. */
    must(eshm_peer_state(master, &robot));
    while ((code = eshm_recv(master, message, sizeof message, &size, 0)) == ESHM_SUCCESS)
        printf("message: %.*s\n", (int)size, message);
    if (code != ESHM_ERROR_NO_DATA)
        must(code);
    return robot != ESHM_PEER_CLOSED;
}

/* Waits until the robot has closed. Returns how often the timer has expired. */
static uint64_t run_loop(ESHMHandle* master, int line) {
    int loop = need(epoll_create1(0), "epoll_create1"), timer = start_timer(), runs = 1;
    int robot = must(eshm_fd(master, ESHM_INTEREST_READABLE | ESHM_INTEREST_PEER));
    uint64_t ticks = 0, expired;
    struct epoll_event event;
    watch(loop, robot);
    watch(loop, timer);
    watch(loop, line);
    while (runs && need(epoll_wait(loop, &event, 1, 10000), "epoll_wait") == 1) {
        char text[64];
        if (event.data.fd == robot) {
            runs = serve_robot(master);
        } else if (event.data.fd == timer) {
            if (read(timer, &expired, sizeof expired) == sizeof expired)
                ticks += expired;
        } else {
            int size = need((int)recv(line, text, sizeof text, 0), "recv");
            printf("socket: %.*s\n", size, text);
            if (size == 0)
                need(epoll_ctl(loop, EPOLL_CTL_DEL, line, NULL), "epoll_ctl");
        }
    }
    close(timer);
    close(loop);
    return ticks;
}

int main(void) {
    char name[64];
    int ends[2], status;
    pid_t child;
    ESHMHandle* master;
    snprintf(name, sizeof name, "event-loop-%ld", (long)getpid());
    need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), "socketpair");
    child = need(fork(), "fork");
    if (child == 0) {
        close(ends[0]);
        run_robot(name, ends[1]);
        return 0;
    }
    close(ends[1]);
    master = open_endpoint(name, ESHM_ROLE_MASTER);
    printf("%s\n",
           run_loop(master, ends[0]) > 0 ? "the timer expired meanwhile" : "the timer did not expire");
    must(eshm_destroy(master));
    need(waitpid(child, &status, 0), "waitpid");
    return status == 0 ? 0 : 1;
}
