/* Batches: many messages in one call. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "pair.h"

static void batches(void) {
    enum { COUNT = 300 };
    static char in[COUNT * 8];
    char text[COUNT][8];
    ESHMBuffer out[COUNT];
    size_t sizes[COUNT], i, sent = 0, count = 0, received = 0;
    open_pair(0, 0);
    for (i = 0; i < COUNT; i++) {
        out[i].size = (size_t)snprintf(text[i], sizeof text[i], "%d", (int)i);
        out[i].data = text[i];
    }
    CHECK_IS(eshm_send_batch(master, out, COUNT, &sent, 1000), ESHM_SUCCESS);
    CHECK_IS(sent, COUNT);
    while (received < COUNT) {
        size_t used = 0;
        /* There is room for some of them only. */
        CHECK_IS(eshm_recv_batch(slave, in, 100, sizes, 50, &count, 1000), ESHM_SUCCESS);
        CHECK(count >= 1 && count <= 50);
        for (i = 0; i < count; i++) {
            CHECK_IS(sizes[i], out[received].size);
            CHECK(memcmp(in + used, text[received], sizes[i]) == 0);
            used += sizes[i];
            received++;
        }
        CHECK(used <= 100);
    }
    CHECK_IS(eshm_recv_batch(slave, in, sizeof in, sizes, COUNT, &count, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(count, 0);
    CHECK_IS(eshm_recv_batch(slave, in, sizeof in, sizes, 0, &count, 0), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "too long", 8), ESHM_SUCCESS);
    CHECK_IS(eshm_recv_batch(slave, in, 7, sizes, COUNT, &count, 0), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(sizes[0], 8);
    CHECK_IS(count, 0);
    CHECK_IS(eshm_recv_batch(slave, in, 8, sizes, COUNT, &count, 0), ESHM_SUCCESS);
    CHECK_IS(count, 1);
    /* One message cannot be sent; those before it were sent. */
    out[2].size = (size_t)512 << 10;
    CHECK_IS(eshm_send_batch(master, out, 4, &sent, 0), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(sent, 2);
    CHECK_IS(eshm_send_batch(master, NULL, 0, NULL, 0), ESHM_SUCCESS);
    close_pair();
}

/* Receives a message every 50 ms, until none comes any more. */
static void* receive_slowly(void* count) {
    char in[2000];
    int code;
    while ((code = eshm_recv(slave, in, sizeof in, NULL, 1000)) == ESHM_SUCCESS) {
        ++*(size_t*)count;
        pause_ms(50);
    }
    CHECK_IS(code, ESHM_ERROR_TIMEOUT);
    return NULL;
}

static void batch_in_time(void) {
    enum { COUNT = 40 };
    static char bytes[2000];
    ESHMBuffer out[COUNT];
    size_t i, sent = 99, received = 0;
    pthread_t receiver;
    for (i = 0; i < COUNT; i++) {
        out[i].data = bytes;
        out[i].size = sizeof bytes;
    }
    open_pair(0, 4096);
    CHECK_IS(eshm_send_batch(master, out, COUNT, &sent, 0), ESHM_ERROR_BUFFER_FULL);
    CHECK(sent > 0 && sent < COUNT);
    for (i = 0; i < sent; i++)
        CHECK_IS(eshm_recv(slave, bytes, sizeof bytes, NULL, 0), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, bytes, sizeof bytes, NULL, 0), ESHM_ERROR_NO_DATA);
    /* There is room for each message within the timeout, and for all of them after two seconds. */
    CHECK_IS(pthread_create(&receiver, NULL, receive_slowly, &received), 0);
    CHECK_IS(eshm_send_batch(master, out, COUNT, &sent, 300), ESHM_ERROR_TIMEOUT);
    CHECK_IS(pthread_join(receiver, NULL), 0);
    CHECK(sent > 0 && sent < COUNT);
    CHECK_IS(received, sent);
    close_pair();
}

static void batch_with_room(void) {
    /* All of them fit, so there is always room. Copying them takes far longer than the timeout. */
    enum { COUNT = 65536, SIZE = 200 };
    static char bytes[SIZE], in[SIZE];
    ESHMBuffer* out = malloc(COUNT * sizeof *out);
    size_t i, sent = 0, rest = 0;
    CHECK(out != NULL);
    for (i = 0; i < COUNT; i++) {
        out[i].data = bytes;
        out[i].size = sizeof bytes;
    }
    open_pair(0, (size_t)16 << 20);
    CHECK_IS(eshm_send_batch(master, out, COUNT, &sent, 1), ESHM_ERROR_TIMEOUT);
    CHECK(sent > 0 && sent < COUNT);
    CHECK_IS(eshm_send_batch(master, out + sent, COUNT - sent, &rest, ESHM_TIMEOUT_INFINITE), ESHM_SUCCESS);
    CHECK_IS(sent + rest, COUNT);
    for (i = 0; i < COUNT; i++)
        CHECK_IS(eshm_recv(slave, in, sizeof in, NULL, 0), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, in, sizeof in, NULL, 0), ESHM_ERROR_NO_DATA);
    close_pair();
    free(out);
}

int main(void) {
    static const Case cases[] = {
        {"batches", batches},
        {"a batch has one time, and says how many of its messages were sent", batch_in_time},
        {"room for all of a batch does not prolong its time", batch_with_room},
    };
    return RUN_CASES("batches", cases);
}
