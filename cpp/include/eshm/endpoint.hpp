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
#include "eshm/inspector.hpp"
#include "eshm/loan.hpp"
#include "eshm/message.hpp"
#include "eshm/messages.hpp"
#include "eshm/options.hpp"

namespace eshm {

namespace detail {
/// Ends an endpoint's hold on a direction: destroys it, or leaves that to the message or loan that lies in
/// it.
struct ESHM_CPP_API Leave {
    void operator()(Incoming* incoming) const noexcept;
    void operator()(Outgoing* outgoing) const noexcept;
};
} // namespace detail

/// One process's attachment to the segment `/dev/shm/eshm_<name>`, which joins one master and one slave on
/// one machine. Each direction carries both of
/// - a mailbox, `write` / `read`: the latest value wins, and a read tells how many values it skipped;
/// - a queue of messages, `send` / `recv`: every one, once, in order; a full queue makes the sender wait, or
///   refuses.
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
/// ### Without a copy
///
/// `recv` lends the message where it lies, and `loan` lends room to build one in. At most one `Message` that
/// was received, and one `Loan`, exist at a time: meanwhile the other calls of that direction fail with
/// `Errc::invalid`. See `Message` and `Loan`.
///
/// ### Threads
///
/// One thread at a time per direction: one thread may send, write and loan while another receives and reads.
/// Opening, closing, moving and destroying need the endpoint to themselves. Inspection (`peer_state()`,
/// `stats()` …), `update_heartbeat()` and `stop()` may be called by any thread in between; `inspector()`
/// gives a handle for them that does not depend on the endpoint's life. Different endpoints are independent.
///
/// A thread that waits in a call is ended by `stop()` from another:
///
/// ```cpp
/// #include <eshm/eshm.hpp>
/// #include <thread>
///
/// eshm::Endpoint robot{"robot"};
/// std::thread receiver{[&robot] {
///     for (;;) {
///         auto message = robot.try_recv(eshm::forever);
///         if (!message) {
///             return; // message.error().code() == eshm::Errc::closed: stopped
///         }
///     }
/// }};
/// robot.stop();
/// receiver.join();
/// ```
///
/// ### Lifetime
///
/// Move-only. Destruction closes: the peer sees it at once, and a master's segment is removed (see
/// `Options::auto_cleanup`); a `Message` or `Loan` that still lies in the segment keeps it open until it is
/// gone too. An endpoint does not survive a `fork` into the child: there, every verb fails with
/// `Errc::forked`. A defect of the library (a Rust panic) or memory that runs out ends the process with a
/// message on stderr; neither unwinds through C++.
class ESHM_CPP_API Endpoint {
  public:
    /// Opens the segment `name`: 1 to 250 bytes of UTF-8 without `/`, `..` or NUL.
    ///
    /// A slave waits up to `Options::connect_timeout` for its segment, so the order of start-up does not
    /// matter. A master does not wait for its slave.
    ///
    /// @throws Error `Errc::invalid` for a name or setting that cannot be; `Errc::create` when the segment
    /// cannot be made; `Errc::not_found` when a slave finds none in time; `Errc::attach` or `Errc::foreign`
    /// when it cannot use what it finds; `Errc::seat_taken` when a live process has this role already.
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

    /// The endpoint moved from is closed. A `Message` or `Loan` of it lives on.
    Endpoint(Endpoint&& other) noexcept = default;
    Endpoint& operator=(Endpoint&& other) noexcept = default;
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;
    ~Endpoint() = default;

    /// Leaves the segment; the peer sees it at once, or when the last `Message` and `Loan` of this endpoint
    /// are gone. Every later verb fails with `Errc::closed`.
    ///
    /// Returns how many of the messages that it sent were not received: 0 if all were. A peer that is there
    /// can still receive them; so can the slave's next master, as long as that slave stays open. With nobody
    /// there they are lost. Closing again does nothing, and returns the same number.
    std::uint64_t close() noexcept;

    /// Ends every call of this endpoint that waits, in any thread, with `Errc::closed`: at once as a rule,
    /// within 50 ms at the latest. Every later call that sends, receives or waits fails so, too; questions
    /// are still answered. Any thread may call it, but not a signal handler.
    ///
    /// The endpoint keeps its seat until it is closed or destroyed, which needs it to itself: first stop it,
    /// then join the threads that used it, then close. No message is lost by it: one that was not received
    /// stays in the queue for a successor; a `Message` that was received stays valid, a `Loan` can no longer
    /// be sent. Stopping again does nothing.
    void stop() const noexcept { inspector_.stop(); }

    /// Whether it was neither closed nor moved from. Also of a stopped endpoint.
    [[nodiscard]] bool is_open() const noexcept { return outgoing_ != nullptr; }

    /// Makes `bytes`, 0 … `data_size()` of them, the mailbox's latest value. Never waits.
    /// @throws Error `Errc::too_large`; TimeoutError `Errc::reconnecting` while a slave searches for a
    /// master.
    void write(bytes_view bytes) { expect_sent(put_value(bytes)); }
    Result<void> try_write(bytes_view bytes) noexcept { return sent(put_value(bytes)); }

    /// Waits for a value of the mailbox that was not read yet. Never the same value twice.
    /// @throws Error `Errc::peer_closed` or `Errc::peer_stale` when there is none to come.
    [[nodiscard]] Message read() { return take<&Endpoint::take_value>(); }
    /// The same for at most `wait`; empty when nothing new came.
    [[nodiscard]] std::optional<Message> read(Duration wait) { return take_in<&Endpoint::take_value>(wait); }
    Result<Message> try_read(Duration wait = none) noexcept { return try_take<&Endpoint::take_value>(wait); }

    /// Sends `bytes`, 0 … `max_message()` of them, waiting while the queue is full.
    /// @throws Error `Errc::too_large`; `Errc::peer_closed` or `Errc::peer_stale` when nobody is to come who
    /// could receive it. The message was not sent then.
    void send(bytes_view bytes) { expect_sent(put(bytes, forever)); }
    /// The same for at most `wait`.
    /// @throws TimeoutError when the queue stayed full; with a wait of zero, Error `Errc::full`.
    void send(bytes_view bytes, Duration wait) { expect_sent(put(bytes, wait)); }
    Result<void> try_send(bytes_view bytes, Duration wait = none) noexcept { return sent(put(bytes, wait)); }

    /// Waits for the next message, and lends it where it lies.
    /// @throws Error `Errc::peer_closed` or `Errc::peer_stale` when there is none to come; `Errc::invalid`
    /// while the one before is still lent.
    [[nodiscard]] Message recv() { return take<&Endpoint::take_message>(); }
    /// The same for at most `wait`; empty when none came.
    [[nodiscard]] std::optional<Message> recv(Duration wait) {
        return take_in<&Endpoint::take_message>(wait);
    }
    Result<Message> try_recv(Duration wait = none) noexcept {
        return try_take<&Endpoint::take_message>(wait);
    }

    /// The messages that come, as a range:
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

    /// Room for a message of `size` bytes, 0 … `max_message()`, to be built in place; waits for it as `send`
    /// does.
    /// @throws Error as `send`; `Errc::invalid` while another loan exists.
    [[nodiscard]] Loan loan(std::size_t size) { return try_loan(size, forever).value(); }
    /// The same for at most `wait`.
    /// @throws TimeoutError when there was no room in time; with a wait of zero, Error `Errc::full`.
    [[nodiscard]] Loan loan(std::size_t size, Duration wait) { return try_loan(size, wait).value(); }
    Result<Loan> try_loan(std::size_t size, Duration wait = none) noexcept;

    /// Sends messages in order, with at most one wake-up for as many as there is room for, waiting while the
    /// queue is full. They are any range of what converts to `bytes_view`; an array of `bytes_view` itself is
    /// the fastest.
    ///
    /// ```cpp
    /// robot.send_many({"one", "two"});
    /// robot.send_many(std::vector<std::string>{"three", "four"});
    /// ```
    /// @throws BatchError with the code that `send` fails with, for the first message that could not be sent,
    /// and how many were sent before it.
    template <class Range, class = std::enable_if_t<detail::is_message_range<Range>>>
    void send_many(Range&& messages) {
        put_all(messages, forever).value();
    }
    void send_many(std::initializer_list<bytes_view> messages) { put_all(messages, forever).value(); }
    /// The same for at most `wait`, which is that of the whole batch.
    /// @throws BatchError also when the time ran out: `Errc::timeout`, or, with a wait of zero, `Errc::full`.
    template <class Range, class = std::enable_if_t<detail::is_message_range<Range>>>
    void send_many(Range&& messages, Duration wait) {
        put_all(messages, wait).value();
    }
    void send_many(std::initializer_list<bytes_view> messages, Duration wait) {
        put_all(messages, wait).value();
    }
    /// The same, throwing only what the range does.
    template <class Range, class = std::enable_if_t<detail::is_message_range<Range>>>
    BatchResult try_send_many(Range&& messages, Duration wait = none) {
        return put_all(messages, wait);
    }
    BatchResult try_send_many(std::initializer_list<bytes_view> messages, Duration wait = none) noexcept {
        return put_all(messages, wait);
    }

    /// Calls `each(bytes_view)` with each of up to `most` messages that are there, where they lie, and
    /// releases them all at once. Waits for the first one as `recv` does. Returns how many there were.
    ///
    /// ```cpp
    /// std::vector<std::string> log;
    /// robot.recv_many(256, [&](eshm::bytes_view bytes) { log.emplace_back(bytes.chars()); });
    /// ```
    ///
    /// What `each` throws comes out of this call. None of the messages counts as received then: they will be
    /// received again, those included that `each` has seen. (Without a queue, the one that it has seen is
    /// gone.)
    template <class Function>
    std::size_t recv_many(std::size_t most, Function&& each) {
        return try_recv_many(most, each, forever).value();
    }
    /// The same for at most `wait`; 0 when none came.
    template <class Function>
    std::size_t recv_many(std::size_t most, Function&& each, Duration wait) {
        std::size_t received = 0;
        if (const std::int32_t code = hand_out(most, each, wait, received)) {
            expect_nothing(code);
        }
        return received;
    }
    /// The same, throwing only what `each` does.
    template <class Function>
    Result<std::size_t> try_recv_many(std::size_t most, Function&& each, Duration wait = none) {
        std::size_t received = 0;
        if (const std::int32_t code = hand_out(most, each, wait, received)) {
            return not_taken(code, wait);
        }
        return received;
    }

    /// Waits until a live peer is attached.
    /// @throws TimeoutError when there is none in time.
    void wait_for_peer(Duration wait) { try_wait_for_peer(wait).value(); }
    Result<void> try_wait_for_peer(Duration wait) noexcept;

    /// Shows one sign of life: for endpoints without `Options::background`, whose peer would take them for
    /// frozen.
    void update_heartbeat() { try_update_heartbeat().value(); }
    Result<void> try_update_heartbeat() noexcept;

    /// A handle for questions from other threads, or after the endpoint's life.
    /// @throws Error `Errc::closed`, as do all below.
    [[nodiscard]] Inspector inspector() const { return opened(); }

    /// The segment's name, as it was given; empty once moved from. Does not throw.
    [[nodiscard]] std::string_view name() const noexcept { return inspector_.name(); }
    /// Master or slave, whatever was asked for.
    [[nodiscard]] Role role() const { return opened().role(); }
    /// The greatest value of `write`, in bytes.
    [[nodiscard]] std::size_t data_size() const { return opened().data_size(); }
    /// The greatest message of `send`, in bytes: the queue's capacity, or, on a segment without queues, the
    /// data size.
    [[nodiscard]] std::size_t max_message() const { return opened().max_message(); }
    [[nodiscard]] PeerState peer_state() const { return opened().peer_state(); }
    /// The peer's generation: it changes at each restart of the peer.
    [[nodiscard]] std::uint64_t generation() const { return opened().generation(); }
    /// Whether the peer is a process of ESHM 1.x, which does not say what it can do.
    [[nodiscard]] bool peer_is_legacy() const { return opened().peer_is_legacy(); }
    [[nodiscard]] Stats stats() const { return opened().stats(); }
    /// How many messages that this endpoint sent were not received: no receiver has released them. After the
    /// close: how many that were then; only once moved from does it throw.
    [[nodiscard]] std::uint64_t unreceived() const { return inspector_.unreceived(); }

  private:
    friend class Messages;

    static constexpr Duration none = std::chrono::nanoseconds{0};

    Endpoint(detail::Outgoing* outgoing, detail::Incoming* incoming, Inspector inspector) noexcept
        : outgoing_{outgoing}, incoming_{incoming}, inspector_{std::move(inspector)} {}

    // Each returns 0, or what `not_sent` or `not_taken` make a failure of.
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
    /// Throws, unless `code` says that nothing came in time.
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

    // `verb` is take_value or take_message. They fill the message in the place where the caller gets it.
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
