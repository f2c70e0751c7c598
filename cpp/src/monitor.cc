#include "eshm/monitor.hpp"

#include "convert.h"

namespace eshm {

Result<void> try_configure_monitor(const MonitorSettings& settings) noexcept {
    const rust::Slice<const std::uint32_t> cpus{settings.cpus.data(), settings.cpus.size()};
    detail::Outcome outcome{};
    detail::configure_monitor(static_cast<std::uint8_t>(settings.policy), settings.priority, cpus, outcome);
    return detail::result(outcome);
}

} // namespace eshm
