/* The constants of ESHM's C interface. Included by eshm.h. */
#ifndef ESHM_CONFIG_H
#define ESHM_CONFIG_H

/*
 * Bytes of the greatest value of eshm_write, 1 to 67108864. A program that was built with another size for
 * ESHM 1.x
 * (-DESHM_MAX_DATA_SIZE=65536) gets segments of that size still: see eshm_init. New programs choose it at run
 * time: see ESHMConfigEx.
 */
#ifndef ESHM_MAX_DATA_SIZE
#define ESHM_MAX_DATA_SIZE 4096
#endif

/* How often an endpoint shows a sign of life. */
#define ESHM_HEARTBEAT_INTERVAL_MS 1

/* As a timeout: as long as it takes. */
#define ESHM_TIMEOUT_INFINITE 0xFFFFFFFFu

/* As a queue capacity: make a segment without queues, as small as those of ESHM 1.x. */
#define ESHM_NO_QUEUE ((size_t)-1)

#endif
