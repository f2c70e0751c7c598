/* The code that the stand-ins for 1.0 and 1.2 share. */
#include "endpoint.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
#define STORE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELEASE)
/* Each field has one writer in 1.x, which loads, adds and stores. */
#define ADD_ONE(place) STORE(place, (place) + 1)

double legacy_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void legacy_sleep_us(long us) {
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static int peer_of(const Endpoint* endpoint) { return endpoint->role == MASTER ? SLAVE : MASTER; }

static void object_name(const Endpoint* endpoint, char* name, size_t size) {
    snprintf(name, size, "/eshm_%s", endpoint->name);
    for (char* at = name + 1; *at != '\0'; at++)
        if (*at == '/')
            *at = '_';
}

/* Maps the segment. Returns NULL if there is none, or if it is too short. */
static Segment* map_existing(const Endpoint* endpoint) {
    char name[300];
    object_name(endpoint, name, sizeof name);
    int file = shm_open(name, O_RDWR, 0666);
    if (file < 0)
        return NULL;
    Segment* segment = NULL;
    /* 1.x does not check the size and dies of SIGBUS. A stand-in that dies shows nothing, so it checks. */
    if (lseek(file, 0, SEEK_END) >= (off_t)sizeof(Segment))
        segment = mmap(NULL, sizeof(Segment), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return segment == MAP_FAILED ? NULL : segment;
}

static Segment* create(const Endpoint* endpoint) {
    char name[300];
    object_name(endpoint, name, sizeof name);
    shm_unlink(name);
    int file = shm_open(name, O_CREAT | O_RDWR, 0666);
    if (file < 0)
        return NULL;
    Segment* segment = MAP_FAILED;
    if (ftruncate(file, sizeof(Segment)) == 0)
        segment = mmap(NULL, sizeof(Segment), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (segment == MAP_FAILED)
        return NULL;
    memset(segment, 0, sizeof *segment);
    segment->header.version = version_number;
    version_describe(&segment->header);
    STORE(segment->header.magic, LEGACY_MAGIC);
    return segment;
}

/* A master takes a segment over if its header says that a slave is alive. Otherwise it creates a new one. */
static int start_master(Endpoint* endpoint) {
    Segment* segment = map_existing(endpoint);
    if (segment != NULL && (!version_accepts(&segment->header) || LOAD(segment->header.alive[SLAVE]) == 0)) {
        munmap(segment, sizeof *segment);
        segment = NULL;
    }
    if (segment == NULL)
        segment = create(endpoint);
    if (segment == NULL)
        return SHM_CREATE;
    endpoint->creator = true;
    segment->header.stale_threshold = STALE_THRESHOLD_MS;
    ADD_ONE(segment->header.master_generation);
    STORE(segment->header.pid[MASTER], getpid());
    STORE(segment->header.alive[MASTER], 1);
    endpoint->segment = segment;
    return OK;
}

static void sit_down_as_slave(Endpoint* endpoint, Segment* segment) {
    STORE(segment->header.pid[SLAVE], getpid());
    STORE(segment->header.alive[SLAVE], 1);
    endpoint->segment = segment;
}

static int start_slave(Endpoint* endpoint) {
    Segment* segment = map_existing(endpoint);
    if (segment == NULL)
        return SHM_ATTACH;
    if (!version_accepts(&segment->header)) {
        munmap(segment, sizeof *segment);
        return SHM_ATTACH;
    }
    sit_down_as_slave(endpoint, segment);
    return OK;
}

/* Searches for the master again. A slave checks only the magic, and that the heartbeat has changed. */
static void reconnect(Endpoint* endpoint, uint64_t last_heartbeat) {
    double since = legacy_now_ms();
    for (int attempt = 0; attempt < RECONNECT_ATTEMPTS && !LOAD(endpoint->stopping); attempt++) {
        Segment* segment = map_existing(endpoint);
        if (segment != NULL && LOAD(segment->header.magic) == LEGACY_MAGIC &&
            LOAD(segment->header.heartbeat[MASTER]) != last_heartbeat) {
            pthread_rwlock_wrlock(&endpoint->attached);
            sit_down_as_slave(endpoint, segment);
            version_reattached(endpoint);
            pthread_rwlock_unlock(&endpoint->attached);
            return;
        }
        if (segment != NULL)
            munmap(segment, sizeof *segment);
        if (legacy_now_ms() - since >= RECONNECT_WAIT_MS)
            break;
        legacy_sleep_us(RECONNECT_RETRY_MS * 1000L);
    }
    STORE(endpoint->given_up, true);
}

/* Beats every millisecond. A slave whose master has not beaten for the threshold detaches and reconnects. */
static void* keep(void* argument) {
    Endpoint* endpoint = argument;
    uint64_t last = 0;
    double moved = legacy_now_ms();
    while (!LOAD(endpoint->stopping) && !LOAD(endpoint->given_up)) {
        Header* header = &endpoint->segment->header;
        ADD_ONE(header->heartbeat[endpoint->role]);
        uint64_t heartbeat = LOAD(header->heartbeat[MASTER]);
        double now = legacy_now_ms();
        if (heartbeat != last) {
            last = heartbeat;
            moved = now;
        }
        if (endpoint->role == SLAVE && now - moved >= STALE_THRESHOLD_MS) {
            pthread_rwlock_wrlock(&endpoint->attached);
            munmap(endpoint->segment, sizeof *endpoint->segment);
            endpoint->segment = NULL;
            pthread_rwlock_unlock(&endpoint->attached);
            reconnect(endpoint, last);
            last = 0;
            moved = legacy_now_ms();
            continue;
        }
        legacy_sleep_us(1000);
    }
    return NULL;
}

int legacy_open(Endpoint* endpoint, enum Role role, const char* name) {
    memset(endpoint, 0, sizeof *endpoint);
    snprintf(endpoint->name, sizeof endpoint->name, "%s", name);
    /* Lets the thread that re-attaches take the lock between two polls of the reader. */
    pthread_rwlockattr_t fair;
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&endpoint->attached, &fair);
    pthread_rwlockattr_destroy(&fair);
    endpoint->role = role == MASTER ? MASTER : SLAVE;
    int opened = role == MASTER ? start_master(endpoint) : start_slave(endpoint);
    if (role == AUTO && opened != OK) {
        endpoint->role = MASTER;
        opened = start_master(endpoint);
    }
    if (opened == OK && pthread_create(&endpoint->thread, NULL, keep, endpoint) != 0)
        return SHM_CREATE;
    return opened;
}

void legacy_close(Endpoint* endpoint) {
    STORE(endpoint->stopping, true);
    pthread_join(endpoint->thread, NULL);
    if (endpoint->segment != NULL) {
        STORE(endpoint->segment->header.alive[endpoint->role], 0);
        munmap(endpoint->segment, sizeof *endpoint->segment);
        endpoint->segment = NULL;
    }
    if (endpoint->creator) {
        char name[300];
        object_name(endpoint, name, sizeof name);
        shm_unlink(name);
    }
    pthread_rwlock_destroy(&endpoint->attached);
}

int legacy_write(Endpoint* endpoint, const void* data, uint32_t size) {
    if (size > LEGACY_N)
        return TOO_SMALL;
    pthread_rwlock_rdlock(&endpoint->attached);
    int written = endpoint->segment == NULL ? TIMEOUT : OK;
    if (written == OK) {
        Channel* channel = &endpoint->segment->channel[endpoint->role];
        /* 1.x only adds: if a predecessor was killed during a write, odd and even stay swapped. */
        STORE(channel->sequence, channel->sequence + 1);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        memcpy(channel->data, data, size);
        __atomic_store_n(&channel->data_size, size, __ATOMIC_RELAXED);
        STORE(channel->sequence, channel->sequence + 1);
        ADD_ONE(channel->write_count);
        version_ring(endpoint, channel);
    } else if (LOAD(endpoint->given_up)) {
        written = STALE;
    }
    pthread_rwlock_unlock(&endpoint->attached);
    return written;
}

/* Polls once. Returns the size, or NO_DATA. */
static int try_read(Endpoint* endpoint, Channel* channel, void* buffer) {
    uint64_t count = LOAD(channel->write_count);
    if (version_takes_baseline(endpoint, count) || count <= endpoint->seen)
        return NO_DATA;
    uint32_t before, size;
    do {
        do
            before = LOAD(channel->sequence);
        while (before % 2 == 1);
        size = channel->data_size;
        /* 1.x does not check it. */
        if (size > LEGACY_N)
            size = LEGACY_N;
        memcpy(buffer, channel->data, size);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    } while (LOAD(channel->sequence) != before);
    /* This count may be newer than the copied value, so a value can be returned twice if the writer is fast.
     */
    endpoint->seen = count;
    ADD_ONE(channel->read_count);
    return (int)size;
}

int legacy_read(Endpoint* endpoint, void* buffer, long timeout_ms) {
    double since = legacy_now_ms();
    for (;;) {
        pthread_rwlock_rdlock(&endpoint->attached);
        Segment* segment = endpoint->segment;
        Channel* channel = segment == NULL ? NULL : &segment->channel[peer_of(endpoint)];
        int read = channel == NULL ? NO_DATA : try_read(endpoint, channel, buffer);
        bool done = read != NO_DATA || timeout_ms == 0;
        bool over = timeout_ms != INFINITE_MS && legacy_now_ms() - since >= (double)timeout_ms;
        if (!done && !over && channel != NULL)
            version_wait(endpoint, channel);
        pthread_rwlock_unlock(&endpoint->attached);
        if (done)
            return read;
        if (LOAD(endpoint->given_up))
            return STALE;
        if (over)
            return TIMEOUT;
        if (channel == NULL)
            legacy_sleep_us(1000);
    }
}

bool legacy_peer_lives(Endpoint* endpoint) {
    double since = legacy_now_ms();
    uint64_t first = 0;
    for (bool started = false; legacy_now_ms() - since < STALE_THRESHOLD_MS; legacy_sleep_us(1000)) {
        pthread_rwlock_rdlock(&endpoint->attached);
        bool there = endpoint->segment != NULL;
        Header* header = there ? &endpoint->segment->header : NULL;
        bool alive = there && LOAD(header->alive[peer_of(endpoint)]) != 0;
        uint64_t heartbeat = there ? LOAD(header->heartbeat[peer_of(endpoint)]) : 0;
        pthread_rwlock_unlock(&endpoint->attached);
        if (!alive)
            return false;
        if (started && heartbeat != first)
            return true;
        first = heartbeat;
        started = true;
    }
    return false;
}
