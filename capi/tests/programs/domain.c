/* The directory and the prefix of ESHMConfigEx, and of the environment. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>
#include <sys/stat.h>

#include "check.h"

/* A directory of the running case's own. */
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
    ESHMConfigEx config = eshm_default_config_ex("robot");
    ESHMHandle* handle;
    config.base.role = role;
    config.directory = where;
    config.prefix = prefix;
    CHECK_IS(eshm_init_ex(&config, &handle), ESHM_SUCCESS);
    return handle;
}

static void refused(const char* where, const char* prefix, const char* name, const char* what) {
    ESHMConfigEx config = eshm_default_config_ex(name);
    ESHMHandle* handle;
    config.directory = where;
    config.prefix = prefix;
    CHECK_IS(eshm_init_ex(&config, &handle), ESHM_ERROR_INVALID_PARAM);
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
    refused(directory, "\xff", "robot", "config.prefix is not UTF-8 at byte 0");
    name[253] = '\0';
    refused(directory, "abc", name, "expected 1 to 252 bytes");
    CHECK_IS(rmdir(directory), 0);
}

int main(void) {
    static const Case cases[] = {
        {"one name in two domains is two segments", two_domains},
        {"what is NULL, the environment says", environment},
        {"what is no domain is refused", bad_domains},
    };
    return RUN_CASES("domain", cases);
}
