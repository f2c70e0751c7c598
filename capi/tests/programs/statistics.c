/* The state of the peer and the segment, and what an endpoint counts. */
#define _POSIX_C_SOURCE 200809L
#include "pair.h"

static void information(void) {
    char in[8];
    ESHMInfo before;
    open_pair(0, 0);
    before = info_of(master);
    CHECK_IS(before.peer_state, ESHM_PEER_ALIVE);
    CHECK(!before.peer_is_legacy);
    CHECK_IS(before.data_size, 4096);
    CHECK_IS(eshm_write(master, "1", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), 1);
    CHECK_IS(eshm_write(master, "2", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_write(master, "3", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_write(master, "4", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), 1);
    CHECK_IS(info_of(slave).skipped, 2);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    AWAIT(info_of(master).peer_state == ESHM_PEER_CLOSED);
    CHECK_IS(eshm_wait_for_peer(master, 10), ESHM_ERROR_TIMEOUT);
    slave = NULL;
    {
        ESHMConfig config = eshm_default_config(segment);
        config.role = ESHM_ROLE_SLAVE;
        slave = eshm_init(&config);
    }
    CHECK_IS(eshm_wait_for_peer(master, 5000), ESHM_SUCCESS);
    CHECK(info_of(master).generation > before.generation);
    close_pair();
}

static void counts(void) {
    char message[100] = {0};
    uint64_t unreceived = 0;
    ESHMInfo info;
    int i;
    open_pair(0, 0);
    for (i = 0; i < 5; i++)
        CHECK_IS(eshm_send(master, message, sizeof message), ESHM_SUCCESS);
    CHECK_IS(eshm_recv(slave, message, sizeof message, NULL, 1000), ESHM_SUCCESS);
    info = info_of(master);
    CHECK_IS(info.messages_sent, 5);
    CHECK_IS(info.bytes_sent, 500);
    CHECK_IS(info.m2s_queue_depth, 4);
    CHECK(info.m2s_queue_high_water >= 4);
    CHECK_IS(info.s2m_queue_depth, 0);
    CHECK_IS(info.s2m_queue_high_water, 0);
    CHECK_IS(info.unreceived, 4);
    CHECK_IS(info.room_waits, 0);
    CHECK_IS(info.stalls, 0);
    info = info_of(slave);
    CHECK_IS(info.messages_received, 1);
    CHECK_IS(info.bytes_received, 100);
    CHECK_IS(info.messages_sent, 0);
    CHECK_IS(eshm_unreceived(master, NULL), ESHM_ERROR_INVALID_PARAM);
    CHECK_IS(eshm_unreceived(master, &unreceived), ESHM_SUCCESS);
    CHECK_IS(unreceived, 4);
    while (eshm_send_ex(master, message, 1, 0) == ESHM_SUCCESS)
        continue;
    CHECK_IS(eshm_send_ex(master, message, 1, 3), ESHM_ERROR_TIMEOUT);
    info = info_of(master);
    CHECK_IS(info.timeouts, 1);
    CHECK_IS(info.room_waits, 1);
    CHECK(info.room_wait_time_ns >= 2000000);
    close_pair();
}

static void close_counts(void) {
    uint64_t unreceived = 0;
    open_pair(0, 0);
    CHECK_IS(eshm_send(master, "a", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_send(master, "b", 1), ESHM_SUCCESS);
    CHECK_IS(eshm_close(master, &unreceived), ESHM_SUCCESS);
    CHECK_IS(unreceived, 2);
    CHECK_IS(eshm_close(master, &unreceived), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_unreceived(master, &unreceived), ESHM_ERROR_NOT_INITIALIZED);
    CHECK_IS(eshm_close(slave, NULL), ESHM_SUCCESS);
    CHECK(!segment_exists());
}

int main(void) {
    static const Case cases[] = {
        {"the state of peer and segment", information},
        {"messages, bytes, depths and waits are counted", counts},
        {"a close says how many messages were not received", close_counts},
    };
    return RUN_CASES("statistics", cases);
}
