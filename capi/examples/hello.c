/*
 * The first exchange. Build it against an installed ESHM, and run it twice:
 *
 *   cc hello.c $(pkg-config --cflags --libs eshm) -o hello && ./hello master
 *   ./hello slave
 *
 * The same conversation as examples/simple_master.py, examples/simple_slave.py, the C++ eshm_demo, and the
 * hello of Rust and Go: either end may be in any language.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <eshm.h>

/* Ends the program if a call failed. */
static void must(int code) {
    if (code != ESHM_SUCCESS) {
        fprintf(stderr, "hello: %s\n", eshm_last_error());
        exit(1);
    }
}

/* Sends a text with its NUL. */
static void send_text(ESHMHandle* robot, const char* text) { must(eshm_send(robot, text, strlen(text) + 1)); }

/* Receives a text into `room`. Returns the size of the message. */
static size_t receive_text(ESHMHandle* robot, char* room, size_t capacity) {
    size_t size = 0, length = 0;
    must(eshm_recv(robot, room, capacity - 1, &size, ESHM_TIMEOUT_INFINITE));
    must(eshm_text_length(room, size, &length));
    room[length] = '\0';
    return size;
}

static void greet(ESHMHandle* robot, int count) {
    char text[4096];
    int i;
    printf("[MASTER] Initialized with role: MASTER\n");
    for (i = 0; i < count; i++) {
        snprintf(text, sizeof text, "Hello from C master #%d", i);
        send_text(robot, text);
        printf("[MASTER] Sent: %s\n", text);
        receive_text(robot, text, sizeof text);
        printf("[MASTER] Received: %s\n", text);
    }
}

static void answer(ESHMHandle* robot, int count) {
    char text[4096];
    int i;
    printf("[SLAVE] Initialized with role: SLAVE\n");
    for (i = 0; i < count; i++) {
        size_t size = receive_text(robot, text, sizeof text);
        printf("[SLAVE] Received (%zu bytes): %s\n", size, text);
        snprintf(text, sizeof text, "ACK from C slave #%d", i);
        send_text(robot, text);
        printf("[SLAVE] Sent: %s\n", text);
    }
}

static int parse_role(const char* word, ESHMRole* role) {
    static const char* const words[] = {"master", "slave", "auto"};
    int i;
    for (i = 0; i < 3; i++) {
        if (strcmp(word, words[i]) == 0) {
            *role = (ESHMRole)i;
            return 1;
        }
    }
    return 0;
}

int main(int argc, char** argv) {
    ESHMOptions config = eshm_default_options(argc > 2 ? argv[2] : "eshm1");
    int count = argc > 3 ? atoi(argv[3]) : 10;
    ESHMHandle* robot;
    ESHMRole role;
    if (argc > 1 && !parse_role(argv[1], &config.role)) {
        fprintf(stderr, "unknown role %s; usage: hello [master|slave|auto] [NAME] [COUNT]\n", argv[1]);
        return 2;
    }
    must(eshm_open(&config, &robot));
    must(eshm_get_role(robot, &role));
    if (role == ESHM_ROLE_SLAVE)
        answer(robot, count);
    else
        greet(robot, count);
    must(eshm_destroy(robot));
    return 0;
}
