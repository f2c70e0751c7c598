// Values of the facade as those of the bridge, and back.
#ifndef ESHM_CPP_CONVERT_H
#define ESHM_CPP_CONVERT_H

#include <cstdint>
#include <optional>
#include <string>

#include "bridge.h"
#include "eshm-cpp/src/lib.rs.h"
#include "eshm/observer.hpp"

namespace eshm::detail {

inline std::int64_t ns(Duration time) noexcept { return time.count().count(); }

/// For calls that are made seldom: making a rust::Slice costs a call.
inline rust::Slice<const std::uint8_t> slice(const void* data, std::size_t size) noexcept {
    return {static_cast<const std::uint8_t*>(data), size};
}

inline std::string_view view(rust::Str text) noexcept { return {text.data(), text.size()}; }

/// Borrows from `domain`.
inline Place place(const Domain& domain) noexcept {
    const auto bytes = [](const std::optional<std::string>& part) {
        return part ? slice(part->data(), part->size()) : rust::Slice<const std::uint8_t>{};
    };
    return {domain.directory.has_value(), bytes(domain.directory), domain.prefix.has_value(),
            bytes(domain.prefix)};
}

/// The failure of a call whose outcome has a code.
inline Failure failure(const Outcome& outcome) noexcept {
    return Failure{static_cast<Errc>(outcome.code), std::string{outcome.text}};
}

inline Result<void> result(const Outcome& outcome) noexcept {
    if (outcome.code != Code::ok) {
        return failure(outcome);
    }
    return {};
}

inline SeatView view(const SeenSeat& seat) noexcept {
    return {static_cast<PeerState>(seat.state), seat.pid, seat.heartbeat, seat.generation, seat.is_legacy};
}

inline DirectionView view(const SeenDirection& direction) noexcept {
    return {direction.written, direction.read, direction.waiting, direction.high_water, direction.slots};
}

inline View view(const Seen& seen) noexcept {
    return {view(seen.master), view(seen.slave), view(seen.master_to_slave), view(seen.slave_to_master)};
}

} // namespace eshm::detail

#endif
