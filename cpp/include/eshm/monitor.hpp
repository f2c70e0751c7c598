/// @file
/// How the background thread of the process is scheduled, which keeps the heartbeats of all its endpoints.
#ifndef ESHM_MONITOR_HPP
#define ESHM_MONITOR_HPP

#include <cstdint>
#include <vector>

#include "eshm/error.hpp"

namespace eshm {

/// The scheduling policy of the background thread: see sched(7).
enum class MonitorPolicy : std::uint8_t {
    normal,      ///< `SCHED_OTHER`, whatever that of the thread that opens the first endpoint.
    fifo,        ///< `SCHED_FIFO`.
    round_robin, ///< `SCHED_RR`.
};

/// How the background thread is scheduled. The default is an ordinary thread on all processors that the
/// process may use, but for those of a real-time thread that opens the first endpoint, if there are others.
struct MonitorSettings {
    /// The scheduling policy.
    MonitorPolicy policy = MonitorPolicy::normal;
    /// 1 … 99 with `fifo` and `round_robin`, 0 with `normal`.
    int priority = 0;
    /// The processors that the thread may run on, each less than 1024. Empty: as by default.
    std::vector<std::uint32_t> cpus = {};
};

/// Schedules the background thread of this process so: at any time, from any thread, until it is set anew,
/// also in forked children.
/// @throws Error `Errc::invalid` for what is out of range, or what the system refuses; the text says which.
[[nodiscard]] ESHM_CPP_API Result<void> try_configure_monitor(const MonitorSettings& settings) noexcept;
inline void configure_monitor(const MonitorSettings& settings) { try_configure_monitor(settings).value(); }

} // namespace eshm

#endif
