/// @file
/// Errors: `Errc` is the kind, `Error` the exception, `Failure` and `Result` are what the calls return that
/// do not throw.
#ifndef ESHM_ERROR_HPP
#define ESHM_ERROR_HPP

#include <cstddef>
#include <iosfwd>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

/// Marks what the shared library exports; everything else in it is hidden.
#define ESHM_CPP_API __attribute__((visibility("default")))

namespace eshm {

/// The kind of an error. `number(kind)` is the number of that kind in every language.
///
/// A few kinds share a number, since ESHM 1.x had one number for them. Their values here differ, so that each
/// is an `std::error_code` of its own; the last two digits are the shared number.
enum class Errc : int {
    invalid = -1,     ///< A name, a setting, a text or a call that cannot be accepted.
    create = -2,      ///< The segment could not be made.
    attach = -3,      ///< The segment, or the directory of a domain, cannot be opened or read.
    not_found = -103, ///< There is no segment of that name, or its creator did not finish in time. Number −3.
    foreign = -203,   ///< The file of that name is no usable ESHM segment; it is left untouched. Number −3.
    remove = -5,      ///< The endpoint is closed, but the segment's name could not be removed.
    no_data = -9,     ///< Nothing new to read or receive, and the call was not to wait.
    timeout = -10,    ///< Nothing happened within the time given.
    reconnecting = -110, ///< The slave searches for a master; nothing was written or sent. Number −10.
    peer_stale = -11,    ///< The heartbeat of the peer has stopped for longer than the `reconnect_` limits.
    full = -12,          ///< The queue is full, and the call was not to wait.
    too_large = -13,     ///< Longer than `Endpoint::max_message()`, or a value than `Endpoint::data_size()`.
    closed = -14,        ///< This endpoint was closed, stopped or moved from.
    seat_taken = -15,    ///< A live process already is the master, or the slave, of the segment.
    peer_closed = -16,   ///< The peer left with a clean close, and everything it sent was received.
    corrupt = -17,       ///< The peer wrote something that the protocol forbids.
    forked = -18,        ///< The endpoint was opened before a fork and is used in the child.
    displaced = -19,     ///< The segment's file was removed, and another segment has its name.
};

/// Returns the number of a kind in every language, −1 … −19. It never changes; −1 … −15 are those of
/// ESHM 1.x.
[[nodiscard]] constexpr int number(Errc code) noexcept { return static_cast<int>(code) % 100; }

/// Returns whether the same call may succeed later without any change: `no_data`, `timeout`, `reconnecting`
/// and `full`.
[[nodiscard]] constexpr bool is_transient(Errc code) noexcept {
    return code == Errc::no_data || code == Errc::timeout || code == Errc::reconnecting || code == Errc::full;
}

/// Returns the name of the kind: `"timeout"`.
[[nodiscard]] ESHM_CPP_API std::string_view to_string(Errc code) noexcept;
/// Prints the name of the kind.
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, Errc code);

/// The category of ESHM's errors, named `"eshm"`.
[[nodiscard]] ESHM_CPP_API const std::error_category& error_category() noexcept;

/// Lets `std::error_code` hold an `Errc`: `std::error_code{error.code()} == std::errc::timed_out`.
[[nodiscard]] inline std::error_code make_error_code(Errc code) noexcept {
    return {static_cast<int>(code), error_category()};
}

/// The exception of every call that throws. `what()` names the segment, what was found, what was expected and
/// what to do.
class ESHM_CPP_API Error : public std::runtime_error {
  public:
    Error(Errc code, const std::string& text);
    ~Error() override;

    /// The kind of the error.
    [[nodiscard]] Errc code() const noexcept { return code_; }

    /// The number of the kind in every language: `eshm::number(code())`.
    [[nodiscard]] int number() const noexcept { return eshm::number(code_); }

  private:
    Errc code_;
};

/// The exception of `Errc::timeout` and `Errc::reconnecting`, which callers often handle by trying again.
class ESHM_CPP_API TimeoutError final : public Error {
  public:
    explicit TimeoutError(const std::string& text, Errc code = Errc::timeout);
    ~TimeoutError() override;
};

/// The exception of `Endpoint::send_many`: not all messages of a batch were sent. Its code and text are those
/// of the first message that was not sent; if the time ran out, the code is `Errc::timeout`.
class ESHM_CPP_API BatchError final : public Error {
  public:
    BatchError(Errc code, const std::string& text, std::size_t sent);
    ~BatchError() override;

    /// The number of messages that were sent, from the first on.
    [[nodiscard]] std::size_t sent() const noexcept { return sent_; }

  private:
    std::size_t sent_;
};

/// An error as a value, in a `Result`.
class ESHM_CPP_API Failure {
  public:
    /// An empty `text` stands for the general text of `code`, and allocates no memory.
    explicit Failure(Errc code, std::string text = {}) noexcept : code_{code}, text_{std::move(text)} {}

    /// The kind of the error.
    [[nodiscard]] Errc code() const noexcept { return code_; }

    /// The number of the kind in every language: `eshm::number(code())`.
    [[nodiscard]] int number() const noexcept { return eshm::number(code_); }

    /// The text that `Error::what()` returns for this failure.
    [[nodiscard]] std::string message() const;

    /// Throws it, as `Error` or `TimeoutError`.
    [[noreturn]] void raise() const;

  private:
    Errc code_;
    std::string text_;
};

/// A value or a failure: what every `try_` function returns. It is used like `std::optional`:
///
/// ```cpp
/// if (auto message = robot.try_recv()) {
///     handle(message->bytes());
/// } else if (message.error().code() != eshm::Errc::no_data) {
///     log(message.error().message());
/// }
/// ```
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) noexcept : outcome_{std::in_place_index<0>, std::move(value)} {}
    Result(Failure failure) noexcept : outcome_{std::in_place_index<1>, std::move(failure)} {}
    Result& operator=(Failure failure) noexcept {
        outcome_.template emplace<1>(std::move(failure));
        return *this;
    }

    [[nodiscard]] bool has_value() const noexcept { return outcome_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value. @throws Error if there is none.
    T& value() & {
        require();
        return **this;
    }
    T&& value() && {
        require();
        return std::move(**this);
    }

    /// The value. There must be one.
    T& operator*() & noexcept { return *std::get_if<0>(&outcome_); }
    const T& operator*() const& noexcept { return *std::get_if<0>(&outcome_); }
    T&& operator*() && noexcept { return std::move(*std::get_if<0>(&outcome_)); }
    T* operator->() noexcept { return std::get_if<0>(&outcome_); }
    const T* operator->() const noexcept { return std::get_if<0>(&outcome_); }

    /// The failure. There must be no value.
    [[nodiscard]] const Failure& error() const noexcept { return *std::get_if<1>(&outcome_); }

  private:
    void require() const {
        if (!has_value()) {
            error().raise();
        }
    }

    std::variant<T, Failure> outcome_;
};

/// Success or a failure.
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() noexcept = default;
    Result(Failure failure) noexcept : failure_{std::move(failure)} {}

    [[nodiscard]] bool has_value() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return has_value(); }

    /// @throws Error if it is a failure.
    void value() const {
        if (failure_) {
            failure_->raise();
        }
    }

    /// The failure. It must be one.
    [[nodiscard]] const Failure& error() const noexcept { return *failure_; }

  private:
    std::optional<Failure> failure_;
};

/// The result of `Endpoint::try_send_many`: the number of messages that were sent, and the failure if not all
/// were.
///
/// ```cpp
/// const auto batch = robot.try_send_many(messages, 5ms);
/// if (!batch) {
///     log(batch.sent(), batch.error().message());
/// }
/// ```
class [[nodiscard]] BatchResult {
  public:
    /// All of the messages were sent.
    explicit BatchResult(std::size_t sent) noexcept : sent_{sent} {}
    BatchResult(std::size_t sent, Failure failure) noexcept : sent_{sent}, failure_{std::move(failure)} {}

    /// Whether all of the messages were sent.
    [[nodiscard]] bool has_value() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return has_value(); }

    /// The number of messages that were sent, from the first on.
    [[nodiscard]] std::size_t sent() const noexcept { return sent_; }

    /// @throws BatchError if not all of them were sent.
    ESHM_CPP_API void value() const;

    /// Why the next message was not sent. Not all messages must have been sent.
    [[nodiscard]] const Failure& error() const noexcept { return *failure_; }

  private:
    std::size_t sent_;
    std::optional<Failure> failure_;
};

} // namespace eshm

template <>
struct std::is_error_code_enum<eshm::Errc> : std::true_type {};

#endif
