/// @file
/// What a user may choose, and what an endpoint tells of itself: plain values.
#ifndef ESHM_OPTIONS_HPP
#define ESHM_OPTIONS_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "eshm/error.hpp"

namespace eshm {

/// Which end of a segment an endpoint is.
enum class Role : std::uint8_t {
    master,    ///< Creates the segment, or takes it over from a dead master.
    slave,     ///< Attaches to the segment.
    automatic, ///< Slave where a live master is, master otherwise. An open endpoint's role never is this.
};

/// What an endpoint does when its peer has shown no sign of life for `Options::stale_threshold`.
enum class Disconnect : std::uint8_t {
    immediately, ///< Calls fail with `Errc::peer_stale` at once; a slave does not look for another master.
    on_timeout,  ///< A slave looks for a master as long as it is open. Calls without a time-out fail once the
                 ///< `reconnect_` limits are used up.
    never,       ///< Calls without a time-out wait for ever, too.
};

/// How an endpoint waits for what is not there yet.
enum class WaitStrategy : std::uint8_t {
    spin,           ///< Looks again and again, on a core of its own: the steadiest times.
    spin_then_park, ///< Looks for some ten microseconds, then sleeps until it is woken.
    park,           ///< Sleeps at once: for peers that are slow, or share the core.
};

/// What is known of the peer.
enum class PeerState : std::uint8_t {
    absent, ///< Never attached yet.
    alive,  ///< Its heartbeat moves.
    frozen, ///< Its heartbeat stands still though the process exists.
    dead,   ///< The process is gone without a close.
    closed, ///< It left with a clean close.
};

/// `"master"`, `"slave"` or `"auto"`.
[[nodiscard]] ESHM_CPP_API std::string_view to_string(Role role) noexcept;
/// `"absent"`, `"alive"`, `"frozen"`, `"dead"` or `"closed"`.
[[nodiscard]] ESHM_CPP_API std::string_view to_string(PeerState state) noexcept;
/// Prints what `to_string` returns.
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, Role role);
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, PeerState state);

/// A length of time, made from any `std::chrono::duration`: `5ms`, `std::chrono::duration<double>{0.005}`.
/// What does not fit 64 bits of nanoseconds (292 years) becomes `forever` instead of overflowing;
/// not-a-number is less than every time.
class Duration {
  public:
    template <class Rep, class Period>
    constexpr Duration(std::chrono::duration<Rep, Period> time) noexcept : ns_{saturated(time)} {}

    [[nodiscard]] constexpr std::chrono::nanoseconds count() const noexcept { return ns_; }

    friend constexpr bool operator==(Duration a, Duration b) noexcept { return a.ns_ == b.ns_; }
    friend constexpr bool operator!=(Duration a, Duration b) noexcept { return a.ns_ != b.ns_; }

  private:
    template <class Rep, class Period>
    static constexpr std::chrono::nanoseconds saturated(std::chrono::duration<Rep, Period> time) noexcept {
        using std::chrono::nanoseconds;
        using Wide = std::chrono::duration<double, std::nano>;
        const double wide = Wide{time}.count();
        if (wide >= Wide{nanoseconds::max()}.count()) {
            return nanoseconds::max();
        }
        // Also false for not-a-number, which no integer can hold.
        if (!(wide > Wide{nanoseconds::min()}.count())) {
            return nanoseconds::min();
        }
        return std::chrono::duration_cast<nanoseconds>(time);
    }

    std::chrono::nanoseconds ns_;
};

/// A wait without a limit: it ends when there is a result, or when the peer can no longer come.
inline constexpr Duration forever{std::chrono::nanoseconds::max()};

/// Where the files of segments are: the segment `name` is the file `directory/prefix` + `name`. Two endpoints
/// meet if they have the same domain and the same name.
///
/// A part that is unset is the one that the environment variable `ESHM_DIRECTORY` or `ESHM_PREFIX` says when
/// the endpoint is opened; if that is not set, or empty, `/dev/shm` or `eshm_`.
///
/// ```cpp
/// eshm::Endpoint robot{"robot", {.domain = {.prefix = "alice_"}}}; // C++20: /dev/shm/alice_robot
/// ```
struct Domain {
    /// An absolute path, of a tmpfs for choice.
    std::optional<std::string> directory = std::nullopt;
    /// 0 to 64 bytes of UTF-8, without `/`, `..` or NUL. It takes its part of the 255 bytes of a file's name.
    std::optional<std::string> prefix = std::nullopt;
};

/// The settings of an endpoint; the defaults are those of ESHM in every language.
///
/// ```cpp
/// eshm::Endpoint robot{"robot", {.role = eshm::Role::slave, .connect_timeout = 2s}}; // C++20
///
/// eshm::Options options;                                                             // C++17
/// options.role = eshm::Role::slave;
/// options.connect_timeout = 2s;
/// eshm::Endpoint robot{"robot", options};
/// ```
struct Options {
    /// Master, slave, or whichever is free.
    Role role = Role::automatic;
    /// The greatest value of `write`, in bytes, 1 … 64 MiB. The creator's choice, 4096 when unset; an
    /// endpoint that attaches takes what is there, and refuses a segment of another size if it was given one.
    std::optional<std::size_t> data_size = std::nullopt;
    /// The greatest message of `send`, and how many bytes of long messages a queue holds, in bytes, up to 64
    /// GiB. The creator's choice, 256 KiB when unset, for each direction; 0 makes a segment without queues,
    /// on which `send` has one message in flight, of `data_size` at most. An endpoint that attaches takes
    /// what is there, as for `data_size`.
    std::optional<std::size_t> queue_capacity = std::nullopt;
    /// How calls that wait do so.
    WaitStrategy wait = WaitStrategy::spin_then_park;
    /// How long a slave waits for its segment to appear; zero: not at all.
    Duration connect_timeout = std::chrono::seconds{5};
    /// How often this endpoint shows a sign of life, 1 ms … 1 s, and not more than the stale threshold.
    Duration heartbeat_interval = std::chrono::milliseconds{1};
    /// Keeps the full heartbeat rate while there is no traffic, as ESHM 1.x does. By default an idle endpoint
    /// slows down.
    bool steady_heartbeat = false;
    /// How long the peer's heartbeat may stand still before it counts as frozen or dead, 1 ms … 1 h.
    Duration stale_threshold = std::chrono::milliseconds{100};
    /// What happens when the peer is stale.
    Disconnect disconnect = Disconnect::on_timeout;
    /// How long calls without a time-out wait for a stale peer, more than zero; `std::nullopt`: no limit.
    std::optional<Duration> reconnect_timeout = std::chrono::seconds{5};
    /// How often a slave searches for a new master, 1 ms … 1 h.
    Duration reconnect_interval = std::chrono::milliseconds{100};
    /// For how many searches for a new master a slave's calls without a time-out wait, more than zero;
    /// `std::nullopt`: no limit.
    std::optional<std::uint32_t> reconnect_attempts = 50;
    /// Whether a slave stops looking for a master when `reconnect_timeout` or `reconnect_attempts` is used
    /// up, as in ESHM 1.x: calls with a time-out fail then, too, and a master that comes later is not found.
    bool give_up = false;
    /// Whether a master's clean close removes the segment's name.
    bool auto_cleanup = true;
    /// Whether the process's background thread keeps this endpoint's heartbeat. Without it every verb works,
    /// but `Endpoint::update_heartbeat()` is the user's to call, and a slave does not reconnect by itself.
    bool background = true;
    /// The file permissions of a segment that this endpoint creates, applied exactly, whatever the umask.
    std::uint32_t mode = 0600;
    /// The umask decides on the permissions instead, and `mode` is ignored: 0666 less what the umask takes,
    /// as for most files and for the segments of ESHM 1.x.
    bool mode_by_umask = false;
    /// The group, by its number, that a segment which this endpoint creates is given, for a mode such as
    /// 0660; by default that of the process.
    std::optional<std::uint32_t> group = std::nullopt;
    /// Whether a segment that belongs to neither this user nor root is accepted. Its owner could have
    /// planted it.
    bool any_owner = false;
    /// Where the segment's file is.
    Domain domain = {};
};

/// What was counted: by both processes since the segment was made (`m2s_`: master to slave), and, from
/// `skipped` on, by this endpoint since it was opened; the queues' fields are those of now. *Values* are
/// those of `write` and `read`, *messages* those of `send` and `recv`.
struct Stats {
    std::uint64_t master_heartbeat; ///< Heartbeats of the master.
    std::uint64_t slave_heartbeat;  ///< Heartbeats of the slave.
    std::int32_t master_pid;        ///< In the master's own PID namespace.
    std::int32_t slave_pid;         ///< In the slave's own PID namespace.
    bool master_alive;              ///< Whether the master attached, and neither closed nor was killed.
    bool slave_alive;               ///< The same of the slave.
    std::chrono::milliseconds stale_threshold; ///< That of the segment's creator.
    std::uint64_t master_heartbeat_delta;      ///< Heartbeats of the master since `stats()` was last called.
    std::uint64_t slave_heartbeat_delta;       ///< The same of the slave.
    std::uint64_t m2s_write_count;             ///< Values written by the master.
    std::uint64_t m2s_read_count;              ///< Values read by the slave.
    std::uint64_t s2m_write_count;             ///< Values written by the slave.
    std::uint64_t s2m_read_count;              ///< Values read by the master.
    std::uint64_t skipped;                     ///< Values that were overwritten before they were read.
    std::uint64_t timeouts;                    ///< Waits that ended without a result.
    std::uint64_t reconnects;                  ///< How often another peer followed the one before.
    std::uint64_t wakeups;                     ///< System calls made to wake the peer.
    std::uint64_t stalls;               ///< How often the peer stood still for the stale threshold, and
                                        ///< then went on.
    std::uint64_t messages_sent;        ///< Messages that `send` accepted.
    std::uint64_t messages_received;    ///< Messages received and released.
    std::uint64_t bytes_sent;           ///< Bytes of the messages sent.
    std::uint64_t bytes_received;       ///< Bytes of the messages received and released.
    std::uint32_t m2s_queue_depth;      ///< Messages in the queue, master to slave, not released, now.
    std::uint32_t s2m_queue_depth;      ///< The same, slave to master.
    std::uint32_t m2s_queue_high_water; ///< The greatest depth, master to slave, that the sender's process
                                        ///< has seen: it looks at each heartbeat, and when the queue is
                                        ///< full. 0 if that process is one of ESHM 2.0.
    std::uint32_t s2m_queue_high_water; ///< The same, slave to master.
    std::uint64_t room_waits;           ///< Calls of `send` and `loan` that slept: no room, or no peer.
    std::chrono::nanoseconds room_wait_time; ///< How long these calls have waited in all.
    std::uint64_t unreceived;                ///< Messages sent that no receiver has released.
};

/// Prints every field as `name=value`, separated by spaces; durations with their unit.
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, const Stats& stats);

} // namespace eshm

#endif
