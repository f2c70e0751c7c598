/*
 * The peer program of the stand-ins. It has the part of ../../README.md that ESHM 1.x can do: the scenarios
 * `commands` and `latest-value`, and the commands `open`, `close`, `state`, `wait-peer`, `write`, `read` and
 * `try-read`. It has one command more:
 *
 *   wakes    answers {"observed":"value","number":W,"skipped":K}: a wake of the peer ended W waits, and K
 *            wakes of this process woke a thread of the peer
 */
#include "endpoint.h"
#include "payload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Arguments {
    enum Role role;
    const char *name, *scenario;
    uint64_t count, seed;
    long timeout_ms;
} Arguments;

static const char* const ROLES[] = {"master", "slave", "auto"};

/* Writes a line with one system call, so that a SIGKILL leaves no part of it. */
static void say(const char* line) {
    size_t length = strlen(line);
    if (write(STDOUT_FILENO, line, length) != (ssize_t)length)
        exit(1);
}

static int failed(const char* reason) {
    char line[300];
    snprintf(line, sizeof line, "{\"observed\":\"failed\",\"reason\":\"%s\"}\n", reason);
    say(line);
    return 1;
}

static void say_error(int code) {
    char line[100];
    snprintf(line, sizeof line, "{\"observed\":\"error\",\"code\":%d,\"message\":\"ESHM 1.x: error %d\"}\n",
             code, code);
    say(line);
}

static void say_result(int code) {
    if (code == OK)
        say("{\"observed\":\"ok\"}\n");
    else
        say_error(code);
}

static bool parse_role(const char* word, enum Role* role) {
    for (int i = 0; i < 3; i++)
        if (strcmp(word, ROLES[i]) == 0) {
            *role = (enum Role)i;
            return true;
        }
    return false;
}

/* Decodes hexadecimal text, or `-` for no bytes. Returns the length, or -1. */
static long from_hex(const char* word, uint8_t* bytes, size_t room) {
    if (strcmp(word, "-") == 0)
        return 0;
    size_t length = strlen(word) / 2;
    if (strlen(word) % 2 != 0 || length > room)
        return -1;
    for (size_t i = 0; i < length; i++) {
        unsigned byte;
        if (sscanf(word + 2 * i, "%2x", &byte) != 1)
            return -1;
        bytes[i] = (uint8_t)byte;
    }
    return (long)length;
}

/* A slave of 1.x does not wait for its master. This program waits: it tries again. */
static int open_patiently(Endpoint* endpoint, enum Role role, const char* name, long timeout_ms) {
    double since = legacy_now_ms();
    say("{\"observed\":\"opening\"}\n");
    int opened = legacy_open(endpoint, role, name);
    while (opened == SHM_ATTACH && legacy_now_ms() - since < (double)timeout_ms) {
        legacy_sleep_us(1000);
        opened = legacy_open(endpoint, role, name);
    }
    if (opened == OK)
        say("READY\n");
    return opened;
}

static void say_opened(const Endpoint* endpoint) {
    char line[100];
    snprintf(line, sizeof line, "{\"observed\":\"opened\",\"role\":\"%s\",\"data_size\":%d}\n",
             ROLES[endpoint->role], LEGACY_N);
    say(line);
}

static void say_read(const uint8_t* bytes, int read) {
    static char line[2 * LEGACY_N + 100];
    if (read == NO_DATA || read == TIMEOUT) {
        say("{\"observed\":\"nothing\"}\n");
    } else if (read < 0) {
        say_error(read);
    } else {
        int at = snprintf(line, sizeof line, "{\"observed\":\"message\",\"hex\":\"");
        for (int i = 0; i < read; i++)
            at += snprintf(line + at, sizeof line - (size_t)at, "%02x", bytes[i]);
        snprintf(line + at, sizeof line - (size_t)at, "\",\"skipped\":0,\"generation\":0}\n");
        say(line);
    }
}

static void say_value(uint64_t number, uint64_t skipped) {
    char line[120];
    snprintf(line, sizeof line, "{\"observed\":\"value\",\"number\":%llu,\"skipped\":%llu}\n",
             (unsigned long long)number, (unsigned long long)skipped);
    say(line);
}

static void say_state(Endpoint* endpoint) {
    char line[160];
    snprintf(line, sizeof line,
             "{\"observed\":\"state\",\"role\":\"%s\",\"peer\":\"%s\",\"generation\":0,\"data_size\":%d}\n",
             ROLES[endpoint->role], legacy_peer_lives(endpoint) ? "alive" : "dead", LEGACY_N);
    say(line);
}

static void wait_for_peer(Endpoint* endpoint, long timeout_ms) {
    double since = legacy_now_ms();
    bool lives = legacy_peer_lives(endpoint);
    while (!lives && legacy_now_ms() - since < (double)timeout_ms) {
        legacy_sleep_us(1000);
        lives = legacy_peer_lives(endpoint);
    }
    say_result(lives ? OK : TIMEOUT);
}

/* `open`, or `open ROLE HEX [SIZE]`. */
static bool open_command(Endpoint* endpoint, const Arguments* arguments, char** words, int count,
                         bool* is_open) {
    char name[256];
    enum Role role = arguments->role;
    snprintf(name, sizeof name, "%s", arguments->name);
    if (count > 1) {
        long length = count < 3 ? -1 : from_hex(words[2], (uint8_t*)name, sizeof name - 1);
        if (length < 0 || !parse_role(words[1], &role) || (count > 3 && atol(words[3]) != LEGACY_N))
            return false;
        name[length] = '\0';
    }
    int opened = open_patiently(endpoint, role, name, arguments->timeout_ms);
    *is_open = opened == OK;
    if (opened == OK)
        say_opened(endpoint);
    else
        say_error(opened);
    return true;
}

/* Carries out a command of an open endpoint. Returns false for an unknown command. */
static bool do_command(Endpoint* endpoint, char** words, int count) {
    static uint8_t bytes[2 * LEGACY_N];
    const char* verb = words[0];
    if (strcmp(verb, "state") == 0) {
        say_state(endpoint);
    } else if (strcmp(verb, "wait-peer") == 0 && count == 2) {
        wait_for_peer(endpoint, atol(words[1]));
    } else if (strcmp(verb, "write") == 0 && count == 2) {
        long length = from_hex(words[1], bytes, sizeof bytes);
        if (length < 0)
            return false;
        say_result(legacy_write(endpoint, bytes, (uint32_t)length));
    } else if (strcmp(verb, "try-read") == 0) {
        say_read(bytes, legacy_read(endpoint, bytes, 0));
    } else if (strcmp(verb, "read") == 0) {
        say_read(bytes, legacy_read(endpoint, bytes, count == 2 ? atol(words[1]) : INFINITE_MS));
    } else if (strcmp(verb, "wakes") == 0) {
        say_value(endpoint->woken, endpoint->woke);
    } else {
        return false;
    }
    return true;
}

static int commands(const Arguments* arguments) {
    static char line[4 * LEGACY_N + 100];
    static Endpoint endpoint;
    bool is_open = false;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char* words[8];
        int count = 0;
        for (char* word = strtok(line, " \n"); word != NULL && count < 8; word = strtok(NULL, " \n"))
            words[count++] = word;
        bool known = count > 0;
        if (known && strcmp(words[0], "open") == 0) {
            known = open_command(&endpoint, arguments, words, count, &is_open);
        } else if (known && strcmp(words[0], "close") == 0) {
            if (is_open)
                legacy_close(&endpoint);
            is_open = false;
            say_result(OK);
        } else {
            known = known && is_open && do_command(&endpoint, words, count);
        }
        if (!known)
            return failed("no command of ESHM 1.x, or no endpoint is open");
    }
    if (is_open)
        legacy_close(&endpoint);
    return 0;
}

static void write_values(Endpoint* endpoint, const Arguments* arguments) {
    static uint8_t bytes[LEGACY_N];
    char line[80];
    for (uint64_t number = 0; number < arguments->count; number++)
        legacy_write(endpoint, bytes, payload_make(arguments->seed, number, LEGACY_N, bytes));
    snprintf(line, sizeof line, "{\"observed\":\"written\",\"count\":%llu}\n",
             (unsigned long long)arguments->count);
    say(line);
}

/* Reads up to the last value. 1.0 can skip all values: then it ends when no more arrive. */
static int read_values(Endpoint* endpoint, const Arguments* arguments) {
    static uint8_t bytes[LEGACY_N];
    uint64_t number = 0;
    do {
        int read = legacy_read(endpoint, bytes, arguments->timeout_ms);
        if (read == TIMEOUT && endpoint->seen >= arguments->count)
            return 0;
        if (read < 0)
            return failed("no value came");
        if (!payload_check(bytes, (uint32_t)read, LEGACY_N, &number))
            return failed("a value is torn");
        say_value(number, 0);
    } while (number + 1 < arguments->count);
    return 0;
}

static int latest_value(const Arguments* arguments) {
    static Endpoint endpoint;
    int opened = open_patiently(&endpoint, arguments->role, arguments->name, arguments->timeout_ms);
    if (opened != OK) {
        say_error(opened);
        return 1;
    }
    double since = legacy_now_ms();
    while (!legacy_peer_lives(&endpoint) && legacy_now_ms() - since < (double)arguments->timeout_ms)
        continue;
    int result = 0;
    if (endpoint.role == MASTER)
        write_values(&endpoint, arguments);
    result = read_values(&endpoint, arguments);
    if (endpoint.role == SLAVE && result == 0)
        write_values(&endpoint, arguments);
    legacy_close(&endpoint);
    return result;
}

/* `ROLE NAME SCENARIO [--count N] [--size BYTES] [--timeout-ms T] [--seed S]`. */
static bool parse(int count, char** words, Arguments* arguments) {
    if (count < 4 || count % 2 != 0 || !parse_role(words[1], &arguments->role))
        return false;
    arguments->name = words[2];
    arguments->scenario = words[3];
    for (int i = 4; i < count; i += 2) {
        char* end;
        unsigned long long value = strtoull(words[i + 1], &end, 10);
        if (*end != '\0')
            return false;
        if (strcmp(words[i], "--count") == 0)
            arguments->count = value;
        else if (strcmp(words[i], "--seed") == 0)
            arguments->seed = value;
        else if (strcmp(words[i], "--timeout-ms") == 0)
            arguments->timeout_ms = (long)value;
        else if (strcmp(words[i], "--size") != 0 || value != LEGACY_N)
            return false;
    }
    return true;
}

int main(int count, char** words) {
    Arguments arguments = {.count = 1000, .seed = 1, .timeout_ms = 10000};
    if (parse(count, words, &arguments)) {
        if (strcmp(arguments.scenario, "commands") == 0)
            return commands(&arguments);
        if (strcmp(arguments.scenario, "latest-value") == 0)
            return latest_value(&arguments);
    }
    fprintf(stderr,
            "usage: %s master|slave|auto NAME commands|latest-value [--count N] [--size 4096] "
            "[--timeout-ms T] [--seed S]\n",
            words[0]);
    return 2;
}
