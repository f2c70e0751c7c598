/* A program that was built with channels of another size for ESHM 1.x: -DESHM_MAX_DATA_SIZE=... */
#define _POSIX_C_SOURCE 200809L
#define ESHM_MAX_DATA_SIZE 65536
#include <eshm.h>
#include <eshm_data.h>

#include "check.h"

static void sized(void) {
    static char out[ESHM_MAX_DATA_SIZE + 1], in[ESHM_MAX_DATA_SIZE];
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle *master, *slave;
    memset(out, 's', sizeof out);
    config.role = ESHM_ROLE_MASTER;
    master = eshm_init(&config);
    config.role = ESHM_ROLE_SLAVE;
    slave = eshm_init(&config);
    CHECK(master != NULL && slave != NULL);
    CHECK_IS(eshm_write(master, out, ESHM_MAX_DATA_SIZE), ESHM_SUCCESS);
    CHECK_IS(eshm_read(slave, in, sizeof in), ESHM_MAX_DATA_SIZE);
    CHECK(memcmp(in, out, sizeof in) == 0);
    CHECK_IS(eshm_write(master, out, sizeof out), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK_IS(sizeof(ESHMData), 128 + 2 * (8 + 65536 + 80 + 40));
    /* A slave of another size is refused, as by 1.2. */
    slave = (eshm_init)(&config);
    CHECK(slave != NULL);
    CHECK_IS(eshm_destroy(slave), ESHM_SUCCESS);
    CHECK(eshm_init_sized(&config, 4096) == NULL);
    CHECK_IS(eshm_last_error_code(), ESHM_ERROR_SHM_ATTACH);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

static void left_behind(void) {
    static char out[ESHM_MAX_DATA_SIZE];
    ESHMConfig config = eshm_default_config(segment);
    ESHMHandle* master;
    config.role = ESHM_ROLE_MASTER;
    config.auto_cleanup = false;
    CHECK_IS(eshm_destroy(eshm_init(&config)), ESHM_SUCCESS);
    master = (eshm_init)(&config);
    CHECK(master != NULL);
    CHECK_IS(eshm_write(master, out, 4097), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_write(master, out, 4096), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
    master = eshm_init(&config);
    CHECK(master != NULL);
    CHECK_IS(eshm_write(master, out, sizeof out), ESHM_SUCCESS);
    CHECK_IS(eshm_destroy(master), ESHM_SUCCESS);
}

int main(void) {
    static const Case cases[] = {
        {"ESHM_MAX_DATA_SIZE at compile time sizes the channels", sized},
        {"a master has its size, whatever was left behind", left_behind},
    };
    return RUN_CASES("sized", cases);
}
