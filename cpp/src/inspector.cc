#include "eshm/inspector.hpp"

#include "bridge.h"
#include "eshm-cpp/src/lib.rs.h"

namespace eshm {

namespace {

/// What `question` answered, of an inspector that was not moved from.
template <class Question>
Result<void> asked(const detail::Inspector* core, Question question) noexcept {
    if (!core) {
        return Failure{Errc::closed};
    }
    rust::String failure;
    if (const auto code = question(*core, failure)) {
        return detail::failure(code, failure);
    }
    return {};
}

Stats counted(const detail::Counters& counters) noexcept {
    return {
        counters.master_heartbeat,
        counters.slave_heartbeat,
        counters.master_pid,
        counters.slave_pid,
        counters.master_alive,
        counters.slave_alive,
        std::chrono::milliseconds{counters.stale_threshold},
        counters.master_heartbeat_delta,
        counters.slave_heartbeat_delta,
        counters.m2s_write_count,
        counters.m2s_read_count,
        counters.s2m_write_count,
        counters.s2m_read_count,
        counters.skipped,
        counters.timeouts,
        counters.reconnects,
        counters.wakeups,
        counters.stalls,
        counters.messages_sent,
        counters.messages_received,
        counters.bytes_sent,
        counters.bytes_received,
        counters.m2s_queue_depth,
        counters.s2m_queue_depth,
        counters.m2s_queue_high_water,
        counters.s2m_queue_high_water,
        counters.room_waits,
        std::chrono::nanoseconds{counters.room_wait_time},
        counters.unreceived,
    };
}

} // namespace

const detail::Inspector& Inspector::core() const {
    if (!core_) {
        Failure{Errc::closed}.raise();
    }
    return *core_;
}

std::string_view Inspector::name() const noexcept {
    if (!core_) {
        return {};
    }
    const rust::Str name = core_->name();
    return {name.data(), name.size()};
}

Role Inspector::role() const { return core().role(); }
std::size_t Inspector::data_size() const { return core().data_size(); }
std::size_t Inspector::max_message() const { return core().max_message(); }
PeerState Inspector::peer_state() const { return core().peer_state(); }
std::uint64_t Inspector::generation() const { return core().generation(); }
bool Inspector::peer_is_legacy() const { return core().peer_is_legacy(); }
std::uint64_t Inspector::unreceived() const { return core().unreceived(); }

void Inspector::stop() const noexcept {
    if (core_) {
        core_->stop();
    }
}

Result<Stats> Inspector::try_stats() const noexcept {
    detail::Counters counters{};
    const auto done =
        asked(core_.get(), [&](auto& core, auto& failure) { return core.stats(counters, failure); });
    if (!done) {
        return done.error();
    }
    return counted(counters);
}

Result<void> Inspector::try_wait_for_peer(Duration wait) const noexcept {
    return asked(core_.get(),
                 [&](auto& core, auto& failure) { return core.wait_for_peer(detail::ns(wait), failure); });
}

Result<void> Inspector::try_check_removed() const noexcept {
    return asked(core_.get(), [](auto& core, auto& failure) { return core.check_removed(failure); });
}

Result<void> Inspector::try_update_heartbeat() const noexcept {
    return asked(core_.get(), [](auto& core, auto& failure) { return core.update_heartbeat(failure); });
}

} // namespace eshm
