/// @file
/// `eshm::Inspector`: questions about an endpoint, and its end, from any thread.
#ifndef ESHM_INSPECTOR_HPP
#define ESHM_INSPECTOR_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "eshm/error.hpp"
#include "eshm/options.hpp"

namespace eshm {

namespace detail {
struct Inspector; // of the core; in the library
}

/// Answers questions about an endpoint, and stops it, from any thread, whatever others do with the endpoint
/// meanwhile. Made by `Endpoint::inspector()`, cheap to copy. It outlives the endpoint, and does not keep it
/// open.
///
/// Every function but `name()` and `stop()` throws `Errc::closed`, or returns it, when this was moved from.
class ESHM_CPP_API Inspector {
  public:
    /// The segment's name, as it was given; empty if moved from.
    [[nodiscard]] std::string_view name() const noexcept;
    /// Master or slave, whatever was asked for.
    [[nodiscard]] Role role() const;
    /// The greatest value of `write`, in bytes.
    [[nodiscard]] std::size_t data_size() const;
    /// The greatest message of `send`, in bytes: the queue's capacity, or, on a segment without queues, the
    /// data size.
    [[nodiscard]] std::size_t max_message() const;
    [[nodiscard]] PeerState peer_state() const;
    /// The peer's generation: it changes at each restart of the peer.
    [[nodiscard]] std::uint64_t generation() const;
    /// Whether the peer is a process of ESHM 1.x, which does not say what it can do.
    [[nodiscard]] bool peer_is_legacy() const;

    /// How many messages that the endpoint sent were not received: no receiver has released them. After the
    /// close: how many that were then.
    [[nodiscard]] std::uint64_t unreceived() const;

    /// Stops the endpoint: see `Endpoint::stop()`. Does nothing when it is closed, or this was moved from.
    void stop() const noexcept;

    /// What was counted. @throws Error `Errc::closed` when the endpoint is.
    [[nodiscard]] Stats stats() const { return try_stats().value(); }
    Result<Stats> try_stats() const noexcept;

    /// Waits until a live peer is attached.
    /// @throws TimeoutError when there is none in time; Error `Errc::closed`.
    void wait_for_peer(Duration wait) const { try_wait_for_peer(wait).value(); }
    Result<void> try_wait_for_peer(Duration wait) const noexcept;

    /// Shows one sign of life: for endpoints without `Options::background`, whose peer would take them for
    /// frozen.
    /// @throws Error `Errc::closed` when the endpoint is.
    void update_heartbeat() const { try_update_heartbeat().value(); }
    Result<void> try_update_heartbeat() const noexcept;

    /// Checks, after the close, that the segment's name was removed, if it was to be.
    /// @throws Error `Errc::remove` when it could not be, such as that of another user's file in a directory
    /// with the sticky bit; `Errc::closed` when this belongs to no endpoint.
    void check_removed() const { try_check_removed().value(); }
    Result<void> try_check_removed() const noexcept;

  private:
    friend class Endpoint;

    explicit Inspector(std::shared_ptr<const detail::Inspector> core) noexcept : core_{std::move(core)} {}
    [[nodiscard]] const detail::Inspector& core() const;

    std::shared_ptr<const detail::Inspector> core_;
};

} // namespace eshm

#endif
