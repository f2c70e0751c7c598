/// @file
/// `eshm::Endpoint`: one process's attachment to a segment.
#ifndef ESHM_ENDPOINT_HPP
#define ESHM_ENDPOINT_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "eshm/bytes.hpp"
#include "eshm/error.hpp"
#include "eshm/message.hpp"
#include "eshm/options.hpp"

namespace eshm {

/// One process's attachment to the segment `/dev/shm/eshm_<name>`, which joins one master and one slave on
/// one machine. Each direction carries
/// - a mailbox, `write` / `read`: the latest value wins, and a read tells how many values it skipped;
/// - messages, `send` / `recv`: every one, once, in order; a full channel makes the sender wait, or refuses.
///
/// A direction carries the one or the other: both ends agree on which.
///
/// ```cpp
/// #include <eshm/eshm.hpp>
/// using namespace std::chrono_literals;
///
/// eshm::Endpoint robot{"robot", eshm::Role::slave};
/// if (auto message = robot.recv(5ms)) {
///     robot.send("ack");
/// }
/// ```
///
/// ### Throwing and not throwing
///
/// Every verb has two forms, and one rule tells them apart:
/// - the plain verb throws `eshm::Error`; without a duration it waits as long as the peer may still come;
/// - the `try_` form never throws, and never waits longer than it is told: without a duration, not at all.
///
/// | wait              | throws                            | never throws                                  |
/// |-------------------|-----------------------------------|-----------------------------------------------|
/// | while it may help | `recv()` → `Message`              | `try_recv(eshm::forever)` → `Result<Message>` |
/// | up to 5 ms        | `recv(5ms)` → `optional<Message>` | `try_recv(5ms)` → `Result<Message>`           |
/// | not at all        | `recv(0ms)` → `optional<Message>` | `try_recv()` → `Result<Message>`              |
///
/// "Nothing came in time" is an empty optional in the one form, `Errc::no_data` or `Errc::timeout` in the
/// other; polling in vain allocates nothing. A `send` that is refused or out of time is an error in both:
/// the caller still has the message.
///
/// ### Threads
///
/// One thread at a time per direction: one thread may send and write while another receives and reads.
/// Inspection (`peer_state()`, `stats()` …) belongs to the sending direction. Opening, closing, moving and
/// destroying need the endpoint to themselves. Different endpoints are independent.
///
/// ### Lifetime
///
/// Move-only. Destruction closes: the peer sees it at once, and a master's segment is removed (see
/// `Options::auto_cleanup`). An endpoint does not survive a `fork` into the child: there, every verb fails
/// with `Errc::forked`. A defect of the library (a Rust panic) or memory that runs out ends the process with
/// a message on stderr; neither unwinds through C++.
class ESHM_CPP_API Endpoint {
  public:
    /// Opens the segment `name`: 1 to 250 bytes of UTF-8 without `/`, `..` or NUL.
    ///
    /// A slave waits up to `Options::connect_timeout` for its segment, so the order of start-up does not
    /// matter. A master does not wait for its slave.
    ///
    /// @throws Error `Errc::invalid` for a name or setting that cannot be; `Errc::create` when the segment
    /// cannot be made; `Errc::attach` when a slave finds none in time, or what it finds cannot be used;
    /// `Errc::seat_taken` when a live process has this role already.
    explicit Endpoint(std::string_view name, Role role = Role::automatic)
        : Endpoint{try_open(name, role).value()} {}
    /// The same, with settings.
    Endpoint(std::string_view name, const Options& options) : Endpoint{try_open(name, options).value()} {}

    /// The same, without throwing.
    static Result<Endpoint> try_open(std::string_view name, const Options& options) noexcept;
    static Result<Endpoint> try_open(std::string_view name, Role role = Role::automatic) noexcept {
        Options options;
        options.role = role;
        return try_open(name, options);
    }

    /// The endpoint moved from is closed.
    Endpoint(Endpoint&& other) noexcept;
    Endpoint& operator=(Endpoint&& other) noexcept;
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;
    ~Endpoint();

    /// Leaves the segment; the peer sees it at once. Every later verb fails with `Errc::closed`, closing
    /// again does nothing.
    void close() noexcept;

    /// Whether it was neither closed nor moved from.
    [[nodiscard]] bool is_open() const noexcept;

    /// Makes `bytes`, 0 … `data_size()` of them, the mailbox's latest value. Never waits.
    /// @throws Error `Errc::too_large`; `Errc::timeout` while a slave looks for its master.
    void write(bytes_view bytes) { try_write(bytes).value(); }
    Result<void> try_write(bytes_view bytes) noexcept;

    /// Waits for a value of the mailbox that was not read yet. Never the same value twice.
    /// @throws Error `Errc::peer_closed` or `Errc::peer_stale` when there is none to come.
    [[nodiscard]] Message read() { return try_read(forever).value(); }
    /// The same for at most `wait`; empty when nothing new came.
    [[nodiscard]] std::optional<Message> read(Duration wait) { return in_time(try_read(wait)); }
    Result<Message> try_read(Duration wait = none) noexcept;

    /// Sends `bytes`, 0 … `data_size()` of them, waiting while the channel is full.
    /// @throws Error `Errc::too_large`; `Errc::peer_closed` or `Errc::peer_stale` when nobody is to come who
    /// could receive it. The message was not sent then.
    void send(bytes_view bytes) { try_send(bytes, forever).value(); }
    /// The same for at most `wait`.
    /// @throws TimeoutError when the channel stayed full; with a wait of zero, Error `Errc::full`.
    void send(bytes_view bytes, Duration wait) { try_send(bytes, wait).value(); }
    Result<void> try_send(bytes_view bytes, Duration wait = none) noexcept;

    /// Waits for the next message.
    /// @throws Error `Errc::peer_closed` or `Errc::peer_stale` when there is none to come.
    [[nodiscard]] Message recv() { return try_recv(forever).value(); }
    /// The same for at most `wait`; empty when none came.
    [[nodiscard]] std::optional<Message> recv(Duration wait) { return in_time(try_recv(wait)); }
    Result<Message> try_recv(Duration wait = none) noexcept;

    /// Waits until a live peer is attached.
    /// @throws TimeoutError when there is none in time.
    void wait_for_peer(Duration wait) { try_wait_for_peer(wait).value(); }
    Result<void> try_wait_for_peer(Duration wait) noexcept;

    /// The segment's name, as it was given; empty once moved from.
    [[nodiscard]] std::string_view name() const noexcept;
    /// Master or slave, whatever was asked for. @throws Error `Errc::closed`, as do all below.
    [[nodiscard]] Role role() const;
    /// The greatest message, in bytes.
    [[nodiscard]] std::size_t data_size() const;
    [[nodiscard]] PeerState peer_state() const;
    /// The peer's generation: it changes at each restart of the peer.
    [[nodiscard]] std::uint64_t generation() const;
    /// Whether the peer is a process of ESHM 1.x, which does not say what it can do.
    [[nodiscard]] bool peer_is_legacy() const;
    [[nodiscard]] Stats stats() const;

  private:
    struct Impl;
    static constexpr Duration none = std::chrono::nanoseconds{0};

    explicit Endpoint(std::unique_ptr<Impl> impl) noexcept;
    static std::optional<Message> in_time(Result<Message> result);
    [[nodiscard]] Impl& opened() const;

    std::unique_ptr<Impl> impl_;
};

} // namespace eshm

#endif
