// The fields of `Stats`, for what is done with each of them.
#ifndef ESHM_CPP_STATISTICS_H
#define ESHM_CPP_STATISTICS_H

#include "eshm/options.hpp"

namespace eshm::detail {

/// Calls `visit(name, field)` for each field of `stats`, which may be const.
template <class AnyStats, class Visit>
void each_field(AnyStats& stats, Visit visit) {
#define ESHM_FIELD(name) visit(#name, stats.name)
    ESHM_FIELD(master_heartbeat);
    ESHM_FIELD(slave_heartbeat);
    ESHM_FIELD(master_pid);
    ESHM_FIELD(slave_pid);
    ESHM_FIELD(master_alive);
    ESHM_FIELD(slave_alive);
    ESHM_FIELD(stale_threshold);
    ESHM_FIELD(master_heartbeat_delta);
    ESHM_FIELD(slave_heartbeat_delta);
    ESHM_FIELD(m2s_write_count);
    ESHM_FIELD(m2s_read_count);
    ESHM_FIELD(s2m_write_count);
    ESHM_FIELD(s2m_read_count);
    ESHM_FIELD(skipped);
    ESHM_FIELD(timeouts);
    ESHM_FIELD(reconnects);
    ESHM_FIELD(wakeups);
    ESHM_FIELD(stalls);
    ESHM_FIELD(messages_sent);
    ESHM_FIELD(messages_received);
    ESHM_FIELD(bytes_sent);
    ESHM_FIELD(bytes_received);
    ESHM_FIELD(m2s_queue_depth);
    ESHM_FIELD(s2m_queue_depth);
    ESHM_FIELD(m2s_queue_high_water);
    ESHM_FIELD(s2m_queue_high_water);
    ESHM_FIELD(room_waits);
    ESHM_FIELD(room_wait_time);
    ESHM_FIELD(unreceived);
#undef ESHM_FIELD
}

} // namespace eshm::detail

#endif
