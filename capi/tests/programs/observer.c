/* An observer sees what Rust's Observer sees, changes nothing, and cannot be misused. The version of the
 * header is that of the library. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>

#include "check.h"

static ESHMOptions of_segment(enum ESHMRole role) {
    ESHMOptions options = eshm_default_options(segment);
    options.role = role;
    return options;
}

static ESHMHandle* open_as(enum ESHMRole role) {
    const ESHMOptions options = of_segment(role);
    ESHMHandle* handle;
    CHECK_IS(eshm_open(&options, &handle), ESHM_SUCCESS);
    return handle;
}

static ESHMObserver* observe(void) {
    const ESHMOptions options = of_segment(ESHM_ROLE_AUTO);
    ESHMObserver* observer;
    CHECK_IS(eshm_observe(&options, &observer), ESHM_SUCCESS);
    return observer;
}

static ESHMView look(ESHMObserver* observer) {
    ESHMView view;
    view.struct_size = sizeof view;
    CHECK_IS(eshm_observer_look(observer, &view), ESHM_SUCCESS);
    return view;
}

static void sees_both_ends(void) {
    ESHMHandle *master = open_as(ESHM_ROLE_MASTER), *slave;
    ESHMObserver* observer = observe();
    ESHMView view = look(observer);
    char in[8];
    CHECK(view.is_current);
    CHECK_IS(view.data_size, 4096);
    CHECK_IS(view.max_message, 256 << 10);
    CHECK_IS(view.master.state, ESHM_PEER_ALIVE);
    CHECK_IS(view.master.pid, getpid());
    CHECK(view.master.heartbeat > 0 && !view.master.is_legacy);
    CHECK_IS(view.slave.state, ESHM_PEER_ABSENT);
    CHECK_IS(view.slave.pid, 0);

    slave = open_as(ESHM_ROLE_SLAVE);
    CHECK_IS(eshm_send(master, "one", 3), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "two", 3), ESHM_SUCCESS);
    CHECK_IS(eshm_write(slave, "value", 5), ESHM_SUCCESS);
    view = look(observer);
    CHECK_IS(view.slave.state, ESHM_PEER_ALIVE);
    CHECK_IS(view.slave.generation, 1);
    CHECK_IS(view.master_to_slave.waiting, 2);
    CHECK(view.master_to_slave.slots >= 2);
    CHECK_IS(view.slave_to_master.written, 1);
    CHECK_IS(view.slave_to_master.waiting, 0);
    AWAIT(look(observer).master_to_slave.high_water == 2);

    /* It took nothing. */
    CHECK_IS(eshm_recv(slave, in, sizeof in, NULL, 0), ESHM_SUCCESS);
    CHECK_IS(eshm_read(master, in, sizeof in), 5);
    CHECK_IS(look(observer).master_to_slave.waiting, 1);
    AWAIT(look(observer).slave_to_master.read == 1);

    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(look(observer).slave.state, ESHM_PEER_CLOSED);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    view = look(observer);
    CHECK_IS(view.master.state, ESHM_PEER_CLOSED);
    CHECK(!view.is_current);
    CHECK_IS(eshm_observer_close(observer), ESHM_SUCCESS);
}

static ESHMObserver* inherited;

static void look_in_child(void) {
    ESHMView view;
    view.struct_size = sizeof view;
    CHECK_IS(eshm_observer_look(inherited, &view), ESHM_ERROR_FORKED);
    fflush(stdout);
    _exit(0);
}

static void refuses_what_is_wrong(void) {
    ESHMOptions options = of_segment(ESHM_ROLE_AUTO);
    ESHMObserver* observer = (ESHMObserver*)&options;
    ESHMHandle* master;
    ESHMView view;
    view.struct_size = sizeof view;
    CHECK_IS(eshm_observe(NULL, &observer), ESHM_ERROR_INVALID_PARAM);
    CHECK(observer == NULL);
    CHECK_IS(eshm_observe(&options, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_observe(&options, &observer), ESHM_ERROR_SHM_ATTACH);
    CHECK(strstr(eshm_last_error(), "no such segment") != NULL);
    CHECK_IS(eshm_observer_look(NULL, &view), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_observer_close(NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_observer_look((ESHMObserver*)&options, &view), ESHM_ERROR_NOT_INITIALIZED);

    master = open_as(ESHM_ROLE_MASTER);
    observer = observe();
    CHECK_IS(eshm_observer_look((ESHMObserver*)master, &view), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_write((ESHMHandle*)observer, "x", 1), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_observer_look(observer, NULL), ESHM_ERROR_INVALID_PARAM);
    view.struct_size = sizeof view + 8;
    CHECK_IS(eshm_observer_look(observer, &view), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "later eshm.h") != NULL);

    inherited = observer;
    await_success(start_process(look_in_child));

    CHECK_IS(eshm_observer_close(observer), ESHM_SUCCESS);
    CHECK_IS(eshm_observer_close(observer), ESHM_ERROR_NOT_INITIALIZED);
    view.struct_size = sizeof view;
    CHECK_IS(eshm_observer_look(observer, &view), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void version(void) {
    char numbers[32];
    snprintf(numbers, sizeof numbers, "%d.%d.%d", ESHM_VERSION_MAJOR, ESHM_VERSION_MINOR, ESHM_VERSION_PATCH);
    CHECK(strcmp(numbers, ESHM_VERSION) == 0);
    CHECK(strcmp(eshm_version(), ESHM_VERSION) == 0);
}

int main(void) {
    static const Case cases[] = {
        {"an observer sees both ends, and takes nothing", sees_both_ends},
        {"an observer refuses what is wrong", refuses_what_is_wrong},
        {"the version of the header is that of the library", version},
    };
    return RUN_CASES("observer", cases);
}
