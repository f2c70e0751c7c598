/* Two endpoints of one segment, in one process. */
#ifndef PAIR_H
#define PAIR_H

#include <eshm.h>

#include "check.h"

static ESHMHandle *master, *slave;

static inline void open_pair(size_t data_size, size_t queue_capacity) {
    ESHMOptions config = eshm_default_options(segment);
    config.data_size = data_size;
    config.queue_capacity = queue_capacity;
    config.role = ESHM_ROLE_MASTER;
    CHECK_IS(eshm_open(&config, &master), ESHM_SUCCESS);
    config.role = ESHM_ROLE_SLAVE;
    CHECK_IS(eshm_open(&config, &slave), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_for_peer(master, 5000), ESHM_SUCCESS);
    CHECK_IS(eshm_wait_for_peer(slave, 5000), ESHM_SUCCESS);
}

static inline void close_pair(void) {
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    CHECK(!segment_exists());
}

static inline ESHMInfo info_of(ESHMHandle* handle) {
    ESHMInfo info;
    info.struct_size = sizeof info;
    CHECK_IS(eshm_get_info(handle, &info), ESHM_SUCCESS);
    return info;
}

#endif
