// An endpoint's two directions, as the facade holds them.
#ifndef ESHM_CPP_DIRECTION_H
#define ESHM_CPP_DIRECTION_H

#include <atomic>
#include <cstdint>

#include "bridge.h"
#include "eshm-cpp/src/lib.rs.h"

namespace eshm::detail {

/// What the facade's functions return in the place of an error of the core.
enum Code : std::int32_t {
    /// Success.
    ok = 0,
    /// Nothing came in the time there was. The bridge returns it, too.
    nothing = 1,
    /// A message or loan still lies in the direction.
    occupied = 2,
};

/// A half of the core's endpoint, and the one message or loan that may lie in it, which keeps it alive beyond
/// the endpoint. Sharing it needs no count of owners, and costs the fast path no atomic read-modify-write,
/// since users keep the end of the endpoint and that of the guest apart.
template <class Half>
struct Direction {
    rust::Box<Half> half;
    /// Whether there is a guest. Atomic, for a message that another thread destroys than the one that
    /// receives.
    std::atomic<bool> occupied{false};
    /// Whether the endpoint is gone, and the guest the only owner.
    bool left = false;

    explicit Direction(rust::Box<Half> core) noexcept : half{std::move(core)} {}

    /// Acquire: pairs with the store in `vacate`: the half is not in use by the thread that ended the guest.
    [[nodiscard]] bool is_occupied() const noexcept { return occupied.load(std::memory_order_acquire); }

    void occupy() noexcept { occupied.store(true, std::memory_order_relaxed); }
};

struct Incoming : Direction<Receiver> {
    using Direction::Direction;
};

struct Outgoing : Direction<Sender> {
    using Direction::Direction;
};

/// The guest is gone, and with it the direction, if the endpoint is too.
template <class D>
void vacate(D& direction) noexcept {
    if (direction.left) {
        delete &direction;
    } else {
        direction.occupied.store(false, std::memory_order_release);
    }
}

/// The endpoint is gone, and with it the direction, unless it has a guest.
template <class D>
void leave(D* direction) noexcept {
    if (direction->is_occupied()) {
        direction->left = true;
    } else {
        delete direction;
    }
}

} // namespace eshm::detail

#endif
