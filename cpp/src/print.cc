// The stream output of enums and statistics.
#include <ostream>

#include "eshm/error.hpp"
#include "eshm/options.hpp"
#include "eshm/segments.hpp"

namespace eshm {

namespace {

/// A field's value, as a number or a word.
std::uint64_t shown(std::uint64_t count) { return count; }
std::uint32_t shown(std::uint32_t count) { return count; }
std::int32_t shown(std::int32_t pid) { return pid; }
const char* shown(bool flag) { return flag ? "true" : "false"; }
std::string shown(std::chrono::milliseconds time) { return std::to_string(time.count()) + "ms"; }
std::string shown(std::chrono::nanoseconds time) { return std::to_string(time.count()) + "ns"; }

} // namespace

std::ostream& operator<<(std::ostream& out, Errc code) { return out << to_string(code); }
std::ostream& operator<<(std::ostream& out, Role role) { return out << to_string(role); }
std::ostream& operator<<(std::ostream& out, PeerState state) { return out << to_string(state); }
std::ostream& operator<<(std::ostream& out, SegmentKind kind) { return out << to_string(kind); }

std::ostream& operator<<(std::ostream& out, const Stats& stats) {
    return out << "master_heartbeat=" << shown(stats.master_heartbeat)
               << " slave_heartbeat=" << shown(stats.slave_heartbeat)
               << " master_pid=" << shown(stats.master_pid) << " slave_pid=" << shown(stats.slave_pid)
               << " master_alive=" << shown(stats.master_alive) << " slave_alive=" << shown(stats.slave_alive)
               << " stale_threshold=" << shown(stats.stale_threshold)
               << " master_heartbeat_delta=" << shown(stats.master_heartbeat_delta)
               << " slave_heartbeat_delta=" << shown(stats.slave_heartbeat_delta)
               << " m2s_write_count=" << shown(stats.m2s_write_count)
               << " m2s_read_count=" << shown(stats.m2s_read_count)
               << " s2m_write_count=" << shown(stats.s2m_write_count)
               << " s2m_read_count=" << shown(stats.s2m_read_count) << " skipped=" << shown(stats.skipped)
               << " timeouts=" << shown(stats.timeouts) << " reconnects=" << shown(stats.reconnects)
               << " wakeups=" << shown(stats.wakeups) << " stalls=" << shown(stats.stalls)
               << " messages_sent=" << shown(stats.messages_sent)
               << " messages_received=" << shown(stats.messages_received)
               << " bytes_sent=" << shown(stats.bytes_sent)
               << " bytes_received=" << shown(stats.bytes_received)
               << " m2s_queue_depth=" << shown(stats.m2s_queue_depth)
               << " s2m_queue_depth=" << shown(stats.s2m_queue_depth)
               << " m2s_queue_high_water=" << shown(stats.m2s_queue_high_water)
               << " s2m_queue_high_water=" << shown(stats.s2m_queue_high_water)
               << " room_waits=" << shown(stats.room_waits)
               << " room_wait_time=" << shown(stats.room_wait_time)
               << " unreceived=" << shown(stats.unreceived);
}

} // namespace eshm
