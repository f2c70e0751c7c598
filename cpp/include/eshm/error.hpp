/// @file
/// What can go wrong: `Errc` the numbers, `Error` the exception, `Failure` and `Result` for the calls that do
/// not throw.
#ifndef ESHM_ERROR_HPP
#define ESHM_ERROR_HPP

#include <cstddef>
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

/// The kind of an error. The numbers are the same in every language, and never change; −1 … −15 are those of
/// ESHM 1.x.
enum class Errc : int {
    invalid = -1,      ///< A name, a setting, a text or a call that cannot be accepted.
    create = -2,       ///< The segment could not be made.
    attach = -3,       ///< No segment of that name in time, or one that cannot be used.
    remove = -5,       ///< The endpoint is closed, but the segment's name could not be removed.
    no_data = -9,      ///< Nothing new to read or receive, and the call was not to wait.
    timeout = -10,     ///< The time given did not suffice; also a slave that is looking for its master.
    peer_stale = -11,  ///< The peer gives no sign of life, and the configured patience is used up.
    full = -12,        ///< The queue is full, and the call was not to wait.
    too_large = -13,   ///< Longer than `Endpoint::max_message()`, or a value than `Endpoint::data_size()`.
    closed = -14,      ///< This endpoint was closed, stopped or moved from.
    seat_taken = -15,  ///< A live process already is the master, or the slave, of the segment.
    peer_closed = -16, ///< The peer left with a clean close, and everything it sent was received.
    corrupt = -17,     ///< The peer wrote something that the protocol forbids.
    forked = -18,      ///< The endpoint was opened before a fork and is used in the child.
    displaced = -19,   ///< The segment's file was removed, and another segment has its name.
};

/// The name of the kind: `"timeout"`.
[[nodiscard]] ESHM_CPP_API std::string_view to_string(Errc code) noexcept;

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

    [[nodiscard]] Errc code() const noexcept { return code_; }

  private:
    Errc code_;
};

/// `Errc::timeout` as an exception of its own, since it is the one that is often handled by trying again.
class ESHM_CPP_API TimeoutError final : public Error {
  public:
    explicit TimeoutError(const std::string& text);
    ~TimeoutError() override;
};

/// The exception of `Endpoint::send_many`: a batch was not sent as a whole. Its code and text say why the
/// first message that was not sent was not; when the time ran out, the code is `Errc::timeout`.
class ESHM_CPP_API BatchError final : public Error {
  public:
    BatchError(Errc code, const std::string& text, std::size_t sent);
    ~BatchError() override;

    /// How many messages were sent, from the first on.
    [[nodiscard]] std::size_t sent() const noexcept { return sent_; }

  private:
    std::size_t sent_;
};

/// An error as a value, in a `Result`.
class ESHM_CPP_API Failure {
  public:
    /// An empty `text` stands for the general text of `code`, and costs no memory.
    explicit Failure(Errc code, std::string text = {}) noexcept : code_{code}, text_{std::move(text)} {}

    [[nodiscard]] Errc code() const noexcept { return code_; }

    /// The text that `Error::what()` would have.
    [[nodiscard]] std::string message() const;

    /// Throws it, as `Error` or `TimeoutError`.
    [[noreturn]] void raise() const;

  private:
    Errc code_;
    std::string text_;
};

/// A value, or the failure that came instead: what every `try_` function returns. It reads like
/// `std::optional`:
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

    /// The value. @throws Error when there is none.
    T& value() & {
        require();
        return **this;
    }
    T&& value() && {
        require();
        return std::move(**this);
    }

    /// The value; only when there is one.
    T& operator*() & noexcept { return *std::get_if<0>(&outcome_); }
    const T& operator*() const& noexcept { return *std::get_if<0>(&outcome_); }
    T&& operator*() && noexcept { return std::move(*std::get_if<0>(&outcome_)); }
    T* operator->() noexcept { return std::get_if<0>(&outcome_); }
    const T* operator->() const noexcept { return std::get_if<0>(&outcome_); }

    /// The failure; only when there is no value.
    [[nodiscard]] const Failure& error() const noexcept { return *std::get_if<1>(&outcome_); }

  private:
    void require() const {
        if (!has_value()) {
            error().raise();
        }
    }

    std::variant<T, Failure> outcome_;
};

/// Success, or the failure.
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() noexcept = default;
    Result(Failure failure) noexcept : failure_{std::move(failure)} {}

    [[nodiscard]] bool has_value() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return has_value(); }

    /// @throws Error when it failed.
    void value() const {
        if (failure_) {
            failure_->raise();
        }
    }

    /// The failure; only when it failed.
    [[nodiscard]] const Failure& error() const noexcept { return *failure_; }

  private:
    std::optional<Failure> failure_;
};

/// What `Endpoint::try_send_many` returns: how many messages were sent, and, unless that is all, the failure.
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

    /// How many messages were sent, from the first on.
    [[nodiscard]] std::size_t sent() const noexcept { return sent_; }

    /// @throws BatchError when not all of them were sent.
    ESHM_CPP_API void value() const;

    /// Why the next message was not sent; only when not all were.
    [[nodiscard]] const Failure& error() const noexcept { return *failure_; }

  private:
    std::size_t sent_;
    std::optional<Failure> failure_;
};

} // namespace eshm

template <>
struct std::is_error_code_enum<eshm::Errc> : std::true_type {};

#endif
