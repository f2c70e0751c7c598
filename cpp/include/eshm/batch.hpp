/// @file
/// The parts of the templates `send_many` and `recv_many` of `eshm::Endpoint`.
#ifndef ESHM_BATCH_HPP
#define ESHM_BATCH_HPP

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <type_traits>
#include <utility>

#include "eshm/bytes.hpp"
#include "eshm/options.hpp"

namespace eshm::detail {

template <class Range>
using element_t = decltype(*std::begin(std::declval<Range&>()));

/// True for the ranges that `send_many` takes: their elements convert to `bytes_view` and stay valid when the
/// iterator moves on.
template <class Range, class = void>
inline constexpr bool is_message_range = false;
template <class Range>
inline constexpr bool is_message_range<Range, std::void_t<element_t<Range>>> =
    std::is_convertible_v<element_t<Range>, bytes_view> &&
    (std::is_lvalue_reference_v<element_t<Range>> ||
     std::is_same_v<std::remove_cv_t<element_t<Range>>, bytes_view>);

/// True for contiguous ranges of `bytes_view`, which are passed on without a copy.
template <class Range, class = void>
inline constexpr bool is_view_array = false;
template <class Range>
inline constexpr bool is_view_array<
    Range, std::void_t<decltype(std::data(std::declval<Range&>()), std::size(std::declval<Range&>()))>> =
    std::is_convertible_v<decltype(std::data(std::declval<Range&>())), const bytes_view*>;

/// Calls `put(const bytes_view*, std::size_t)` with the messages in batches until it returns false.
template <class Range, class Put>
void in_batches(Range& messages, Put put) {
    if constexpr (is_view_array<Range>) {
        put(std::data(messages), std::size(messages));
    } else {
        std::array<bytes_view, 64> batch;
        std::size_t count = 0;
        for (auto&& message : messages) {
            batch[count++] = message;
            if (count == batch.size() && !put(batch.data(), std::exchange(count, 0))) {
                return;
            }
        }
        if (count != 0) {
            put(batch.data(), count);
        }
    }
}

/// The rest of a wait that several calls share.
class Countdown {
  public:
    explicit Countdown(Duration wait) noexcept : wait_{wait} {
        if (is_timed()) {
            start_ = Clock::now();
        }
    }

    /// Returns at least a nanosecond for a timed wait: zero means "do not wait", which fails with another
    /// error.
    [[nodiscard]] Duration left() const noexcept {
        using std::chrono::nanoseconds;
        if (!is_timed()) {
            return wait_;
        }
        return std::max(nanoseconds{1}, nanoseconds{wait_.count() - (Clock::now() - start_)});
    }

  private:
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] bool is_timed() const noexcept {
        return wait_ != forever && wait_.count() > std::chrono::nanoseconds::zero();
    }

    Duration wait_;
    Clock::time_point start_;
};

/// A function of the user that is called with each message of a batch. An exception must not unwind through
/// the library, which has Rust frames: it is stored, and thrown again after the call.
class Each {
  public:
    template <class Function>
    explicit Each(Function& function) noexcept : function_{&function}, call_{&Each::call<Function>} {}

    /// Calls the function with a message. Returns false if the function threw.
    bool hand(const std::uint8_t* data, std::size_t size) noexcept { return call_(*this, {data, size}); }

    /// Throws the stored exception, if there is one.
    void rethrow() {
        if (thrown_) {
            std::rethrow_exception(std::move(thrown_));
        }
    }

  private:
    template <class Function>
    static bool call(Each& self, bytes_view bytes) noexcept {
        Function& function = *static_cast<Function*>(self.function_);
        if constexpr (std::is_nothrow_invocable_v<Function&, bytes_view>) {
            function(bytes);
        } else {
            try {
                function(bytes);
            } catch (...) {
                self.thrown_ = std::current_exception();
                return false;
            }
        }
        return true;
    }

    void* function_;
    bool (*call_)(Each&, bytes_view) noexcept;
    std::exception_ptr thrown_;
};

} // namespace eshm::detail

#endif
