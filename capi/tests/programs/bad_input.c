/* Bad input gets an error code and a text. Nothing crashes, and nothing is created or lost. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>

#include "check.h"

static ESHMHandle* open_as(enum ESHMRole role) {
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle* handle;
    config.role = role;
    handle = eshm_init(&config);
    CHECK(handle != NULL);
    return handle;
}

/* Checks that the last failure has this code, and that its text contains this. */
static void said(int code, const char* what) {
    if (eshm_last_error_code() != code || strstr(eshm_last_error(), what) == NULL)
        fprintf(stderr, "%d '%s', expected %d '... %s ...'\n", eshm_last_error_code(), eshm_last_error(),
                code, what);
    CHECK_IS(eshm_last_error_code(), code);
    CHECK(strstr(eshm_last_error(), what) != NULL);
}

static void null_handle(void) {
    char buffer[8] = {0};
    size_t size = 0;
    bool alive = false;
    enum ESHMRole role;
    enum ESHMWakeupMode mode;
    const void* borrowed;
    void* room;
    ESHMStats stats;
    ESHMInfo info;
    ESHMBuffer message;
    message.data = buffer;
    message.size = sizeof buffer;
    info.struct_size = sizeof info;
    CHECK_IS(eshm_destroy(NULL), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "handle is NULL");
    CHECK_IS(eshm_write(NULL, "x", 1), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_read(NULL, buffer, sizeof buffer), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_read_ex(NULL, buffer, sizeof buffer, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_check_remote_alive(NULL, &alive), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_get_stats(NULL, &stats), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_get_role(NULL, &role), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_update_heartbeat(NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_set_wakeup_mode(NULL, ESHM_WAKEUP_PUSH), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_get_wakeup_mode(NULL, &mode), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_wait_for_peer(NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_get_info(NULL, &info), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_send(NULL, "x", 1), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_send_ex(NULL, "x", 1, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv(NULL, buffer, sizeof buffer, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv_borrow(NULL, &borrowed, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_release(NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_loan(NULL, 1, &room, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_loan_send(NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_loan_drop(NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_send_batch(NULL, &message, 1, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv_batch(NULL, buffer, sizeof buffer, &size, 1, &size, 0), ESHM_ERROR_INVALID_PARAM);
}

static void null_pointers(void) {
    char buffer[8] = {0};
    size_t size = 0;
    const void* borrowed;
    ESHMBuffer message = {NULL, 1};
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMOptions config = eshm_default_options(segment);
    CHECK(eshm_init(NULL) == NULL);
    said(ESHM_ERROR_INVALID_PARAM, "config is NULL");
    CHECK(eshm_init_sized(NULL, 64) == NULL);
    CHECK_IS(eshm_open(NULL, &master), ESHM_ERROR_INVALID_PARAM);
    CHECK(master == NULL);
    CHECK_IS(eshm_open(&config, NULL), ESHM_ERROR_INVALID_PARAM);
    /* The handle was overwritten above; the process is still the master. */
    CHECK(open_as(ESHM_ROLE_SLAVE) != NULL);
    strcat(segment, "-again");
    master = open_as(ESHM_ROLE_MASTER);
    CHECK_IS(eshm_write(master, NULL, 1), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_write(master, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "data is NULL");
    CHECK_IS(eshm_read(master, NULL, 8), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_read_ex(master, NULL, 8, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_check_remote_alive(master, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_get_stats(master, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_get_role(master, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_get_wakeup_mode(master, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_get_info(master, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_send(master, NULL, 1), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv(master, NULL, 1, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv_borrow(master, NULL, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv_borrow(master, &borrowed, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_loan(master, 1, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_send_batch(master, NULL, 1, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_send_batch(master, &message, 1, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv_batch(master, NULL, 8, &size, 1, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv_batch(master, buffer, 8, NULL, 1, &size, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv_batch(master, buffer, 8, &size, 1, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void no_handle(void* value) {
    char in[8];
    CHECK_IS(eshm_write((ESHMHandle*)value, "x", 1), ESHM_ERROR_NOT_INITIALIZED);
    said(ESHM_ERROR_NOT_INITIALIZED, "destroyed");
    CHECK_IS(eshm_read((ESHMHandle*)value, in, sizeof in), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_send((ESHMHandle*)value, "x", 1), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_update_heartbeat((ESHMHandle*)value), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_destroy((ESHMHandle*)value), ESHM_ERROR_NOT_INITIALIZED);
}

static void dead_handles(void) {
    int i, on_stack = 0;
    uintptr_t bit;
    void* on_heap = malloc(64);
    ESHMHandle *handle = open_as(ESHM_ROLE_MASTER), *others[200];
    CHECK_IS(eshm_destroy(handle), ESHM_SUCCESS);
    no_handle(handle);
    /* Its place in the registry is used again many times, and the old handle stays invalid. */
    for (i = 0; i < 200; i++) {
        others[i] = open_as(ESHM_ROLE_MASTER);
        CHECK(others[i] != handle);
        no_handle(handle);
        CHECK_IS(eshm_destroy(others[i]), ESHM_SUCCESS);
    }
    for (i = 0; i < 200; i++)
        no_handle(others[i]);
    handle = open_as(ESHM_ROLE_MASTER);
    for (bit = 1; bit != 0; bit <<= 1)
        no_handle((void*)((uintptr_t)handle ^ bit));
    no_handle((void*)(uintptr_t)1);
    no_handle((void*)UINTPTR_MAX);
    no_handle(&on_stack);
    no_handle(on_heap);
    no_handle((void*)segment);
    CHECK_IS(eshm_write(handle, "x", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(handle), ESHM_SUCCESS);
    free(on_heap);
}

static void names(void) {
    char unterminated[600], longest[251];
    ESHMConfig config = eshm_default_config(NULL);
    ESHMHandle* handle;
    config.role = ESHM_ROLE_MASTER;
    CHECK(eshm_init(&config) == NULL);
    said(ESHM_ERROR_INVALID_PARAM, "config.shm_name is NULL");
    config.shm_name = "";
    CHECK(eshm_init(&config) == NULL);
    said(ESHM_ERROR_INVALID_PARAM, "empty");
    memset(unterminated, 'n', sizeof unterminated);
    config.shm_name = unterminated;
    CHECK(eshm_init(&config) == NULL);
    said(ESHM_ERROR_INVALID_PARAM, "no NUL within 256 bytes");
    config.shm_name = "..";
    CHECK(eshm_init(&config) == NULL);
    said(ESHM_ERROR_INVALID_PARAM, "'..'");
    config.shm_name = "\xff\xfe";
    CHECK(eshm_init(&config) == NULL);
    said(ESHM_ERROR_INVALID_PARAM, "UTF-8");
    memset(longest, 'n', 250);
    longest[250] = '\0';
    memcpy(longest, segment, strlen(segment));
    config.shm_name = longest;
    handle = eshm_init(&config);
    CHECK(handle != NULL);
    CHECK_IS(eshm_destroy(handle), ESHM_SUCCESS);
}

/* eshm_init replaces it, as in ESHM 1.x. All other interfaces refuse it. */
static void slash_in_a_name(void) {
    ESHMOptions config = eshm_default_options(segment);
    ESHMHandle* handle;
    strcat(segment, "/x");
    config.role = ESHM_ROLE_MASTER;
    CHECK_IS(eshm_open(&config, &handle), ESHM_ERROR_INVALID_PARAM);
    CHECK(handle == NULL);
    said(ESHM_ERROR_INVALID_PARAM, "contains '/'");
}

static void out_of_range(void) {
    int wrong[] = {-1, 3, 4, 77, 0x7fffffff}, bad;
    size_t i;
    ESHMHandle* handle = open_as(ESHM_ROLE_MASTER);
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ESHMConfig config = eshm_default_config("capi-never-made");
        ESHMOptions options = eshm_default_options("capi-never-made");
        ESHMHandle* opened = handle;
        /* Through memory: the compiler may assume that an enum has one of its values. */
        memcpy(&config.role, &wrong[i], sizeof wrong[i]);
        CHECK(eshm_init(&config) == NULL);
        said(ESHM_ERROR_INVALID_PARAM, "config.role");
        config = eshm_default_config("capi-never-made");
        memcpy(&config.disconnect_behavior, &wrong[i], sizeof wrong[i]);
        CHECK(eshm_init(&config) == NULL);
        said(ESHM_ERROR_INVALID_PARAM, "config.disconnect_behavior");
        if (wrong[i] != ESHM_WAIT_PARK) {
            memcpy(&options.wait, &wrong[i], sizeof wrong[i]);
            CHECK_IS(eshm_open(&options, &opened), ESHM_ERROR_INVALID_PARAM);
            CHECK(opened == NULL);
            said(ESHM_ERROR_INVALID_PARAM, "options.wait");
        }
        options = eshm_default_options("capi-never-made");
        memcpy(&options.disconnect, &wrong[i], sizeof wrong[i]);
        CHECK_IS(eshm_open(&options, &opened), ESHM_ERROR_INVALID_PARAM);
        said(ESHM_ERROR_INVALID_PARAM, "options.disconnect");
        options = eshm_default_options("capi-never-made");
        memcpy(&options.role, &wrong[i], sizeof wrong[i]);
        CHECK_IS(eshm_open(&options, &opened), ESHM_ERROR_INVALID_PARAM);
        said(ESHM_ERROR_INVALID_PARAM, "options.role");
        bad = wrong[i];
        CHECK_IS(eshm_set_wakeup_mode(handle, (enum ESHMWakeupMode)bad), ESHM_ERROR_INVALID_PARAM);
        said(ESHM_ERROR_INVALID_PARAM, "mode is");
    }
    CHECK_IS(eshm_destroy(handle), ESHM_SUCCESS);
}

static void any_byte_is_a_bool(void) {
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle* handle;
    config.role = ESHM_ROLE_MASTER;
    memset(&config.auto_cleanup, 0xA5, 1);
    memset(&config.use_threads, 0x5A, 1);
    handle = eshm_init(&config);
    CHECK(handle != NULL);
    CHECK_IS(eshm_destroy(handle), ESHM_SUCCESS);
    CHECK(!segment_exists());
}

static void newer_versions(void) {
    struct {
        ESHMOptions known;
        uint64_t later;
    } config;
    struct {
        ESHMInfo known;
        uint64_t later;
    } info;
    ESHMHandle* handle = NULL;
    memset(&config, 0, sizeof config);
    memset(&info, 0, sizeof info);
    config.known = eshm_default_options(segment);
    config.known.role = ESHM_ROLE_MASTER;
    config.known.struct_size = sizeof config;
    CHECK_IS(eshm_open(&config.known, &handle), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "later eshm.h");
    config.known.struct_size = 0;
    CHECK_IS(eshm_open(&config.known, &handle), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "not set");
    config.known.struct_size = sizeof config.known;
    CHECK_IS(eshm_open(&config.known, &handle), ESHM_SUCCESS);
    info.known.struct_size = sizeof info;
    CHECK_IS(eshm_get_info(handle, &info.known), ESHM_ERROR_INVALID_PARAM);
    info.known.struct_size = sizeof info.known;
    CHECK_IS(eshm_get_info(handle, &info.known), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(handle), ESHM_SUCCESS);
}

static void settings(void) {
    ESHMHandle* handle;
    ESHMConfig of_1x = eshm_default_config(segment);
    ESHMOptions config = eshm_default_options(segment);
    config.role = ESHM_ROLE_MASTER;
    config.data_size = ((size_t)64 << 20) + 1;
    CHECK_IS(eshm_open(&config, &handle), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "data_size");
    config = eshm_default_options(segment);
    config.queue_capacity = (size_t)1 << 40;
    CHECK_IS(eshm_open(&config, &handle), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "queue_capacity");
    config = eshm_default_options(segment);
    of_1x.role = ESHM_ROLE_MASTER;
    config.mode = 0444;
    CHECK_IS(eshm_open(&config, &handle), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "mode");
    config = eshm_default_options(segment);
    config.stale_threshold_ms = 0;
    CHECK_IS(eshm_open(&config, &handle), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "stale_threshold");
    config = eshm_default_options(segment);
    config.group = -2;
    CHECK_IS(eshm_open(&config, &handle), ESHM_ERROR_INVALID_PARAM);
    said(ESHM_ERROR_INVALID_PARAM, "group");
    CHECK(eshm_init_sized(&of_1x, 0) == NULL);
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_INVALID_PARAM);
    CHECK(!segment_exists());
}

static void sizes(void) {
    char in[8];
    size_t size = 7, huge[] = {SIZE_MAX, SIZE_MAX / 2 + 1, (size_t)1 << 62}, i;
    void* room;
    ESHMHandle* handle = open_as(ESHM_ROLE_MASTER);
    for (i = 0; i < sizeof huge / sizeof *huge; i++) {
        ESHMBuffer message;
        message.data = in;
        message.size = huge[i];
        CHECK(eshm_write(handle, in, huge[i]) < 0);
        CHECK(eshm_send(handle, in, huge[i]) < 0);
        CHECK(eshm_loan(handle, huge[i], &room, 0) < 0);
        CHECK(eshm_send_batch(handle, &message, 1, &size, 0) < 0);
        CHECK_IS(size, 0);
        CHECK_IS(eshm_send_batch(handle, &message, huge[i], &size, 0), ESHM_ERROR_INVALID_PARAM);
        CHECK(eshm_read_ex(handle, in, huge[i], &size, 0) < 0);
    }
    CHECK_IS(eshm_send_ex(handle, in, ((size_t)256 << 10) + 1, 0), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_destroy(handle), ESHM_SUCCESS);
}

static void taken_roles(void) {
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle* master = open_as(ESHM_ROLE_MASTER);
    ESHMHandle* slave = open_as(ESHM_ROLE_SLAVE);
    config.role = ESHM_ROLE_MASTER;
    CHECK(eshm_init(&config) == NULL);
    said(ESHM_ERROR_ROLE_MISMATCH, "already has a live master");
    config.role = ESHM_ROLE_SLAVE;
    CHECK(eshm_init(&config) == NULL);
    said(ESHM_ERROR_ROLE_MISMATCH, "already has a live slave");
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void bad_segments(void) {
    char path[160], bytes[8576] = {0};
    FILE* file;
    ESHMConfig config = eshm_default_config(segment);
    config.role = ESHM_ROLE_SLAVE;
    snprintf(path, sizeof path, "/dev/shm/eshm_%s", segment);
    memset(bytes, 0x5a, sizeof bytes);
    file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK_IS(fwrite(bytes, 1, sizeof bytes, file), sizeof bytes);
    CHECK_IS(fclose(file), 0);
    CHECK(eshm_init(&config) == NULL);
    said(ESHM_ERROR_SHM_ATTACH, "magic is 0x5a5a5a5a, expected 0x4553484d");
    config.role = ESHM_ROLE_MASTER;
    CHECK(eshm_init(&config) == NULL);
    CHECK(segment_exists());
}

static void each_thread_its_error(void) {
    CHECK(eshm_init(NULL) == NULL);
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_INVALID_PARAM);
    /* A success does not change the last failure. */
    CHECK_IS(eshm_destroy(open_as(ESHM_ROLE_MASTER)), ESHM_SUCCESS);
    said(ESHM_ERROR_INVALID_PARAM, "config is NULL");
}

int main(void) {
    static const Case cases[] = {
        {"a NULL handle is INVALID_PARAM everywhere", null_handle},
        {"NULL for any other pointer is INVALID_PARAM", null_pointers},
        {"a handle that was destroyed, or is none, is NOT_INITIALIZED", dead_handles},
        {"names: NULL, empty, without an end, '..', not UTF-8; the longest works", names},
        {"'/' in a name is refused by eshm_open", slash_in_a_name},
        {"enums out of range", out_of_range},
        {"any byte is a bool", any_byte_is_a_bool},
        {"structures of another version", newer_versions},
        {"settings out of range", settings},
        {"sizes that cannot be", sizes},
        {"roles that are taken", taken_roles},
        {"files that are no segments are refused and left alone", bad_segments},
        {"the last error stays until the next", each_thread_its_error},
    };
    CHECK_IS(eshm_last_error_code(), ESHM_SUCCESS);
    CHECK(strcmp(eshm_last_error(), "") == 0);
    return RUN_CASES("bad-input", cases);
}
