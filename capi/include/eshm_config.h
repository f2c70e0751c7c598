/* The constants of ESHM's C interface. Included by eshm.h. */
#ifndef ESHM_CONFIG_H
#define ESHM_CONFIG_H

/* The version of these headers. eshm_version returns that of the library. */
#define ESHM_VERSION_MAJOR 2
#define ESHM_VERSION_MINOR 0
#define ESHM_VERSION_PATCH 0
#define ESHM_VERSION "2.0.0"

/*
 * Bytes of the greatest value of eshm_write, 1 to 67108864. A program that was built with another size for
 * ESHM 1.x (-DESHM_MAX_DATA_SIZE=65536) still gets segments of that size: see eshm_init. New programs choose
 * it at run time: see ESHMOptions.
 */
#ifndef ESHM_MAX_DATA_SIZE
#define ESHM_MAX_DATA_SIZE 4096
#endif

/* The default interval between two heartbeats of an endpoint. */
#define ESHM_HEARTBEAT_INTERVAL_MS 1

/* As a timeout: without limit. */
#define ESHM_TIMEOUT_INFINITE 0xFFFFFFFFu

/* As a queue capacity: a segment without queues, as small as those of ESHM 1.x. */
#define ESHM_NO_QUEUE ((size_t)-1)

#endif
