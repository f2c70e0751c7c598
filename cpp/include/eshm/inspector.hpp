/// @file
/// `eshm::Inspector`: queries an endpoint, and stops it, from any thread.
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

/// Queries an endpoint, and stops it. Any thread may use it while other threads use the endpoint.
/// `Endpoint::inspector()` makes one; copies are cheap. It may outlive the endpoint and does not keep it
/// open.
///
/// Every function except `name()` and `stop()` throws or returns `Errc::closed` after this was moved from.
class ESHM_CPP_API Inspector {
  public:
    /// The name of the segment, as it was given; empty if moved from.
    [[nodiscard]] std::string_view name() const noexcept;
    /// Master or slave, also for an endpoint that was opened as `Role::automatic`.
    [[nodiscard]] Role role() const;
    /// The greatest value of `write`, in bytes.
    [[nodiscard]] std::size_t data_size() const;
    /// The greatest message of `send`, in bytes: the queue's capacity, or, on a segment without queues, the
    /// data size.
    [[nodiscard]] std::size_t max_message() const;
    [[nodiscard]] PeerState peer_state() const;
    /// The generation of the peer: it changes when the peer restarts.
    [[nodiscard]] std::uint64_t generation() const;
    /// Whether the peer is a process of ESHM 1.x, which does not announce its features.
    [[nodiscard]] bool peer_is_legacy() const;

    /// The number of messages that the endpoint sent and that no receiver has released. After the close: the
    /// number at that moment.
    [[nodiscard]] std::uint64_t unreceived() const;

    /// Stops the endpoint: see `Endpoint::stop()`. Does nothing if the endpoint is closed or this was moved
    /// from.
    void stop() const noexcept;

    /// The statistics. @throws Error `Errc::closed` when the endpoint is closed.
    [[nodiscard]] Stats stats() const { return try_stats().value(); }
    Result<Stats> try_stats() const noexcept;

    /// Waits until a live peer is attached.
    /// @throws TimeoutError if none attaches in time; Error `Errc::closed`.
    void wait_for_peer(Duration wait) const { try_wait_for_peer(wait).value(); }
    Result<void> try_wait_for_peer(Duration wait) const noexcept;

    /// Beats once: for endpoints without `Options::background`, which their peer would consider frozen
    /// otherwise.
    /// @throws Error `Errc::closed` when the endpoint is closed.
    void update_heartbeat() const { try_update_heartbeat().value(); }
    Result<void> try_update_heartbeat() const noexcept;

    /// Checks, after the close, that the name of the segment was removed, if `Options::auto_cleanup` asks for
    /// it.
    /// @throws Error `Errc::remove` if it could not be removed, such as a file of another user in a directory
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
