/* The directory and the prefix of ESHMOptions, and of the environment. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>
#include <sys/stat.h>

#include "check.h"

/* The directory of the running case. */
static char directory[160];

static void make_directory(void) {
    snprintf(directory, sizeof directory, "/dev/shm/%s", segment);
    CHECK_IS(mkdir(directory, 0700), 0);
}

static int exists(const char* file) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    return access(path, F_OK) == 0;
}

static ESHMHandle* open_in(const char* where, const char* prefix, enum ESHMRole role) {
    ESHMOptions config = eshm_default_options("robot");
    ESHMHandle* handle;
    config.role = role;
    config.directory = where;
    config.prefix = prefix;
    CHECK_IS(eshm_open(&config, &handle), ESHM_SUCCESS);
    return handle;
}

static void refused(const char* where, const char* prefix, const char* name, const char* what) {
    ESHMOptions config = eshm_default_options(name);
    ESHMHandle* handle;
    config.directory = where;
    config.prefix = prefix;
    CHECK_IS(eshm_open(&config, &handle), ESHM_ERROR_INVALID_PARAM);
    CHECK(handle == NULL);
    if (strstr(eshm_last_error(), what) == NULL)
        fprintf(stderr, "'%s', expected '... %s ...'\n", eshm_last_error(), what);
    CHECK(strstr(eshm_last_error(), what) != NULL);
}

static void two_domains(void) {
    char in[8];
    size_t size;
    ESHMHandle *one, *two, *slave;
    make_directory();
    one = open_in(directory, "a_", ESHM_ROLE_MASTER);
    two = open_in(directory, "", ESHM_ROLE_MASTER);
    slave = open_in(directory, "", ESHM_ROLE_SLAVE);
    CHECK(exists("a_robot") && exists("robot"));
    CHECK_IS(eshm_send(two, "two", 3), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 1000), ESHM_SUCCESS);
    CHECK_IS(size, 3);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(two), ESHM_SUCCESS);
    CHECK(exists("a_robot") && !exists("robot"));
    CHECK_IS(eshm_destroy(one), ESHM_SUCCESS);
    CHECK_IS(rmdir(directory), 0);
}

static void environment(void) {
    ESHMConfig old = eshm_default_config("old");
    ESHMHandle *one, *two, *of_1x;
    make_directory();
    CHECK_IS(setenv("ESHM_DIRECTORY", directory, 1), 0);
    CHECK_IS(setenv("ESHM_PREFIX", "env_", 1), 0);
    one = open_in(NULL, NULL, ESHM_ROLE_MASTER);
    two = open_in(NULL, "mine_", ESHM_ROLE_MASTER);
    of_1x = eshm_init(&old);
    CHECK(of_1x != NULL);
    CHECK(exists("env_robot") && exists("mine_robot") && exists("env_old"));
    CHECK_IS(eshm_destroy(of_1x), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(one), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(two), ESHM_SUCCESS);
    CHECK_IS(setenv("ESHM_DIRECTORY", "here", 1), 0);
    refused(NULL, NULL, "robot", "ESHM_DIRECTORY is \"here\"; expected an absolute path");
    CHECK(eshm_init(&old) == NULL);
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(rmdir(directory), 0);
}

static void bad_domains(void) {
    char name[257];
    make_directory();
    memset(name, 'n', sizeof name);
    refused("here", NULL, "robot", "the directory is \"here\"; expected an absolute path");
    refused("", NULL, "robot", "the directory is \"\"; expected an absolute path");
    refused(directory, "a/b", "robot", "the prefix is \"a/b\"; expected 0 to 64 bytes");
    refused(directory, "\xff", "robot", "the prefix is not UTF-8 at byte 0");
    name[253] = '\0';
    refused(directory, "abc", name, "expected 1 to 252 bytes");
    CHECK_IS(rmdir(directory), 0);
}

/* The segments of a domain, one line for each. */
static char seen[1024];

static void note(const ESHMSegment* found, void* context) {
    size_t length = strlen(seen);
    CHECK(context == (void*)directory);
    CHECK(strncmp(found->path, directory, strlen(directory)) == 0);
    snprintf(seen + length, sizeof seen - length, "%s %d %d %d %u %d '%s';", found->name, (int)found->kind,
             found->has_seats ? (int)found->master_state : -1, found->master_pid == getpid(),
             (unsigned)found->m2s_waiting, (int)found->removed, found->left_because);
}

static void segments(void) {
    char path[200], expected[256];
    FILE* text;
    ESHMHandle* living;
    ESHMOptions config = eshm_default_options("closed");
    ESHMHandle* closed;
    make_directory();
    config.role = ESHM_ROLE_MASTER;
    config.auto_cleanup = false;
    config.directory = directory;
    config.prefix = "t_";
    CHECK_IS(eshm_open(&config, &closed), ESHM_SUCCESS);
    CHECK_IS(eshm_send(closed, "unread", 6), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(closed), ESHM_SUCCESS);
    living = open_in(directory, "t_", ESHM_ROLE_MASTER);
    snprintf(path, sizeof path, "%s/t_text", directory);
    text = fopen(path, "w");
    CHECK(text != NULL);
    CHECK_IS(fclose(text), 0);

    CHECK_IS(eshm_segments(directory, "t_", note, directory), ESHM_SUCCESS);
    CHECK_IS(strcmp(seen, "closed 0 4 1 1 0 '';robot 0 1 1 0 0 '';text 2 -1 0 0 0 '';"), 0);
    CHECK_IS(eshm_find_dead(directory, "t_", NULL, NULL), ESHM_SUCCESS);
    CHECK(exists("t_closed"));
    seen[0] = '\0';
    CHECK_IS(eshm_remove_dead(directory, "t_", note, directory), ESHM_SUCCESS);
    snprintf(expected, sizeof expected, "closed 0 4 1 1 1 '';robot 0 1 1 0 0 'its master lives (pid %d)';",
             (int)getpid());
    CHECK_IS(strncmp(seen, expected, strlen(expected)), 0);
    CHECK(!exists("t_closed") && exists("t_robot") && exists("t_text"));
    CHECK_IS(eshm_destroy(living), ESHM_SUCCESS);
    CHECK_IS(unlink(path), 0);
    CHECK_IS(rmdir(directory), 0);
    CHECK_IS(eshm_segments(directory, "t_", note, directory), ESHM_ERROR_SHM_ATTACH);
    CHECK_IS(eshm_segments(directory, "t_", NULL, NULL), ESHM_ERROR_INVALID_PARAM);
}

int main(void) {
    static const Case cases[] = {
        {"one name in two domains is two segments", two_domains},
        {"NULL stands for the domain of the environment", environment},
        {"an invalid domain is refused", bad_domains},
        {"segments are listed, and dead ones are removed", segments},
    };
    return RUN_CASES("domain", cases);
}
