/// @file
/// Options, states and statistics of an endpoint.
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

/// The end of a segment that an endpoint is.
enum class Role : std::uint8_t {
    master,    ///< Creates the segment, or takes it over from a dead master.
    slave,     ///< Attaches to the segment.
    automatic, ///< Slave if there is a live master, master otherwise. `Endpoint::role()` never returns it.
};

/// What an endpoint does when the heartbeat of its peer has stopped for `Options::stale_threshold`.
enum class Disconnect : std::uint8_t {
    immediately, ///< Calls fail with `Errc::peer_stale` at once; a slave does not search for another master.
    on_timeout,  ///< A slave searches for a master as long as it is open. Calls without a time-out fail when
                 ///< a `reconnect_` limit is reached.
    never,       ///< As `on_timeout`, but calls without a time-out have no limit.
};

/// How an endpoint waits.
enum class WaitStrategy : std::uint8_t {
    adaptive, ///< Learns where the peer runs; polls, offers the processor to others or parks accordingly.
    spin,     ///< Polls without a pause: the steadiest latency, for a thread with a core of its own.
    spin_then_park, ///< Polls for some ten microseconds, then parks until it is woken.
    park,           ///< Parks at once: for peers that are slow.
};

/// The state of the peer.
enum class PeerState : std::uint8_t {
    absent, ///< No peer has attached yet.
    alive,  ///< Its heartbeat moves.
    frozen, ///< Its heartbeat has stopped, but the process exists.
    dead,   ///< The process ended without a close.
    closed, ///< It closed its endpoint.
};

/// `"master"`, `"slave"` or `"auto"`.
[[nodiscard]] ESHM_CPP_API std::string_view to_string(Role role) noexcept;
/// `"absent"`, `"alive"`, `"frozen"`, `"dead"` or `"closed"`.
[[nodiscard]] ESHM_CPP_API std::string_view to_string(PeerState state) noexcept;
/// Prints what `to_string` returns.
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, Role role);
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, PeerState state);

/// A length of time, constructed from any `std::chrono::duration`: `5ms`,
/// `std::chrono::duration<double>{0.005}`. A time that does not fit into 64 bits of nanoseconds (292 years)
/// becomes `forever`; not-a-number becomes the least time.
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
        // False for not-a-number, too.
        if (!(wide > Wide{nanoseconds::min()}.count())) {
            return nanoseconds::min();
        }
        return std::chrono::duration_cast<nanoseconds>(time);
    }

    std::chrono::nanoseconds ns_;
};

/// A wait without a limit: it ends with a result, or when no peer can come.
inline constexpr Duration forever{std::chrono::nanoseconds::max()};

/// Where the files of segments are: the segment `name` is the file `directory/prefix` + `name`. Two endpoints
/// meet if they have the same domain and the same name.
///
/// An unset part is taken from the environment variable `ESHM_DIRECTORY` or `ESHM_PREFIX` when the endpoint
/// is opened. If the variable is unset or empty, the part is `/dev/shm` or `eshm_`.
///
/// ```cpp
/// eshm::Endpoint robot{"robot", {.domain = {.prefix = "alice_"}}}; // C++20: /dev/shm/alice_robot
/// ```
struct Domain {
    /// An absolute path, preferably on a tmpfs.
    std::optional<std::string> directory = std::nullopt;
    /// 0 to 64 bytes of UTF-8 without `/`, `..` or NUL. Prefix and name have at most 255 bytes together.
    std::optional<std::string> prefix = std::nullopt;
};

/// The options of an endpoint. Their names, defaults and ranges are the same in every language.
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
    /// Master, slave or automatic.
    Role role = Role::automatic;
    /// The greatest value of `write`, in bytes, 1 … 64 MiB; 4096 if unset. The creator of the segment
    /// decides: an endpoint that attaches accepts any size if this is unset, and otherwise only this size.
    std::optional<std::size_t> data_size = std::nullopt;
    /// The greatest message of `send`, and the memory for long messages in each queue, in bytes, up to 64
    /// GiB; 256 KiB if unset. 0 creates a segment without queues: `send` has one message in flight, of at
    /// most `data_size` bytes. The creator of the segment decides, as for `data_size`.
    std::optional<std::size_t> queue_capacity = std::nullopt;
    /// How calls wait.
    WaitStrategy wait = WaitStrategy::adaptive;
    /// How long a slave waits for its segment to appear; zero: it does not wait.
    Duration connect_timeout = std::chrono::seconds{5};
    /// The interval of this endpoint's heartbeat, 1 ms … 1 s, at most the stale threshold.
    Duration heartbeat_interval = std::chrono::milliseconds{1};
    /// Keeps the full heartbeat rate, as ESHM 1.x does. By default an endpoint slows down.
    bool steady_heartbeat = false;
    /// How long the heartbeat of the peer may stop before the peer counts as frozen or dead, 1 ms … 1 h.
    Duration stale_threshold = std::chrono::milliseconds{100};
    /// What the endpoint does when the peer is stale.
    Disconnect disconnect = Disconnect::on_timeout;
    /// How long calls without a time-out wait for a stale peer, more than zero; `std::nullopt`: no limit.
    std::optional<Duration> reconnect_timeout = std::chrono::seconds{5};
    /// How often a slave searches for a new master, 1 ms … 1 h.
    Duration reconnect_interval = std::chrono::milliseconds{100};
    /// For how many searches for a new master a slave's calls without a time-out wait, more than zero;
    /// `std::nullopt`: no limit.
    std::optional<std::uint32_t> reconnect_attempts = 50;
    /// Whether a slave stops its search for a master when a `reconnect_` limit is reached, as in ESHM 1.x:
    /// calls with a time-out fail then, too, and a master that starts later is not found.
    bool give_up = false;
    /// Whether a master removes the name of the segment when it closes.
    bool auto_cleanup = true;
    /// Whether the background thread of the process keeps the heartbeat of this endpoint. Without it, call
    /// `Endpoint::update_heartbeat()`; a slave does not reconnect by itself then.
    bool background = true;
    /// The file permissions of a segment that this endpoint creates. The umask does not change them.
    std::uint32_t mode = 0600;
    /// The umask decides on the permissions instead, and `mode` is ignored: 0666 less what the umask takes,
    /// as for most files and for the segments of ESHM 1.x.
    bool mode_by_umask = false;
    /// The group id of a segment that this endpoint creates, for a mode such as 0660; that of the process if
    /// unset.
    std::optional<std::uint32_t> group = std::nullopt;
    /// Whether the endpoint accepts a segment that belongs to neither this user nor root. Its owner may be
    /// hostile.
    bool any_owner = false;
    /// Where the file of the segment is.
    Domain domain = {};
};

/// Statistics. Both processes count the fields before `skipped` from the creation of the segment on (`m2s_`:
/// master to slave); this endpoint counts the others from its opening on. The queue depths are current.
/// *Values* are those of `write` and `read`, *messages* those of `send` and `recv`.
struct Stats {
    std::uint64_t master_heartbeat;            ///< Heartbeats of the master.
    std::uint64_t slave_heartbeat;             ///< Heartbeats of the slave.
    std::int32_t master_pid;                   ///< The pid of the master in its own PID namespace.
    std::int32_t slave_pid;                    ///< The pid of the slave in its own PID namespace.
    bool master_alive;                         ///< Whether the master attached, and neither closed nor died.
    bool slave_alive;                          ///< The same of the slave.
    std::chrono::milliseconds stale_threshold; ///< That of the segment's creator.
    std::uint64_t master_heartbeat_delta;      ///< Heartbeats of the master since `stats()` was last called.
    std::uint64_t slave_heartbeat_delta;       ///< The same of the slave.
    std::uint64_t m2s_write_count;             ///< Values written by the master.
    std::uint64_t m2s_read_count;              ///< Values read by the slave.
    std::uint64_t s2m_write_count;             ///< Values written by the slave.
    std::uint64_t s2m_read_count;              ///< Values read by the master.
    std::uint64_t skipped;                     ///< Values that were overwritten before they were read.
    std::uint64_t timeouts;                    ///< Waits that ended without a result.
    std::uint64_t reconnects;                  ///< How often the peer was replaced by another one.
    std::uint64_t wakeups;                     ///< System calls made to wake the peer.
    std::uint64_t stalls;                      ///< How often the heartbeat of the peer stopped for the stale
                                               ///< threshold, and went on.
    std::uint64_t messages_sent;               ///< Messages that `send` accepted.
    std::uint64_t messages_received;           ///< Messages received and released.
    std::uint64_t bytes_sent;                  ///< Bytes of the messages sent.
    std::uint64_t bytes_received;              ///< Bytes of the messages received and released.
    std::uint32_t m2s_queue_depth;      ///< Messages in the queue, master to slave, that are not released.
    std::uint32_t s2m_queue_depth;      ///< The same, slave to master.
    std::uint32_t m2s_queue_high_water; ///< The greatest depth, master to slave, that the sending process
                                        ///< saw at a heartbeat, or when the queue was
                                        ///< full. 0 if that process is of ESHM 2.0.
    std::uint32_t s2m_queue_high_water; ///< The same, slave to master.
    std::uint64_t room_waits;           ///< Calls of `send` and `loan` that parked: queue full, or no peer.
    std::chrono::nanoseconds room_wait_time; ///< How long these calls waited in total.
    std::uint64_t unreceived;                ///< Messages sent that no receiver has released.
};

/// Prints every field as `name=value`, separated by spaces; durations with their unit.
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, const Stats& stats);

} // namespace eshm

#endif
