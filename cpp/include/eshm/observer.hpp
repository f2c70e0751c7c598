/// @file
/// `eshm::Observer`: read-only monitoring of a segment.
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

/// Destroys an observer.
struct ESHM_CPP_API EndObserver {
    void operator()(Observer* observer) const noexcept;
};
} // namespace detail

/// What an observer sees of one endpoint.
struct SeatView {
    PeerState state;          ///< `frozen` needs two looks, the stale threshold apart.
    std::int32_t pid;         ///< The pid in its own PID namespace; 0 if no endpoint ever had this role.
    std::uint64_t heartbeat;  ///< Its heartbeats.
    std::uint32_t generation; ///< How many endpoints had this role, those of ESHM 1.x not counted.
    bool is_legacy;           ///< Whether it is, or was, a process of ESHM 1.x.
};

/// What an observer sees of one direction.
struct DirectionView {
    std::uint64_t written;    ///< Values written.
    std::uint64_t read;       ///< Values read. The reader publishes the count with its heartbeat.
    std::uint32_t waiting;    ///< Messages in the queue that are not released.
    std::uint32_t high_water; ///< The greatest `waiting` so far: see `Stats::m2s_queue_high_water`.
    std::uint32_t slots;      ///< The most messages that the queue can hold; 0 if there is no queue.
};

/// What an observer sees of a segment. The numbers are not read at the same instant.
struct View {
    SeatView master;
    SeatView slave;
    DirectionView master_to_slave;
    DirectionView slave_to_master;
};

/// Monitors a segment without changing it. The file is opened and mapped read-only, so the permission to read
/// it is enough. One thread at a time may use an observer.
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
/// Every function except `name()` throws `Errc::closed` after this was moved from.
class ESHM_CPP_API Observer {
  public:
    /// Opens the segment `name` of `domain`. It does not wait for the segment. With `any_owner`, the segment
    /// may belong to any user.
    /// @throws Error `Errc::invalid`; `Errc::not_found` if there is no segment; `Errc::attach` or
    /// `Errc::foreign` if it cannot be used.
    explicit Observer(std::string_view name, bool any_owner = false, const Domain& domain = {})
        : Observer{try_open(name, any_owner, domain).value()} {}
    static Result<Observer> try_open(std::string_view name, bool any_owner = false,
                                     const Domain& domain = {}) noexcept;

    /// Reads the current state.
    [[nodiscard]] View look();
    /// The name of the segment; empty if moved from.
    [[nodiscard]] std::string_view name() const noexcept;
    /// Whether the name still belongs to this segment. If not, the segment was removed or replaced.
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
