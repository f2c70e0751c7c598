/* Two processes with the interface of ESHM 1.x: a conversation, and restarts of either end. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>

#include "check.h"

#include <sys/stat.h>

#define ROUNDS 2000

static ESHMHandle* open_as(enum ESHMRole role) {
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle* handle;
    config.role = role;
    /* The master may start a moment later. */
    AWAIT((handle = eshm_init(&config)) != NULL);
    return handle;
}

/* Answers every number with its double, until 0. */
static void echo_slave(void) {
    ESHMHandle* slave = open_as(ESHM_ROLE_SLAVE);
    int number = -1;
    while (number != 0) {
        int answer;
        CHECK_IS(eshm_read_ex(slave, &number, sizeof number, NULL, 20000), ESHM_SUCCESS);
        answer = 2 * number;
        CHECK_IS(eshm_write(slave, &answer, sizeof answer), ESHM_SUCCESS);
    }
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
}

/* The number of the last question that was answered. */
static int answered = -1;

static void ask(ESHMHandle* master, int number) {
    int answer = -1;
    CHECK_IS(eshm_write(master, &number, sizeof number), ESHM_SUCCESS);
    CHECK_IS(eshm_read_ex(master, &answer, sizeof answer, NULL, 20000), ESHM_SUCCESS);
    /* A slave that was restarted is shown the latest value, and so may answer its predecessor's question
     * first. */
    if (answer != 2 * number && answer == 2 * answered)
        CHECK_IS(eshm_read_ex(master, &answer, sizeof answer, NULL, 20000), ESHM_SUCCESS);
    CHECK_IS(answer, 2 * number);
    answered = number;
}

static void conversation(void) {
    int i;
    pid_t child = start_process(echo_slave);
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    for (i = 1; i <= ROUNDS; i++)
        ask(master, i);
    ask(master, 0);
    await_success(child);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK(!segment_exists());
}

static void killed_slave(void) {
    int i, life;
    pid_t child = start_process(echo_slave);
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    bool alive = false;
    ESHMStats stats;
    for (life = 1; life <= 3; life++) {
        for (i = 1; i <= 10; i++)
            ask(master, 100 * life + i);
        kill_process(child);
        AWAIT(eshm_check_remote_alive(master, &alive) == ESHM_SUCCESS && !alive);
        CHECK_IS(eshm_get_stats(master, &stats), ESHM_SUCCESS);
        CHECK(stats.master_alive && !stats.slave_alive);
        child = start_process(echo_slave);
        AWAIT(eshm_check_remote_alive(master, &alive) == ESHM_SUCCESS && alive);
    }
    ask(master, 0);
    await_success(child);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

/* Asks without end. */
static void asking_master(void) {
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    int number;
    for (number = 1;; number++)
        CHECK_IS(eshm_write(master, &number, sizeof number), ESHM_SUCCESS);
}

static void killed_master(void) {
    int life, value = 0;
    pid_t child = start_process(asking_master);
    ESHMHandle* slave = open_as(ESHM_ROLE_SLAVE);
    for (life = 0; life < 3; life++) {
        int i;
        for (i = 0; i < 100; i++)
            CHECK_IS(eshm_read(slave, &value, sizeof value), sizeof value);
        kill_process(child);
        /* While the master is gone, a value would be lost: the slave gets an error. */
        AWAIT(eshm_write(slave, "x", 1) == ESHM_ERROR_TIMEOUT);
        while (eshm_read_ex(slave, &value, sizeof value, NULL, 0) == ESHM_SUCCESS)
            continue;
        CHECK_IS(eshm_read_ex(slave, &value, sizeof value, NULL, 20), ESHM_ERROR_TIMEOUT);
        child = start_process(asking_master);
        CHECK_IS(eshm_read_ex(slave, &value, sizeof value, NULL, 20000), ESHM_SUCCESS);
        AWAIT(eshm_write(slave, "x", 1) == ESHM_SUCCESS);
    }
    kill_process(child);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
}

static void closed_and_new_master(void) {
    char in[8];
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMHandle* slave = open_as(ESHM_ROLE_SLAVE);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK(!segment_exists());
    AWAIT(eshm_write(slave, "x", 1) == ESHM_ERROR_TIMEOUT);
    master = open_as(ESHM_ROLE_MASTER);
    AWAIT(eshm_write(slave, "new", 3) == ESHM_SUCCESS);
    CHECK_IS(eshm_read(master, in, sizeof in), 3);
    CHECK_IS(eshm_write(master, "one", 3), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), 3);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void given_up(void) {
    char in[8];
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle *master = open_as(ESHM_ROLE_MASTER), *slave;
    config.role = ESHM_ROLE_SLAVE;
    config.reconnect_retry_interval_ms = 10;
    config.max_reconnect_attempts = 3;
    slave = eshm_init(&config);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    AWAIT(eshm_write(slave, "x", 1) == ESHM_ERROR_MASTER_STALE);
    CHECK_IS(eshm_read_ex(slave, in, sizeof in, NULL, ESHM_TIMEOUT_INFINITE), ESHM_ERROR_MASTER_STALE);
    CHECK_IS(eshm_read_ex(slave, in, sizeof in, NULL, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(eshm_set_wakeup_mode(slave, ESHM_WAKEUP_POLL), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), ESHM_ERROR_MASTER_STALE);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
}

static void unlimited(void) {
    char in[8];
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle *master = open_as(ESHM_ROLE_MASTER), *slave;
    config.role = ESHM_ROLE_SLAVE;
    config.reconnect_retry_interval_ms = 0;
    config.reconnect_wait_ms = 0;
    config.max_reconnect_attempts = 0;
    slave = eshm_init(&config);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    AWAIT(eshm_write(slave, "x", 1) == ESHM_ERROR_TIMEOUT);
    /* Far more than 50 attempts. */
    CHECK_IS(eshm_read_ex(slave, in, sizeof in, NULL, 300), ESHM_ERROR_TIMEOUT);
    CHECK_IS(eshm_write(slave, "x", 1), ESHM_ERROR_TIMEOUT);
    master = open_as(ESHM_ROLE_MASTER);
    AWAIT(eshm_write(slave, "back", 4) == ESHM_SUCCESS);
    CHECK_IS(eshm_read(master, in, sizeof in), 4);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void immediately(void) {
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle *master = open_as(ESHM_ROLE_MASTER), *slave;
    config.role = ESHM_ROLE_SLAVE;
    config.disconnect_behavior = ESHM_DISCONNECT_IMMEDIATELY;
    slave = eshm_init(&config);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    AWAIT(eshm_write(slave, "x", 1) == ESHM_ERROR_MASTER_STALE);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
}

static void returning_slave(void) {
    char in[8];
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    pid_t child = start_process(echo_slave);
    ask(master, 0);
    await_success(child);
    /* The next slave reads the latest value, which must not make it leave at once. */
    answered = 7;
    CHECK_IS(eshm_write(master, &answered, sizeof answered), ESHM_SUCCESS);
    child = start_process(echo_slave);
    ask(master, 1);
    ask(master, 0);
    await_success(child);
    CHECK_IS(eshm_read_ex(master, in, sizeof in, NULL, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

/* The user "nobody". */
enum { ONE_USER = 61001, ANOTHER_USER = 61002 };

static void become(uid_t user) {
    umask(0);
    CHECK_IS(setgid(user), 0);
    CHECK_IS(setuid(user), 0);
}

static void asked_by_one_user(void) {
    ESHMHandle* master;
    become(ONE_USER);
    master = open_as(ESHM_ROLE_MASTER);
    ask(master, 7);
    ask(master, 0);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void answered_by_another(void) {
    become(ANOTHER_USER);
    echo_slave();
}

static void two_users(void) {
    pid_t asking, answering;
    if (geteuid() != 0) {
        printf("    skipped: it takes root to become two users\n");
        return;
    }
    asking = start_process(asked_by_one_user);
    answering = start_process(answered_by_another);
    await_success(answering);
    await_success(asking);
    CHECK(!segment_exists());
}

static ESHMHandle* inherited;

static void use_inherited(void) {
    char in[8];
    bool alive;
    uint64_t unreceived;
    ESHMStats stats;
    CHECK_IS(eshm_write(inherited, "x", 1), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_read(inherited, in, sizeof in), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_check_remote_alive(inherited, &alive), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_get_stats(inherited, &stats), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_unreceived(inherited, &unreceived), ESHM_ERROR_FORKED);
    CHECK(strstr(eshm_last_error(), "fork") != NULL);
    CHECK_IS(eshm_destroy(inherited), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(inherited), ESHM_ERROR_NOT_INITIALIZED);
}

static void forked(void) {
    char in[8];
    ESHMHandle* slave;
    inherited = open_as(ESHM_ROLE_MASTER);
    await_success(start_process(use_inherited));
    slave = open_as(ESHM_ROLE_SLAVE);
    CHECK_IS(eshm_write(inherited, "mine", 4), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), 4);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(inherited), ESHM_SUCCESS);
}

int main(void) {
    static const Case cases[] = {
        {"two thousand questions and answers", conversation},
        {"a killed slave is replaced", killed_slave},
        {"a killed master is replaced; meanwhile a write is a timeout", killed_master},
        {"a master that closed is replaced on a new segment", closed_and_new_master},
        {"a slave that has given up says MASTER_STALE", given_up},
        {"0 is without limit", unlimited},
        {"IMMEDIATELY gives up at once", immediately},
        {"a slave that left is replaced", returning_slave},
        {"two users share a segment, where the umask lets them", two_users},
        {"a forked child is told that the handle is its parent's", forked},
    };
    return RUN_CASES("old-processes", cases);
}
