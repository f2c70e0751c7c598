/// @file
/// `eshm::Observer`: who looks at a segment and takes no part.
#ifndef ESHM_OBSERVER_HPP
#define ESHM_OBSERVER_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "eshm/error.hpp"
#include "eshm/options.hpp"

namespace eshm {

namespace detail {
struct Observer; // of the core; in the library

/// Ends an observer.
struct ESHM_CPP_API EndObserver {
    void operator()(Observer* observer) const noexcept;
};
} // namespace detail

/// What an observer sees of an endpoint.
struct SeatView {
    PeerState state;          ///< `frozen` only if this observer has looked before, and long enough ago.
    std::int32_t pid;         ///< In its own PID namespace; 0 if nobody ever sat there.
    std::uint64_t heartbeat;  ///< Its signs of life.
    std::uint32_t generation; ///< How often the seat was taken, by endpoints that are not ESHM 1.x.
    bool is_legacy;           ///< Whether it is, or was, an ESHM 1.x process.
};

/// What an observer sees of one direction.
struct DirectionView {
    std::uint64_t written;    ///< Values written.
    std::uint64_t read;       ///< Values read: up to a heartbeat interval old.
    std::uint32_t waiting;    ///< Messages in the queue that were not released.
    std::uint32_t high_water; ///< The most that were waiting at once: see `Stats::m2s_queue_high_water`.
    std::uint32_t slots;      ///< The most messages that the queue can hold; 0 if there is none.
};

/// What an observer sees. The numbers are each true, and may be of different moments.
struct View {
    SeatView master;
    SeatView slave;
    DirectionView master_to_slave;
    DirectionView slave_to_master;
};

/// Looks at a segment, for monitoring, and can change nothing of it: its file is opened, and mapped, for
/// reading only, so the permission to read it suffices. One thread at a time uses it.
///
/// ```cpp
/// #include <eshm/eshm.hpp>
/// #include <iostream>
///
/// eshm::Observer observer{"robot"};
/// const eshm::View view = observer.look();
/// std::cout << to_string(view.master.state) << ", " << view.master_to_slave.waiting << " wait\n";
/// ```
///
/// Every function throws `Errc::closed` when this was moved from.
class ESHM_CPP_API Observer {
  public:
    /// Looks at the segment of this name; `any_owner`: also if it is another user's; `domain`: where its file
    /// is. Does not wait for one.
    /// @throws Error `Errc::invalid`; `Errc::not_found` when there is no segment; `Errc::attach` or
    /// `Errc::foreign` when it cannot be used.
    explicit Observer(std::string_view name, bool any_owner = false, const Domain& domain = {})
        : Observer{try_open(name, any_owner, domain).value()} {}
    static Result<Observer> try_open(std::string_view name, bool any_owner = false,
                                     const Domain& domain = {}) noexcept;

    /// What there is to be seen now.
    [[nodiscard]] View look();
    /// The segment's name; empty if moved from.
    [[nodiscard]] std::string_view name() const noexcept;
    /// Whether the name still leads to this segment. If not, it was removed or replaced.
    [[nodiscard]] bool is_current() const;
    /// The greatest value of `write`, in bytes.
    [[nodiscard]] std::size_t data_size() const;
    /// The greatest message of `send`, in bytes.
    [[nodiscard]] std::size_t max_message() const;

  private:
    explicit Observer(detail::Observer* core) noexcept : core_{core} {}
    [[nodiscard]] detail::Observer& core() const;

    std::unique_ptr<detail::Observer, detail::EndObserver> core_;
};

} // namespace eshm

#endif
