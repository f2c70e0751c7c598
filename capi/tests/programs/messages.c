/* What is new in ESHM 2: messages that are not lost, loans, and options. */
#define _POSIX_C_SOURCE 200809L
#include <eshm.h>

#include "pair.h"

static void in_order(ESHMHandle* from, ESHMHandle* to) {
    int sent, received;
    size_t size = 0;
    for (sent = 0; sent < 500; sent++)
        CHECK_IS(eshm_send(from, &sent, sizeof sent), ESHM_SUCCESS);
    for (sent = 0; sent < 500; sent++) {
        CHECK_IS(eshm_recv(to, &received, sizeof received, &size, 1000), ESHM_SUCCESS);
        CHECK_IS(size, sizeof received);
        CHECK_IS(received, sent);
    }
    CHECK_IS(eshm_recv(to, &received, sizeof received, &size, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(eshm_recv(to, &received, sizeof received, &size, 20), ESHM_ERROR_TIMEOUT);
    CHECK_IS(size, 0);
    CHECK_IS(eshm_send(from, NULL, 0), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(to, NULL, 0, NULL, 0), ESHM_SUCCESS);
}

static void send_and_recv(void) {
    open_pair(0, 0);
    in_order(master, slave);
    in_order(slave, master);
    close_pair();
}

static void full(void) {
    int i, sent = 0, received;
    open_pair(0, 4096);
    while (eshm_send_ex(master, &sent, sizeof sent, 0) == ESHM_SUCCESS)
        sent++;
    CHECK(sent >= 64);
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_BUFFER_FULL);
    CHECK_IS(eshm_send_ex(master, &sent, sizeof sent, 20), ESHM_ERROR_TIMEOUT);
    for (i = 0; i < sent; i++) {
        CHECK_IS(eshm_recv(slave, &received, sizeof received, NULL, 0), ESHM_SUCCESS);
        CHECK_IS(received, i);
    }
    CHECK_IS(eshm_recv(slave, &received, sizeof received, NULL, 0), ESHM_ERROR_NO_DATA);
    close_pair();
}

static void small_buffer(void) {
    char in[16];
    size_t size = 0;
    const void* borrowed;
    open_pair(0, 0);
    CHECK_IS(eshm_send(master, "twelve bytes", 12), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "next", 4), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, in, 11, &size, 0), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(size, 12);
    /* The mailbox is independent of the message that stays. */
    CHECK_IS(eshm_write(master, "value", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), 5);
    CHECK_IS(eshm_recv(slave, in, 0, &size, 0), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_recv(slave, in, 12, &size, 0), ESHM_SUCCESS);
    CHECK(memcmp(in, "twelve bytes", 12) == 0);
    CHECK_IS(eshm_recv(slave, in, 3, &size, 0), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_recv_borrow(slave, &borrowed, &size, 0), ESHM_SUCCESS);
    CHECK_IS(size, 4);
    CHECK(memcmp(borrowed, "next", 4) == 0);
    CHECK_IS(eshm_release(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 0), ESHM_ERROR_NO_DATA);
    close_pair();
}

static void receive_in_child(void) {
    char in[8];
    const void* borrowed;
    size_t size, count;
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 0), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_recv_borrow(slave, &borrowed, &size, 0), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_recv_batch(slave, in, sizeof in, &size, 1, &count, 0), ESHM_ERROR_FORKED);
    /* Without exit handlers: they would look for leaks of the parent's memory. */
    fflush(stdout);
    _exit(0);
}

static void kept_from_a_child(void) {
    char in[8];
    size_t size = 0;
    open_pair(0, 0);
    CHECK_IS(eshm_send(master, "message", 7), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, in, 2, &size, 1000), ESHM_ERROR_BUFFER_TOO_SMALL);
    await_success(start_process(receive_in_child));
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 0), ESHM_SUCCESS);
    CHECK(size == 7 && memcmp(in, "message", 7) == 0);
    close_pair();
}

static void give_back_in_child(void) {
    char in[8];
    size_t size;
    CHECK_IS(eshm_release(slave), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_loan_drop(slave), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_loan_send(slave), ESHM_ERROR_FORKED);
    /* Nothing is lent by this handle; the child is refused all the same. */
    CHECK_IS(eshm_release(master), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_loan_drop(master), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 0), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_send(slave, "x", 1), ESHM_ERROR_FORKED);
    CHECK_IS(eshm_write(slave, "x", 1), ESHM_ERROR_FORKED);
    fflush(stdout);
    _exit(0);
}

/* A forked child cannot give back what was lent to its parent. */
static void lent_to_the_parent(void) {
    const void* borrowed = NULL;
    void* room = NULL;
    char in[8];
    size_t size = 0;
    open_pair(0, 0);
    CHECK_IS(eshm_send(master, "first", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "second", 6), ESHM_SUCCESS);
    CHECK_IS(eshm_recv_borrow(slave, &borrowed, &size, 1000), ESHM_SUCCESS);
    CHECK_IS(eshm_loan(slave, 4, &room, 0), ESHM_SUCCESS);
    memcpy(room, "loan", 4);
    await_success(start_process(give_back_in_child));
    CHECK_IS(info_of(slave).messages_received, 0);
    CHECK_IS(info_of(slave).messages_sent, 0);
    CHECK(size == 5 && memcmp(borrowed, "first", 5) == 0);
    CHECK_IS(eshm_release(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_release(slave), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_loan_send(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_loan_drop(slave), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 0), ESHM_SUCCESS);
    CHECK(size == 6 && memcmp(in, "second", 6) == 0);
    CHECK_IS(eshm_recv(master, in, sizeof in, &size, 0), ESHM_SUCCESS);
    CHECK(size == 4 && memcmp(in, "loan", 4) == 0);
    close_pair();
}

static void borrow(void) {
    char big[100000], in[8];
    size_t size = 0, i;
    const void* borrowed = NULL;
    for (i = 0; i < sizeof big; i++)
        big[i] = (char)i;
    open_pair(0, 0);
    CHECK_IS(eshm_release(slave), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_send(master, big, sizeof big), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "two", 3), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "three", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_recv_borrow(slave, &borrowed, &size, 1000), ESHM_SUCCESS);
    CHECK_IS(size, sizeof big);
    CHECK(memcmp(borrowed, big, sizeof big) == 0);
    CHECK_IS(eshm_release(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_release(slave), ESHM_ERROR_INVALID_PARAM);
    /* The next call that receives releases it too. */
    CHECK_IS(eshm_recv_borrow(slave, &borrowed, &size, 1000), ESHM_SUCCESS);
    CHECK(size == 3 && memcmp(borrowed, "two", 3) == 0);
    CHECK_IS(eshm_recv(slave, in, sizeof in, &size, 1000), ESHM_SUCCESS);
    CHECK(size == 5 && memcmp(in, "three", 5) == 0);
    CHECK_IS(eshm_recv_borrow(slave, &borrowed, &size, 0), ESHM_ERROR_NO_DATA);
    close_pair();
}

static void loans(ESHMHandle* from, ESHMHandle* to) {
    size_t lengths[] = {0, 1, 56, 57, 4096}, i, size = 0;
    char in[4096];
    void* room = NULL;
    CHECK_IS(eshm_loan_send(from), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_loan_drop(from), ESHM_ERROR_INVALID_PARAM);
    for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        CHECK_IS(eshm_loan(from, lengths[i], &room, 1000), ESHM_SUCCESS);
        CHECK(room != NULL);
        memset(room, 'a' + (int)i, lengths[i]);
        CHECK_IS(eshm_send(from, "x", 1), ESHM_ERROR_INVALID_PARAM);
        CHECK_IS(eshm_write(from, "x", 1), ESHM_ERROR_INVALID_PARAM);
        CHECK_IS(eshm_loan(from, 1, &room, 0), ESHM_ERROR_INVALID_PARAM);
        CHECK_IS(eshm_recv(to, in, sizeof in, &size, 0), ESHM_ERROR_NO_DATA);
        CHECK_IS(eshm_loan_send(from), ESHM_SUCCESS);
        CHECK_IS(eshm_recv(to, in, sizeof in, &size, 1000), ESHM_SUCCESS);
        CHECK_IS(size, lengths[i]);
        CHECK(size == 0 || (in[0] == 'a' + (int)i && in[size - 1] == in[0]));
    }
    CHECK_IS(eshm_loan(from, 10, &room, 1000), ESHM_SUCCESS);
    CHECK_IS(eshm_loan_drop(from), ESHM_SUCCESS);
    CHECK_IS(eshm_send(from, "after", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(to, in, sizeof in, &size, 1000), ESHM_SUCCESS);
    CHECK_IS(size, 5);
}

static void loan(void) {
    size_t queues[] = {0, ESHM_NO_QUEUE}, i;
    for (i = 0; i < 2; i++) {
        open_pair(0, queues[i]);
        loans(master, slave);
        loans(slave, master);
        close_pair();
    }
}

static void loan_waits(void) {
    void* room;
    open_pair(0, 4096);
    while (eshm_send_ex(master, "x", 1, 0) == ESHM_SUCCESS)
        continue;
    CHECK_IS(eshm_loan(master, 1, &room, 0), ESHM_ERROR_BUFFER_FULL);
    CHECK_IS(eshm_loan(master, 1, &room, 120), ESHM_ERROR_TIMEOUT);
    CHECK_IS(eshm_loan_send(master), ESHM_ERROR_INVALID_PARAM);
    close_pair();
}

static void sizes(void) {
    char* value = malloc(100000);
    char* in = malloc(100000);
    memset(value, 'v', 100000);
    open_pair(100000, 0);
    CHECK_IS(info_of(slave).data_size, 100000);
    CHECK_IS(info_of(slave).max_message, 256 << 10);
    CHECK_IS(eshm_write(slave, value, 100000), ESHM_SUCCESS);
    CHECK_IS(eshm_read(master, in, 100000), 100000);
    CHECK(memcmp(value, in, 100000) == 0);
    close_pair();
    free(value);
    free(in);
}

/* A slave waits for its closed master, without a limit and with one. */
static void patience(bool give_up, uint32_t timeout_ms, int with_timeout) {
    char in[8];
    ESHMOptions config = eshm_default_options(segment);
    CHECK(!config.give_up);
    config.reconnect_timeout_ms = 30;
    config.reconnect_interval_ms = 5;
    config.give_up = give_up;
    config.role = ESHM_ROLE_MASTER;
    CHECK_IS(eshm_open(&config, &master), ESHM_SUCCESS);
    config.role = ESHM_ROLE_SLAVE;
    CHECK_IS(eshm_open(&config, &slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, in, sizeof in, NULL, ESHM_TIMEOUT_INFINITE), ESHM_ERROR_PEER_CLOSED);
    CHECK_IS(eshm_recv(slave, in, sizeof in, NULL, timeout_ms), with_timeout);
}

static void search(void) {
    char in[8];
    patience(false, 120, ESHM_ERROR_TIMEOUT);
    {
        ESHMOptions config = eshm_default_options(segment);
        config.role = ESHM_ROLE_MASTER;
        CHECK_IS(eshm_open(&config, &master), ESHM_SUCCESS);
    }
    CHECK_IS(eshm_wait_for_peer(master, 20000), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "late", 4), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, in, sizeof in, NULL, 20000), ESHM_SUCCESS);
    close_pair();
    patience(true, 20000, ESHM_ERROR_PEER_CLOSED);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
}

/* Another segment takes the name of the master's segment. */
static void displaced(void) {
    char other[140], from[160], to[160];
    ESHMOptions config;
    ESHMHandle* second;
    open_pair(0, 0);
    snprintf(other, sizeof other, "%s-other", segment);
    config = eshm_default_options(other);
    config.role = ESHM_ROLE_MASTER;
    /* Without a background thread the name is not restored, so that the file can be moved. */
    config.background = false;
    CHECK_IS(eshm_open(&config, &second), ESHM_SUCCESS);
    snprintf(from, sizeof from, "/dev/shm/eshm_%s", other);
    snprintf(to, sizeof to, "/dev/shm/eshm_%s", segment);
    CHECK_IS(rename(from, to), 0);
    AWAIT(eshm_write(master, "", 0) != ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "x", 1), ESHM_ERROR_DISPLACED);
    CHECK(strstr(eshm_last_error(), "another segment has its name") != NULL);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK(segment_exists());
    CHECK_IS(eshm_destroy(second), ESHM_SUCCESS);
}

static void closed_peer(void) {
    char in[8];
    open_pair(0, 0);
    CHECK_IS(eshm_send(slave, "last", 4), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(master, in, sizeof in, NULL, ESHM_TIMEOUT_INFINITE), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(master, in, sizeof in, NULL, ESHM_TIMEOUT_INFINITE), ESHM_ERROR_PEER_CLOSED);
    CHECK(strstr(eshm_last_error(), "closed") != NULL);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void receive_one(void) {
    const void* data;
    size_t size = 0;
    ESHMHandle* handle;
    ESHMOptions config = eshm_default_options(segment);
    config.role = ESHM_ROLE_SLAVE;
    CHECK_IS(eshm_open(&config, &handle), ESHM_SUCCESS);
    CHECK_IS(eshm_recv_borrow(handle, &data, &size, 20000), ESHM_SUCCESS);
    CHECK(size == 5 && memcmp(data, "whole", 5) == 0);
    CHECK_IS(eshm_write(handle, "had it", 6), ESHM_SUCCESS);
    for (;;)
        pause();
}

/* The next process receives a message again that was borrowed and not released. */
static void killed_borrower(void) {
    char in[8];
    ESHMConfig config = eshm_default_config(segment);
    pid_t child = start_process(receive_one);
    config.role = ESHM_ROLE_MASTER;
    master = eshm_init(&config);
    CHECK_IS(eshm_send(master, "whole", 5), ESHM_SUCCESS);
    CHECK_IS(eshm_read_ex(master, in, sizeof in, NULL, 20000), ESHM_SUCCESS);
    kill_process(child);
    config.role = ESHM_ROLE_SLAVE;
    slave = eshm_init(&config);
    CHECK(slave != NULL);
    CHECK_IS(eshm_recv(slave, in, sizeof in, NULL, 1000), ESHM_SUCCESS);
    CHECK(memcmp(in, "whole", 5) == 0);
    close_pair();
}

static void text(void) {
    size_t length = 99;
    CHECK_IS(eshm_text_length("pose", 5, &length), ESHM_SUCCESS);
    CHECK_IS(length, 4);
    CHECK_IS(eshm_text_length("pose", 4, &length), ESHM_SUCCESS);
    CHECK_IS(length, 4);
    CHECK_IS(eshm_text_length("\xc3\xa4\0\0", 4, &length), ESHM_SUCCESS);
    CHECK_IS(length, 2);
    CHECK_IS(eshm_text_length(NULL, 0, &length), ESHM_SUCCESS);
    CHECK_IS(length, 0);
    CHECK_IS(eshm_text_length("A\0K", 4, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "NUL at byte 1") != NULL);
    CHECK_IS(eshm_text_length("A\xff", 3, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "not UTF-8 at byte 1") != NULL);
    CHECK_IS(eshm_text_length(NULL, 1, NULL), ESHM_ERROR_INVALID_PARAM);
}

static void version(void) {
    int major = 0, minor, patch;
    CHECK_IS(sscanf(eshm_version(), "%d.%d.%d", &major, &minor, &patch), 3);
    CHECK(major >= 2);
}

/* C cannot ask for the scheduling of the thread. The tests of the core check it. */
static void monitor(void) {
    const uint32_t first = 0, none = 1024;
    CHECK_IS(eshm_configure_monitor(ESHM_MONITOR_NORMAL, 0, &first, 1), ESHM_SUCCESS);
    CHECK_IS(eshm_configure_monitor(ESHM_MONITOR_NORMAL, 0, NULL, 0), ESHM_SUCCESS);
    CHECK_IS(eshm_configure_monitor(ESHM_MONITOR_NORMAL, 1, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_configure_monitor(ESHM_MONITOR_FIFO, 100, NULL, 0), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_configure_monitor(ESHM_MONITOR_NORMAL, 0, NULL, 1), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_configure_monitor(ESHM_MONITOR_NORMAL, 0, &none, 1), ESHM_ERROR_INVALID_PARAM);
    CHECK(strstr(eshm_last_error(), "processor 1024") != NULL);
}

int main(void) {
    static const Case cases[] = {
        {"messages arrive in order, none lost, in both directions", send_and_recv},
        {"a full queue refuses, and loses nothing", full},
        {"a message that does not fit the buffer stays", small_buffer},
        {"a forked child does not receive a message that did not fit", kept_from_a_child},
        {"a forked child gives back nothing that its parent was lent", lent_to_the_parent},
        {"messages are borrowed in place and released", borrow},
        {"messages are built in place, with and without a queue", loan},
        {"a loan waits for room within its time", loan_waits},
        {"sizes that were configured", sizes},
        {"the search for a master ends with the reconnection limits only with give_up", search},
        {"a master whose name leads to another segment is told", displaced},
        {"a close is received after all that was sent before it", closed_peer},
        {"a message that a killed process had borrowed is received again", killed_borrower},
        {"a message is text, or is not", text},
        {"the version", version},
        {"the background thread can be scheduled", monitor},
    };
    return RUN_CASES("messages", cases);
}
