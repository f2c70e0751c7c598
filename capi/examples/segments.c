/*
 * Lists the segments of a domain, and what an observer sees in each.
 *
 *   cc segments.c $(pkg-config --cflags --libs eshm) -o segments && ./segments [DIRECTORY [PREFIX]]
 */
#include <eshm.h>
#include <stdio.h>

typedef struct Domain {
    const char* directory; /* NULL: as the environment says */
    const char* prefix;
} Domain;

static const char* name_of(enum ESHMPeerState state) {
    static const char* const names[] = {"absent", "alive", "frozen", "dead", "closed"};
    return names[state];
}

static void show_end(const char* role, const ESHMSeatView* seat) {
    printf("  %-6s %-6s pid %ld, %llu heartbeats\n", role, name_of(seat->state), (long)seat->pid,
           (unsigned long long)seat->heartbeat);
}

static void show_direction(const char* direction, const ESHMDirectionView* view) {
    printf("  %s: %u of %u messages wait, %llu values written\n", direction, (unsigned)view->waiting,
           (unsigned)view->slots, (unsigned long long)view->written);
}

/* Looks at the segment without taking part in it. */
static void observe(const ESHMSegment* segment, const Domain* domain) {
    ESHMOptions options = eshm_default_options(segment->name);
    ESHMObserver* observer;
    ESHMView view;
    options.directory = domain->directory;
    options.prefix = domain->prefix;
    view.struct_size = sizeof view;
    if (eshm_observe(&options, &observer) != ESHM_SUCCESS) {
        printf("  %s\n", eshm_last_error());
        return;
    }
    if (eshm_observer_look(observer, &view) == ESHM_SUCCESS) {
        show_end("master", &view.master);
        show_end("slave", &view.slave);
        show_direction("master to slave", &view.master_to_slave);
        show_direction("slave to master", &view.slave_to_master);
    }
    eshm_observer_close(observer);
}

static void show(const ESHMSegment* segment, void* context) {
    printf("%s: %s, %llu bytes, of %s\n", segment->name, segment->path, (unsigned long long)segment->size,
           segment->owner_name);
    if (segment->reason[0] != '\0')
        printf("  %s\n", segment->reason);
    if (segment->has_seats)
        observe(segment, (const Domain*)context);
}

int main(int argc, char** argv) {
    Domain domain;
    domain.directory = argc > 1 ? argv[1] : NULL;
    domain.prefix = argc > 2 ? argv[2] : NULL;
    if (eshm_segments(domain.directory, domain.prefix, show, &domain) != ESHM_SUCCESS) {
        fprintf(stderr, "segments: %s\n", eshm_last_error());
        return 1;
    }
    return 0;
}
