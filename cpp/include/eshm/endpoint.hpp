/// @file
/// `eshm::Endpoint`: one process's attachment to a segment.
#ifndef ESHM_ENDPOINT_HPP
#define ESHM_ENDPOINT_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "eshm/batch.hpp"
#include "eshm/bytes.hpp"
#include "eshm/error.hpp"
#include "eshm/events.hpp"
#include "eshm/inspector.hpp"
#include "eshm/loan.hpp"
#include "eshm/message.hpp"
#include "eshm/messages.hpp"
#include "eshm/options.hpp"

namespace eshm {

namespace detail {
/// Destroys a direction when the endpoint ends. A message or loan that is still lent destroys it later.
struct ESHM_CPP_API Leave {
    void operator()(Incoming* incoming) const noexcept;
    void operator()(Outgoing* outgoing) const noexcept;
};

struct Attempt; // for event loops: attempt.hpp
} // namespace detail

/// One process's attachment to the segment `/dev/shm/eshm_<name>`, which connects one master and one slave on
/// one machine. Each direction has
/// - a mailbox, `write` / `read`: it keeps the latest value, and a read returns how many values it skipped;
/// - a queue, `send` / `recv`: every message arrives once, in order; when the queue is full, the sender waits
/// or
///   fails.
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
/// Every verb has two forms:
/// - the plain verb throws `eshm::Error`; without a duration it waits as long as the peer may still come;
/// - the `try_` form never throws; without a duration it does not wait.
///
/// | wait                   | throws                            | never throws |
/// |------------------------|-----------------------------------|-----------------------------------------------|
/// | while a peer may come  | `recv()` → `Message`              | `try_recv(eshm::forever)` →
/// `Result<Message>` | | up to 5 ms             | `recv(5ms)` → `optional<Message>` | `try_recv(5ms)` →
/// `Result<Message>`           | | not at all             | `recv(0ms)` → `optional<Message>` | `try_recv()`
/// → `Result<Message>`              |
///
/// If no message comes in time, the plain form returns an empty optional, and the `try_` form returns
/// `Errc::no_data` (no wait) or `Errc::timeout`. Neither allocates memory. A `send` that cannot send in time
/// fails in both forms.
///
/// ### Without a copy
///
/// `recv` lends the message in the queue, and `loan` lends memory in the queue to build a message in. At most
/// one received `Message` and one `Loan` exist at a time: meanwhile the other calls of that direction fail
/// with `Errc::invalid`. See `Message` and `Loan`.
///
/// ### Threads
///
/// One thread at a time may use a direction: one thread may send, write and loan while another receives and
/// reads. No other thread may use the endpoint while one opens, closes, moves or destroys it. Any thread may
/// call the queries
/// (`peer_state()`, `stats()` …), `update_heartbeat()` and `stop()` at any other time. `inspector()` returns
/// a handle for these calls that may outlive the endpoint. Different endpoints are independent.
///
/// `stop()` ends the calls in which other threads wait:
///
/// ```cpp
/// #include <eshm/eshm.hpp>
/// #include <thread>
///
/// eshm::Endpoint robot{"robot"};
/// std::thread receiver{[&robot] {
///     for (const eshm::Message& message : robot.messages()) { // ends when the endpoint is stopped
///         std::string text = message.text();
///     }
/// }};
/// robot.stop();
/// receiver.join();
/// ```
///
/// ### Lifetime
///
/// Endpoints are move-only. The destructor closes the endpoint: the peer sees it at once, and a master
/// removes the segment (see `Options::auto_cleanup`). A `Message` or `Loan` keeps the segment open until it
/// is gone. In a forked child, every verb of the parent's endpoints fails with `Errc::forked`. A defect of
/// the library (a Rust panic) and a lack of memory end the process with a message on stderr; neither unwinds
/// through C++.
class ESHM_CPP_API Endpoint {
  public:
    /// Opens the segment `name`: 1 to 250 bytes of UTF-8 without `/`, `..` or NUL.
    ///
    /// A slave waits up to `Options::connect_timeout` for its segment, so that either process may start
    /// first. A master does not wait for its slave.
    ///
    /// @throws Error `Errc::invalid` for an invalid name or setting; `Errc::create` if the segment cannot be
    /// created; `Errc::not_found` if a slave finds no segment in time; `Errc::attach` or `Errc::foreign` if
    /// it cannot use the segment; `Errc::seat_taken` if a live process has this role.
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

    /// The endpoint that was moved from is closed. Its `Message` and `Loan` stay valid.
    Endpoint(Endpoint&& other) noexcept = default;
    Endpoint& operator=(Endpoint&& other) noexcept = default;
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;
    ~Endpoint() = default;

    /// Leaves the segment. The peer sees it at once, or when the last `Message` and `Loan` of this endpoint
    /// are gone. Every later verb fails with `Errc::closed`.
    ///
    /// Returns the number of sent messages that were not received. A peer that is attached can still receive
    /// them; so can the next master of an open slave. Without a peer they are lost. A second call does
    /// nothing and returns the same number.
    std::uint64_t close() noexcept;

    /// Ends every call of this endpoint that waits, in any thread, with `Errc::closed`: usually at once,
    /// within 50 ms at the latest. Every later call that sends, receives or waits fails with the same error;
    /// queries still work. Any thread may call it, but not a signal handler.
    ///
    /// The endpoint keeps its role until it is closed or destroyed, which no other thread may disturb: stop
    /// it, join the threads that use it, then close it. No message is lost: messages that were not received
    /// stay in the queue for a successor, and a received `Message` stays valid. A `Loan` can no longer be
    /// sent. A second call does nothing.
    void stop() const noexcept { inspector_.stop(); }

    /// Whether it was neither closed nor moved from. A stopped endpoint is open.
    [[nodiscard]] bool is_open() const noexcept { return outgoing_ != nullptr; }

    /// Writes `bytes`, 0 … `data_size()` of them, to the mailbox as its latest value. Never waits.
    /// @throws Error `Errc::too_large`; TimeoutError `Errc::reconnecting` while a slave searches for a
    /// master.
    void write(bytes_view bytes) { expect_sent(put_value(bytes)); }
    Result<void> try_write(bytes_view bytes) noexcept { return sent(put_value(bytes)); }

    /// Waits for a value of the mailbox that was not read yet, and returns it. No value is returned twice.
    /// @throws Error `Errc::peer_closed` or `Errc::peer_stale` if no value can come.
    [[nodiscard]] Message read() { return take<&Endpoint::take_value>(); }
    /// The same for at most `wait`; empty if no new value came.
    [[nodiscard]] std::optional<Message> read(Duration wait) { return take_in<&Endpoint::take_value>(wait); }
    Result<Message> try_read(Duration wait = none) noexcept { return try_take<&Endpoint::take_value>(wait); }

    /// Sends `bytes`, 0 … `max_message()` of them. Waits while the queue is full.
    /// @throws Error `Errc::too_large`; `Errc::peer_closed` or `Errc::peer_stale` if no peer can come to
    /// receive the message. The message was not sent.
    void send(bytes_view bytes) { expect_sent(put(bytes, forever)); }
    /// The same for at most `wait`.
    /// @throws TimeoutError if the queue stayed full; with a wait of zero, Error `Errc::full`.
    void send(bytes_view bytes, Duration wait) { expect_sent(put(bytes, wait)); }
    Result<void> try_send(bytes_view bytes, Duration wait = none) noexcept { return sent(put(bytes, wait)); }

    /// Waits for the next message, and lends it in the queue.
    /// @throws Error `Errc::peer_closed` or `Errc::peer_stale` if no message can come; `Errc::invalid` while
    /// the previous message is lent.
    [[nodiscard]] Message recv() { return take<&Endpoint::take_message>(); }
    /// The same for at most `wait`; empty if no message came.
    [[nodiscard]] std::optional<Message> recv(Duration wait) {
        return take_in<&Endpoint::take_message>(wait);
    }
    Result<Message> try_recv(Duration wait = none) noexcept {
        return try_take<&Endpoint::take_message>(wait);
    }

    /// Returns the incoming messages as a range:
    ///
    /// ```cpp
    /// for (const eshm::Message& message : robot.messages()) {
    ///     log.emplace_back(message.text());
    /// }
    /// ```
    ///
    /// Each step waits for the next message as `recv()` does, and releases the one before. The range ends
    /// when the peer closed its endpoint and everything it sent was received (`Errc::peer_closed`), and when
    /// this endpoint was stopped or closed (`Errc::closed`). Every other error is thrown by the step that
    /// meets it.
    [[nodiscard]] Messages messages() noexcept { return {*this, forever}; }
    /// The same, with at most `wait` for each message: the range ends also when none came in that time.
    [[nodiscard]] Messages messages(Duration wait) noexcept { return {*this, wait}; }

    /// Lends memory for a message of `size` bytes, 0 … `max_message()`, which you fill in place. Waits for it
    /// as `send` does.
    /// @throws Error as `send`; `Errc::invalid` while another loan exists.
    [[nodiscard]] Loan loan(std::size_t size) { return try_loan(size, forever).value(); }
    /// The same for at most `wait`.
    /// @throws TimeoutError if the queue stayed full; with a wait of zero, Error `Errc::full`.
    [[nodiscard]] Loan loan(std::size_t size, Duration wait) { return try_loan(size, wait).value(); }
    Result<Loan> try_loan(std::size_t size, Duration wait = none) noexcept;

    /// Sends messages in order, and waits while the queue is full. The peer is woken at most once for all
    /// messages that fit into the queue together. `messages` is any range of values that convert to
    /// `bytes_view`; an array of `bytes_view` is the fastest.
    ///
    /// ```cpp
    /// robot.send_many({"one", "two"});
    /// robot.send_many(std::vector<std::string>{"three", "four"});
    /// ```
    /// @throws BatchError with the code that `send` would fail with for the first message that was not sent,
    /// and the number of messages that were sent before it.
    template <class Range, class = std::enable_if_t<detail::is_message_range<Range>>>
    void send_many(Range&& messages) {
        put_all(messages, forever).value();
    }
    void send_many(std::initializer_list<bytes_view> messages) { put_all(messages, forever).value(); }
    /// The same for at most `wait`, which is the wait of the whole batch.
    /// @throws BatchError also if the time ran out: `Errc::timeout`, or, with a wait of zero, `Errc::full`.
    template <class Range, class = std::enable_if_t<detail::is_message_range<Range>>>
    void send_many(Range&& messages, Duration wait) {
        put_all(messages, wait).value();
    }
    void send_many(std::initializer_list<bytes_view> messages, Duration wait) {
        put_all(messages, wait).value();
    }
    /// The same, throwing only exceptions of the range.
    template <class Range, class = std::enable_if_t<detail::is_message_range<Range>>>
    BatchResult try_send_many(Range&& messages, Duration wait = none) {
        return put_all(messages, wait);
    }
    BatchResult try_send_many(std::initializer_list<bytes_view> messages, Duration wait = none) noexcept {
        return put_all(messages, wait);
    }

    /// Calls `each(bytes_view)` with up to `most` messages that have arrived, in the queue, and releases them
    /// all at once. Waits for the first message as `recv` does. Returns the number of messages.
    ///
    /// ```cpp
    /// std::vector<std::string> log;
    /// robot.recv_many(256, [&](eshm::bytes_view bytes) { log.emplace_back(bytes.chars()); });
    /// ```
    ///
    /// An exception of `each` is thrown by this call. No message of the batch counts as received then: the
    /// next call receives all of them again, including those that `each` has seen. (Without a queue, the
    /// message that `each` has seen is lost.)
    template <class Function>
    std::size_t recv_many(std::size_t most, Function&& each) {
        return try_recv_many(most, each, forever).value();
    }
    /// The same for at most `wait`; returns 0 if no message came.
    template <class Function>
    std::size_t recv_many(std::size_t most, Function&& each, Duration wait) {
        std::size_t received = 0;
        if (const std::int32_t code = hand_out(most, each, wait, received)) {
            expect_nothing(code);
        }
        return received;
    }
    /// The same, throwing only exceptions of `each`.
    template <class Function>
    Result<std::size_t> try_recv_many(std::size_t most, Function&& each, Duration wait = none) {
        std::size_t received = 0;
        if (const std::int32_t code = hand_out(most, each, wait, received)) {
            return not_taken(code, wait);
        }
        return received;
    }

    /// Waits until a live peer is attached.
    /// @throws TimeoutError if none attaches in time.
    void wait_for_peer(Duration wait) { try_wait_for_peer(wait).value(); }
    Result<void> try_wait_for_peer(Duration wait) noexcept;

    /// The event descriptor, which the first call makes: see `Events`. The interest of the last call holds.
    /// @throws Error `Errc::attach` if the process can have no descriptor more: the endpoint works without.
    [[nodiscard]] Events events(Interest interest) const { return try_events(interest).value(); }
    Result<Events> try_events(Interest interest) const noexcept;
    /// The number of the event descriptor, for poll, epoll and event loops. It is open as long as the
    /// endpoint.
    [[nodiscard]] int native_handle(Interest interest) const { return events(interest).native_handle(); }

    /// Beats once: for endpoints without `Options::background`, which their peer would consider frozen
    /// otherwise.
    void update_heartbeat() { try_update_heartbeat().value(); }
    Result<void> try_update_heartbeat() noexcept;

    /// Returns a handle for queries from other threads, and after the endpoint is gone.
    /// @throws Error `Errc::closed`, as do all functions below unless they say otherwise.
    [[nodiscard]] Inspector inspector() const { return opened(); }

    /// The name of the segment, as it was given; empty if moved from. Does not throw.
    [[nodiscard]] std::string_view name() const noexcept { return inspector_.name(); }
    /// Master or slave, also for an endpoint that was opened as `Role::automatic`.
    [[nodiscard]] Role role() const { return opened().role(); }
    /// The greatest value of `write`, in bytes.
    [[nodiscard]] std::size_t data_size() const { return opened().data_size(); }
    /// The greatest message of `send`, in bytes: the queue's capacity, or, on a segment without queues, the
    /// data size.
    [[nodiscard]] std::size_t max_message() const { return opened().max_message(); }
    [[nodiscard]] PeerState peer_state() const { return opened().peer_state(); }
    /// The generation of the peer: it changes when the peer restarts.
    [[nodiscard]] std::uint64_t generation() const { return opened().generation(); }
    /// Whether the peer is a process of ESHM 1.x, which does not announce its features.
    [[nodiscard]] bool peer_is_legacy() const { return opened().peer_is_legacy(); }
    [[nodiscard]] Stats stats() const { return opened().stats(); }
    /// The number of messages that this endpoint sent and that no receiver has released. After the close: the
    /// number at that moment. Throws only if moved from.
    [[nodiscard]] std::uint64_t unreceived() const { return inspector_.unreceived(); }

  private:
    friend class Messages;
    friend struct detail::Attempt;

    static constexpr Duration none = std::chrono::nanoseconds{0};

    Endpoint(detail::Outgoing* outgoing, detail::Incoming* incoming, Inspector inspector) noexcept
        : outgoing_{outgoing}, incoming_{incoming}, inspector_{std::move(inspector)} {}

    // Each returns 0, or a code that `not_sent` or `not_taken` make a failure of.
    std::int32_t put_value(bytes_view bytes) noexcept;
    std::int32_t put(bytes_view bytes, Duration wait) noexcept;
    std::int32_t put_many(const bytes_view* messages, std::size_t count, Duration wait,
                          std::size_t& sent) noexcept;
    std::int32_t take_value(Duration wait, Message& message) noexcept;
    std::int32_t take_message(Duration wait, Message& message) noexcept;
    std::int32_t take_many(std::size_t most, detail::Each& each, Duration wait,
                           std::size_t& received) noexcept;

    [[nodiscard]] Failure not_sent(std::int32_t code) const noexcept;
    [[nodiscard]] Failure not_taken(std::int32_t code, Duration wait) const noexcept;
    /// Throws unless `code` means that nothing came in time.
    void expect_nothing(std::int32_t code) const;

    void expect_sent(std::int32_t code) const {
        if (code != 0) {
            not_sent(code).raise();
        }
    }

    [[nodiscard]] Result<void> sent(std::int32_t code) const noexcept {
        if (code != 0) {
            return not_sent(code);
        }
        return {};
    }

    // `verb` is take_value or take_message. It fills the message that the caller gets, without a move.
    template <auto verb>
    Message take() {
        Message message;
        if (const std::int32_t code = (this->*verb)(forever, message)) {
            not_taken(code, forever).raise();
        }
        return message;
    }

    template <auto verb>
    std::optional<Message> take_in(Duration wait) {
        std::optional<Message> message{std::in_place};
        if (const std::int32_t code = (this->*verb)(wait, *message)) {
            expect_nothing(code);
            message.reset();
        }
        return message;
    }

    template <auto verb>
    Result<Message> try_take(Duration wait) noexcept {
        Result<Message> message{Message{}};
        if (const std::int32_t code = (this->*verb)(wait, *message)) {
            message = not_taken(code, wait);
        }
        return message;
    }

    template <class Range>
    BatchResult put_all(Range& messages, Duration wait) {
        std::size_t all = 0;
        std::int32_t code = 0;
        const detail::Countdown countdown{wait};
        detail::in_batches(messages, [&](const bytes_view* batch, std::size_t count) {
            std::size_t sent = 0;
            code = put_many(batch, count, countdown.left(), sent);
            all += sent;
            return code == 0;
        });
        return code == 0 ? BatchResult{all} : BatchResult{all, not_sent(code)};
    }

    template <class Function>
    std::int32_t hand_out(std::size_t most, Function& function, Duration wait, std::size_t& received) {
        auto call = [&function](bytes_view bytes) noexcept(
                        std::is_nothrow_invocable_v<Function&, bytes_view>) { function(bytes); };
        detail::Each each{call};
        const std::int32_t code = take_many(most, each, wait, received);
        each.rethrow();
        return code;
    }

    [[nodiscard]] const Inspector& opened() const;

    std::unique_ptr<detail::Outgoing, detail::Leave> outgoing_;
    std::unique_ptr<detail::Incoming, detail::Leave> incoming_;
    Inspector inspector_;
};

} // namespace eshm

#endif
