/* A program of ESHM 1.x that was relinked talks to one that was not: the stand-ins of 1.0 and 1.2. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>

#include "check.h"

/* A stand-in. It reads commands, one per line, and answers each with a line. */
typedef struct Old {
    pid_t process;
    FILE *commands, *answers;
    char line[2 * ESHM_MAX_DATA_SIZE + 200];
} Old;

static Old old;

static const char* answer(void) {
    CHECK(fgets(old.line, sizeof old.line, old.answers) != NULL);
    return old.line;
}

static const char* tell(const char* command, const char* argument) {
    CHECK(fprintf(old.commands, "%s %s\n", command, argument) > 0);
    CHECK_IS(fflush(old.commands), 0);
    return answer();
}

static void start_old(const char* program, const char* role) {
    int commands[2], answers[2];
    CHECK_IS(pipe(commands), 0);
    CHECK_IS(pipe(answers), 0);
    old.process = fork();
    CHECK(old.process >= 0);
    if (old.process == 0) {
        dup2(commands[0], STDIN_FILENO);
        dup2(answers[1], STDOUT_FILENO);
        close(commands[1]);
        close(answers[0]);
        execl(program, program, role, segment, "commands", (char*)NULL);
        _exit(127);
    }
    close(commands[0]);
    close(answers[1]);
    old.commands = fdopen(commands[1], "w");
    old.answers = fdopen(answers[0], "r");
    CHECK(old.commands != NULL && old.answers != NULL);
    tell("open", "");
    while (strstr(old.line, "\"opened\"") == NULL)
        answer();
}

static void end_old(bool kindly) {
    if (kindly)
        tell("close", "");
    kill_process(old.process);
    fclose(old.commands);
    fclose(old.answers);
}

static const char* in_hex(const char* bytes, size_t size) {
    static char hex[2 * ESHM_MAX_DATA_SIZE + 2];
    size_t i;
    strcpy(hex, size == 0 ? "-" : "");
    for (i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
    return hex;
}

/* Makes the stand-in read a value: it takes the first value that it sees for an old one. */
static bool has_read(ESHMHandle* ours) {
    return eshm_write(ours, "first", 5) == ESHM_SUCCESS && strstr(tell("read", "20"), "message") != NULL;
}

/* Tries again if necessary: when the machine delays our heartbeat, a slave of 1.x detaches, and takes the
 * first value that it sees afterwards for an old one. */
static bool arrives(ESHMHandle* ours, const char* bytes, size_t size, const char* expected) {
    return eshm_write(ours, bytes, size) == ESHM_SUCCESS && strstr(tell("read", "1000"), expected) != NULL;
}

static void exchange(ESHMHandle* ours) {
    static char out[ESHM_MAX_DATA_SIZE], in[ESHM_MAX_DATA_SIZE], expected[sizeof old.line];
    const size_t sizes[] = {1, 0, 7, 8, 9, 4095, 4096, 0, 21};
    size_t i, j;
    AWAIT(has_read(ours));
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (j = 0; j < sizes[i]; j++)
            out[j] = (char)(3 * i + j);
        snprintf(expected, sizeof expected, "\"hex\":\"%s\"", sizes[i] == 0 ? "" : in_hex(out, sizes[i]));
        AWAIT(arrives(ours, out, sizes[i], expected));
        AWAIT(strstr(tell("write", in_hex(out, sizes[i])), "\"ok\"") != NULL);
        CHECK_IS(eshm_read_ex(ours, in, sizeof in, &j, 20000), ESHM_SUCCESS);
        CHECK_IS(j, sizes[i]);
        CHECK(memcmp(in, out, j) == 0);
    }
}

static bool is_alive(ESHMHandle* ours) {
    bool alive = false;
    CHECK_IS(eshm_check_remote_alive(ours, &alive), ESHM_SUCCESS);
    return alive;
}

/* Three conversations: with a peer, with one that replaces a killed peer, and with one that replaces a peer
 * that left. */
static void converse(const char* program, enum ESHMRole role) {
    const char* other = role == ESHM_ROLE_MASTER ? "slave" : "master";
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle* ours = NULL;
    int life;
    config.role = role;
    if (role == ESHM_ROLE_MASTER)
        CHECK((ours = eshm_init(&config)) != NULL);
    for (life = 0; life < 3; life++) {
        start_old(program, other);
        if (ours == NULL)
            CHECK((ours = eshm_init(&config)) != NULL);
        AWAIT(is_alive(ours));
        exchange(ours);
        end_old(life == 1);
        AWAIT(!is_alive(ours));
    }
    CHECK_IS(eshm_destroy(ours), ESHM_SUCCESS);
}

static void master_with_10(void) { converse(LEGACY_10, ESHM_ROLE_MASTER); }
static void slave_with_10(void) { converse(LEGACY_10, ESHM_ROLE_SLAVE); }
static void auto_with_10(void) { converse(LEGACY_10, ESHM_ROLE_AUTO); }
static void master_with_12(void) { converse(LEGACY_12, ESHM_ROLE_MASTER); }
static void slave_with_12(void) { converse(LEGACY_12, ESHM_ROLE_SLAVE); }
static void auto_with_12(void) { converse(LEGACY_12, ESHM_ROLE_AUTO); }

int main(void) {
    static const Case cases[] = {
        {"a master, and slaves of 1.0", master_with_10}, {"a slave, and masters of 1.0", slave_with_10},
        {"AUTO, and masters of 1.0", auto_with_10},      {"a master, and slaves of 1.2", master_with_12},
        {"a slave, and masters of 1.2", slave_with_12},  {"AUTO, and masters of 1.2", auto_with_12},
    };
    signal(SIGPIPE, SIG_IGN);
    return RUN_CASES("with-1x", cases);
}
