/* A C99 program that was written for ESHM 1.x. It uses only that interface, with its include lines. */
#define _POSIX_C_SOURCE 200809L
#include "eshm.h"
#include "eshm_config.h"
#include "eshm_data.h"

#include "check.h"

#include <sys/stat.h>

static ESHMHandle* open_as(enum ESHMRole role) {
    ESHMConfig config = eshm_default_config(segment);
    config.role = role;
    return eshm_init(&config);
}

static void defaults(void) {
    ESHMConfig config = eshm_default_config("name");
    CHECK(strcmp(config.shm_name, "name") == 0);
    CHECK_IS(config.role, ESHM_ROLE_AUTO);
    CHECK_IS(config.disconnect_behavior, ESHM_DISCONNECT_ON_TIMEOUT);
    CHECK_IS(config.stale_threshold_ms, 100);
    CHECK_IS(config.reconnect_wait_ms, 5000);
    CHECK_IS(config.reconnect_retry_interval_ms, 100);
    CHECK_IS(config.max_reconnect_attempts, 50);
    CHECK(config.auto_cleanup && config.use_threads);
    CHECK_IS(ESHM_MAX_DATA_SIZE, 4096);
    CHECK_IS(ESHM_HEARTBEAT_INTERVAL_MS, 1);
    CHECK(ESHM_TIMEOUT_INFINITE == 0xFFFFFFFF);
    CHECK_IS(sizeof(ESHMData), 8576);
}

static void start_and_stop(void) {
    enum ESHMRole role = ESHM_ROLE_AUTO;
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    CHECK(master != NULL);
    CHECK(segment_exists());
    CHECK_IS(eshm_get_role(master, &role), ESHM_SUCCESS);
    CHECK_IS(role, ESHM_ROLE_MASTER);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK(!segment_exists());
}

static void slave_without_master(void) {
    double before = now_ms();
    CHECK(open_as(ESHM_ROLE_SLAVE) == NULL);
    CHECK(now_ms() - before < 1000);
    CHECK(!segment_exists());
}

static void auto_role(void) {
    enum ESHMRole first_role = ESHM_ROLE_AUTO, second_role = ESHM_ROLE_AUTO;
    ESHMHandle* first = open_as(ESHM_ROLE_AUTO);
    ESHMHandle* second = open_as(ESHM_ROLE_AUTO);
    CHECK(first != NULL && second != NULL);
    CHECK_IS(eshm_get_role(first, &first_role), ESHM_SUCCESS);
    CHECK_IS(eshm_get_role(second, &second_role), ESHM_SUCCESS);
    CHECK_IS(first_role, ESHM_ROLE_MASTER);
    CHECK_IS(second_role, ESHM_ROLE_SLAVE);
    CHECK_IS(eshm_destroy(second), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(first), ESHM_SUCCESS);
}

static void slashes(void) {
    char name[160], copy[128];
    ESHMConfig config;
    ESHMHandle* master;
    strcpy(copy, segment);
    snprintf(name, sizeof name, "/robot/%s", segment);
    config = eshm_default_config(name);
    config.role = ESHM_ROLE_MASTER;
    master = eshm_init(&config);
    CHECK(master != NULL);
    snprintf(segment, sizeof segment, "_robot_%.100s", copy);
    CHECK(segment_exists());
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK(!segment_exists());
}

static void both_ways(ESHMHandle* from, ESHMHandle* to) {
    char out[ESHM_MAX_DATA_SIZE], in[ESHM_MAX_DATA_SIZE];
    size_t sizes[] = {1, 7, 8, 9, 4095, 4096}, i, j, bytes = 99;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (j = 0; j < sizes[i]; j++)
            out[j] = (char)(i + j);
        CHECK_IS(eshm_write(from, out, sizes[i]), ESHM_SUCCESS);
        CHECK_IS(eshm_read(to, in, sizeof in), sizes[i]);
        CHECK(memcmp(in, out, sizes[i]) == 0);
    }
    /* An event. */
    CHECK_IS(eshm_write(from, "", 0), ESHM_SUCCESS);
    CHECK_IS(eshm_read_ex(to, in, sizeof in, &bytes, 1000), ESHM_SUCCESS);
    CHECK_IS(bytes, 0);
    CHECK_IS(eshm_write(from, "", 0), ESHM_SUCCESS);
    CHECK_IS(eshm_read(to, in, sizeof in), 0);
    /* The same value is never delivered twice, and the latest wins. */
    CHECK_IS(eshm_read_ex(to, in, sizeof in, NULL, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(eshm_write(from, "first", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_write(from, "second", 6), ESHM_SUCCESS);
    CHECK_IS(eshm_read_ex(to, in, sizeof in, NULL, ESHM_TIMEOUT_INFINITE), ESHM_SUCCESS);
    CHECK(memcmp(in, "second", 6) == 0);
    CHECK_IS(eshm_read_ex(to, in, sizeof in, NULL, 0), ESHM_ERROR_NO_DATA);
}

static void write_and_read(void) {
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMHandle* slave = open_as(ESHM_ROLE_SLAVE);
    CHECK(master != NULL && slave != NULL);
    both_ways(master, slave);
    both_ways(slave, master);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void before_the_reader(void) {
    char in[16];
    ESHMHandle *master = open_as(ESHM_ROLE_MASTER), *slave;
    CHECK_IS(eshm_write(master, "early", 5), ESHM_SUCCESS);
    slave = open_as(ESHM_ROLE_SLAVE);
    CHECK_IS(eshm_read(slave, in, sizeof in), 5);
    CHECK(memcmp(in, "early", 5) == 0);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void errors(void) {
    char buffer[ESHM_MAX_DATA_SIZE + 1] = {0};
    size_t bytes = 99;
    double before;
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMHandle* slave = open_as(ESHM_ROLE_SLAVE);
    CHECK_IS(eshm_write(master, buffer, sizeof buffer), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_read_ex(slave, buffer, sizeof buffer, &bytes, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(bytes, 0);
    before = now_ms();
    CHECK_IS(eshm_read_ex(slave, buffer, sizeof buffer, &bytes, 30), ESHM_ERROR_TIMEOUT);
    CHECK(now_ms() - before >= 29.9);
    before = now_ms();
    CHECK_IS(eshm_read(slave, buffer, sizeof buffer), ESHM_ERROR_TIMEOUT);
    CHECK(now_ms() - before >= 999.9);
    /* A buffer that is too small costs one more call; the value stays. */
    CHECK_IS(eshm_write(master, "four", 4), ESHM_SUCCESS);
    CHECK_IS(eshm_read_ex(slave, buffer, 3, &bytes, 1000), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(bytes, 0);
    CHECK_IS(eshm_read(slave, buffer, 3), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_read_ex(slave, buffer, 4, &bytes, 0), ESHM_SUCCESS);
    CHECK_IS(bytes, 4);
    CHECK_IS(eshm_read_ex(slave, buffer, 4, &bytes, 0), ESHM_ERROR_NO_DATA);
    /* A newer value replaces one that did not fit. */
    CHECK_IS(eshm_write(master, "four", 4), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, buffer, 3), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_write(master, "new", 3), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, buffer, sizeof buffer), 3);
    CHECK(memcmp(buffer, "new", 3) == 0);
    CHECK_IS(eshm_read_ex(slave, buffer, 4, &bytes, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void error_strings(void) {
    int error;
    CHECK(strcmp(eshm_error_string(ESHM_SUCCESS), "Success") == 0);
    CHECK(strcmp(eshm_error_string(ESHM_ERROR_INVALID_PARAM), "Invalid parameter") == 0);
    CHECK(strcmp(eshm_error_string(ESHM_ERROR_TIMEOUT), "Operation timed out") == 0);
    CHECK(strcmp(eshm_error_string(ESHM_ERROR_BUFFER_TOO_SMALL), "Buffer too small") == 0);
    CHECK(strcmp(eshm_error_string(ESHM_ERROR_NO_DATA), "No data available") == 0);
    for (error = ESHM_ERROR_DISPLACED; error < 0; error++)
        CHECK(strcmp(eshm_error_string(error), "Unknown error") != 0);
    for (error = -120; error < 20; error++)
        CHECK(eshm_error_string(error) != NULL && eshm_error_string(error)[0] != '\0');
}

static bool is_alive(ESHMHandle* handle) {
    bool alive = false;
    CHECK_IS(eshm_check_remote_alive(handle, &alive), ESHM_SUCCESS);
    return alive;
}

static void liveness(void) {
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMHandle* slave;
    CHECK(!is_alive(master));
    slave = open_as(ESHM_ROLE_SLAVE);
    /* At once. */
    CHECK(is_alive(master) && is_alive(slave));
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK(!is_alive(master));
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static uint64_t reads_of_slave(ESHMHandle* handle) {
    ESHMStats stats;
    CHECK_IS(eshm_get_stats(handle, &stats), ESHM_SUCCESS);
    return stats.m2s_read_count;
}

static void statistics(void) {
    char in[16];
    ESHMStats stats, later;
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMHandle* slave = open_as(ESHM_ROLE_SLAVE);
    CHECK_IS(eshm_write(master, "a", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_write(master, "b", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_write(slave, "c", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), 1);
    AWAIT(reads_of_slave(master) == 1);
    CHECK_IS(eshm_get_stats(master, &stats), ESHM_SUCCESS);
    CHECK_IS(stats.m2s_write_count, 2);
    CHECK_IS(stats.s2m_write_count, 1);
    CHECK_IS(stats.s2m_read_count, 0);
    CHECK_IS(stats.master_pid, getpid());
    CHECK_IS(stats.slave_pid, getpid());
    CHECK(stats.master_alive && stats.slave_alive);
    CHECK_IS(stats.stale_threshold, 100);
    AWAIT(eshm_get_stats(slave, &later) == ESHM_SUCCESS &&
          later.master_heartbeat > stats.master_heartbeat + 5);
    CHECK(later.master_heartbeat_delta > 0 && later.slave_heartbeat_delta > 0);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void steady_heartbeat(void) {
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMStats stats;
    int tries = 0;
    /* An endpoint of eshm_open has slowed down to a quarter by then. */
    pause_ms(1500);
    do {
        CHECK(tries++ < 100);
        CHECK_IS(eshm_get_stats(master, &stats), ESHM_SUCCESS);
        pause_ms(100);
        CHECK_IS(eshm_get_stats(master, &stats), ESHM_SUCCESS);
    } while (stats.master_heartbeat_delta <= 40);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void permissions(void) {
    const mode_t masks[] = {022, 0, 0027, 0077};
    const mode_t before = umask(0);
    struct stat file;
    char path[160];
    size_t i;
    snprintf(path, sizeof path, "/dev/shm/eshm_%s", segment);
    for (i = 0; i < sizeof masks / sizeof *masks; i++) {
        ESHMHandle* master;
        umask(masks[i]);
        master = open_as(ESHM_ROLE_MASTER);
        CHECK(master != NULL);
        CHECK_IS(stat(path, &file), 0);
        CHECK_IS(file.st_mode & 0777, 0666 & ~masks[i]);
        CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    }
    umask(before);
}

static void zeroed_and_positional(void) {
    ESHMConfig zeroed, listed = {"", ESHM_ROLE_SLAVE, ESHM_DISCONNECT_NEVER, 250, 1000, 10, 5, true, true};
    ESHMHandle *master, *slave;
    enum ESHMRole role = ESHM_ROLE_AUTO;
    memset(&zeroed, 0, sizeof zeroed);
    zeroed.shm_name = segment;
    listed.shm_name = segment;
    master = eshm_init(&zeroed);
    CHECK_IS(eshm_get_role(master, &role), ESHM_SUCCESS);
    CHECK_IS(role, ESHM_ROLE_MASTER);
    slave = eshm_init(&listed);
    CHECK(slave != NULL);
    both_ways(master, slave);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    /* auto_cleanup is false. */
    CHECK(segment_exists());
}

static void wakeup_modes(void) {
    char in[16];
    enum ESHMWakeupMode mode = ESHM_WAKEUP_POLL;
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMHandle* slave = open_as(ESHM_ROLE_SLAVE);
    CHECK_IS(eshm_get_wakeup_mode(slave, &mode), ESHM_SUCCESS);
    CHECK_IS(mode, ESHM_WAKEUP_PUSH);
    CHECK_IS(eshm_set_wakeup_mode(slave, ESHM_WAKEUP_POLL), ESHM_SUCCESS);
    CHECK_IS(eshm_get_wakeup_mode(slave, &mode), ESHM_SUCCESS);
    CHECK_IS(mode, ESHM_WAKEUP_POLL);
    CHECK_IS(eshm_read_ex(slave, in, sizeof in, NULL, 10), ESHM_ERROR_TIMEOUT);
    CHECK_IS(eshm_write(master, "polled", 6), ESHM_SUCCESS);
    CHECK_IS(eshm_read_ex(slave, in, sizeof in, NULL, 1000), ESHM_SUCCESS);
    CHECK_IS(eshm_set_wakeup_mode(slave, ESHM_WAKEUP_PUSH), ESHM_SUCCESS);
    CHECK_IS(eshm_write(master, "pushed", 6), ESHM_SUCCESS);
    CHECK_IS(eshm_read_ex(slave, in, sizeof in, NULL, 1000), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void without_threads(void) {
    char in[16];
    ESHMStats before, after;
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle *master, *slave;
    config.use_threads = false;
    config.role = ESHM_ROLE_MASTER;
    master = eshm_init(&config);
    config.role = ESHM_ROLE_SLAVE;
    slave = eshm_init(&config);
    CHECK(master != NULL && slave != NULL);
    both_ways(master, slave);
    both_ways(slave, master);
    CHECK_IS(eshm_get_stats(master, &before), ESHM_SUCCESS);
    CHECK_IS(eshm_update_heartbeat(master), ESHM_SUCCESS);
    CHECK_IS(eshm_get_stats(master, &after), ESHM_SUCCESS);
    CHECK_IS(after.master_heartbeat, before.master_heartbeat + 1);
    CHECK_IS(after.slave_heartbeat, before.slave_heartbeat);
    CHECK(is_alive(slave));
    /* The master is stale, and the slave can still read. */
    AWAIT(!is_alive(slave) && !is_alive(master));
    CHECK_IS(eshm_write(slave, "still", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_read(master, in, sizeof in), 5);
    CHECK_IS(eshm_write(master, "there", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), 5);
    CHECK_IS(eshm_update_heartbeat(master), ESHM_SUCCESS);
    CHECK(is_alive(slave));
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void no_cleanup(void) {
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle* master;
    config.role = ESHM_ROLE_MASTER;
    config.auto_cleanup = false;
    master = eshm_init(&config);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK(segment_exists());
}

int main(void) {
    static const Case cases[] = {
        {"the defaults and constants are those of 1.x", defaults},
        {"a master makes the segment and removes it", start_and_stop},
        {"a slave without a master fails at once", slave_without_master},
        {"AUTO is master, then slave", auto_role},
        {"'/' in a name becomes '_'", slashes},
        {"values of 0 to 4096 bytes arrive, each once, the latest wins, in both directions", write_and_read},
        {"the first value is not swallowed", before_the_reader},
        {"errors: too large, no data, timeout, buffer too small", errors},
        {"every error has its string", error_strings},
        {"the peer's liveness is seen", liveness},
        {"statistics count", statistics},
        {"a heartbeat a millisecond, for ever", steady_heartbeat},
        {"the umask decides on the segment's permissions", permissions},
        {"configs that are zeroed, or listed by position", zeroed_and_positional},
        {"PUSH and POLL readers read", wakeup_modes},
        {"without threads reads and writes work", without_threads},
        {"without auto_cleanup the segment stays", no_cleanup},
    };
    return RUN_CASES("old-c", cases);
}
