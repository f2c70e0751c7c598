/// @file
/// Scheduling of the background thread, which keeps the heartbeats of all endpoints of the process.
#ifndef ESHM_MONITOR_HPP
#define ESHM_MONITOR_HPP

#include <cstdint>
#include <vector>

#include "eshm/error.hpp"

namespace eshm {

/// The scheduling policy of the background thread: see sched(7).
enum class MonitorPolicy : std::uint8_t {
    normal,      ///< `SCHED_OTHER`, whatever policy the thread has that opens the first endpoint.
    fifo,        ///< `SCHED_FIFO`.
    round_robin, ///< `SCHED_RR`.
};

/// Scheduling of the background thread. The default is a thread of policy `normal` on all processors that the
/// process may use. If a real-time thread opens the first endpoint, its processors are left out, unless there
/// are no others.
struct MonitorSettings {
    /// The scheduling policy.
    MonitorPolicy policy = MonitorPolicy::normal;
    /// 1 … 99 with `fifo` and `round_robin`, 0 with `normal`.
    int priority = 0;
    /// The processors that the thread may run on, each less than 1024. Empty: the default.
    std::vector<std::uint32_t> cpus = {};
};

/// Sets the scheduling of the background thread of this process. Any thread may call it, at any time. The
/// settings hold until the next call, and are inherited by forked children.
/// @throws Error `Errc::invalid` for a setting that is out of range or that the system refuses; the text
/// names it.
[[nodiscard]] ESHM_CPP_API Result<void> try_configure_monitor(const MonitorSettings& settings) noexcept;
inline void configure_monitor(const MonitorSettings& settings) { try_configure_monitor(settings).value(); }

} // namespace eshm

#endif
