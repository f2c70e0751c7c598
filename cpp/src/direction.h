// The two directions of an endpoint, as the facade holds them.
#ifndef ESHM_CPP_DIRECTION_H
#define ESHM_CPP_DIRECTION_H

#include <atomic>
#include <cstdint>

#include "convert.h"

namespace eshm::detail {

/// A half of the core's endpoint, and at most one guest: a message or loan that it has lent. The guest keeps
/// the half alive after the endpoint. No count of owners is needed, and no atomic read-modify-write on the
/// fast path: the end of the endpoint and that of the guest never coincide, which is the user's obligation.
template <class Half>
struct Direction {
    rust::Box<Half> half;
    /// Whether there is a guest. Atomic, since a thread may destroy a message that another thread received.
    std::atomic<bool> occupied{false};
    /// Whether the endpoint is gone, and the guest is the only owner.
    bool left = false;

    explicit Direction(rust::Box<Half> core) noexcept : half{std::move(core)} {}

    /// Acquire pairs with Release in `vacate`: the thread that ended the guest has finished with the half.
    [[nodiscard]] bool is_occupied() const noexcept { return occupied.load(std::memory_order_acquire); }

    void occupy() noexcept { occupied.store(true, std::memory_order_relaxed); }
};

struct Incoming : Direction<Receiver> {
    using Direction::Direction;
};

struct Outgoing : Direction<Sender> {
    using Direction::Direction;
};

/// Ends the guest. Destroys the direction if the endpoint is gone.
template <class D>
void vacate(D& direction) noexcept {
    if (direction.left) {
        delete &direction;
    } else {
        direction.occupied.store(false, std::memory_order_release);
    }
}

/// Ends the endpoint's hold. Destroys the direction unless there is a guest.
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
