/// @file
/// `eshm::Events`: the event descriptor of an endpoint, for poll, epoll and event loops.
#ifndef ESHM_EVENTS_HPP
#define ESHM_EVENTS_HPP

#include <cstdint>
#include <memory>
#include <utility>

#include "eshm/error.hpp"
#include "eshm/options.hpp"

namespace eshm {

namespace detail {
struct Events; // of the core; in the library

/// Destroys events.
struct ESHM_CPP_API EndEvents {
    void operator()(const Events* events) const noexcept;
};
} // namespace detail

/// The events for which an event descriptor becomes readable. Combine them with `|`.
enum class Interest : std::uint32_t {
    readable = 1, ///< A message: `try_recv` may find one.
    value = 2,    ///< A new value: `try_read` may find one.
    writable = 4, ///< Room: `try_send` was refused for lack of room, and may succeed now.
    peer = 8,     ///< The state of the peer differs from what `Events::peer_state` returned last.
};

[[nodiscard]] constexpr Interest operator|(Interest a, Interest b) noexcept {
    return static_cast<Interest>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
[[nodiscard]] constexpr Interest operator&(Interest a, Interest b) noexcept {
    return static_cast<Interest>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}
constexpr Interest& operator|=(Interest& a, Interest b) noexcept { return a = a | b; }

/// A descriptor that is readable while a verb of an endpoint is worth a call. `Endpoint::events` makes it.
///
/// It is level-triggered: it stays readable until a verb has found nothing, such as `try_recv()` with
/// `Errc::no_data`. It can be readable although there is nothing. Call only verbs of the endpoint: do not
/// read, write or close the descriptor. It is readable, too, once the endpoint is stopped, closed or
/// displaced, and the next verb says which. In a forked child it is readable, and every verb fails with
/// `Errc::forked`.
///
/// ```cpp
/// #include <eshm/eshm.hpp>
///
/// eshm::Endpoint robot{"robot"};
/// const eshm::Events events = robot.events(eshm::Interest::readable | eshm::Interest::peer);
/// while (robot.try_recv()) {
/// }
/// const bool is_there = events.peer_state() == eshm::PeerState::alive;
/// // Now the descriptor is armed: wait for events.native_handle() with poll, epoll or an event loop.
/// ```
///
/// All events of an endpoint have the same descriptor, also after the endpoint has moved to another segment.
/// Any thread may use them; copies are cheap. They do not keep the endpoint open, and keep the descriptor
/// open when they outlive the endpoint.
class ESHM_CPP_API Events {
  public:
    /// The number of the descriptor.
    [[nodiscard]] int native_handle() const;

    /// Returns the state of the peer, and takes note of it: see `Interest::peer`.
    [[nodiscard]] PeerState peer_state() const;

  private:
    friend class Endpoint;
    friend class WaitSet;

    explicit Events(std::shared_ptr<const detail::Events> core) noexcept : core_{std::move(core)} {}
    /// @throws Error `Errc::closed` if this was moved from.
    [[nodiscard]] const detail::Events& core() const;

    std::shared_ptr<const detail::Events> core_;
};

} // namespace eshm

#endif
