// What is seen of a segment, from the bridge to the facade.
#ifndef ESHM_CPP_VIEW_H
#define ESHM_CPP_VIEW_H

#include "eshm-cpp/src/lib.rs.h"
#include "eshm/observer.hpp"

namespace eshm::detail {

inline SeatView seat(const SeenSeat& seen) noexcept {
    return {seen.state, seen.pid, seen.heartbeat, seen.generation, seen.is_legacy};
}

inline DirectionView direction(const SeenDirection& seen) noexcept {
    return {seen.written, seen.read, seen.waiting, seen.high_water, seen.slots};
}

inline View view(const Seen& seen) noexcept {
    return {seat(seen.master), seat(seen.slave), direction(seen.master_to_slave),
            direction(seen.slave_to_master)};
}

} // namespace eshm::detail

#endif
