#include "eshm/monitor.hpp"

#include "bridge.h"
#include "eshm-cpp/src/lib.rs.h"

namespace eshm {

Result<void> try_configure_monitor(const MonitorSettings& settings) noexcept {
    const rust::Slice<const std::uint32_t> cpus{settings.cpus.data(), settings.cpus.size()};
    rust::String failure;
    if (const auto code = detail::configure_monitor(static_cast<std::uint8_t>(settings.policy),
                                                    settings.priority, cpus, failure)) {
        return detail::failure(code, failure);
    }
    return {};
}

} // namespace eshm
