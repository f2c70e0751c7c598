/// @file
/// `eshm::WaitSet`: one thread waits for many endpoints, and for other descriptors.
#ifndef ESHM_WAIT_SET_HPP
#define ESHM_WAIT_SET_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "eshm/error.hpp"
#include "eshm/events.hpp"
#include "eshm/options.hpp"

namespace eshm {

namespace detail {
struct WaitSet; // of the core; in the library

/// Destroys a wait set.
struct ESHM_CPP_API EndWaitSet {
    void operator()(const WaitSet* set) const noexcept;
};
} // namespace detail

/// The tokens that a wait has found ready, as a range: up to 64. Empty: nothing was ready in time.
class ReadyTokens {
  public:
    [[nodiscard]] const std::uint64_t* begin() const noexcept { return tokens_.data(); }
    [[nodiscard]] const std::uint64_t* end() const noexcept { return tokens_.data() + size_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::uint64_t operator[](std::size_t index) const noexcept { return tokens_[index]; }

  private:
    friend class WaitSet;

    std::array<std::uint64_t, 64> tokens_;
    std::size_t size_ = 0;
};

/// Waits for any number of endpoints, and for descriptors of sockets, timers and signals, each with a token.
///
/// ```cpp
/// #include <eshm/eshm.hpp>
///
/// eshm::Endpoint robot{"robot"};
/// eshm::WaitSet set;
/// set.add(robot.events(eshm::Interest::readable), 1);
/// for (const std::uint64_t token : set.wait(std::chrono::seconds{1})) {
///     while (auto message = robot.try_recv()) {
///     }
/// }
/// ```
///
/// Any thread may wait, add and remove. A wait takes time in proportion to what is ready, and what is ready
/// takes turns. No thread may use the set while another moves or destroys it. In a forked child every
/// function fails with `Errc::forked`; the destructor leaves the parent's set alone.
class ESHM_CPP_API WaitSet {
  public:
    /// Makes an empty set. @throws Error `Errc::attach` if no file descriptors are left.
    WaitSet() : WaitSet{try_make().value()} {}
    static Result<WaitSet> try_make() noexcept;

    /// Adds an endpoint: its token is returned while a verb of it is worth a call. The set keeps the
    /// descriptor: when the endpoint is gone, its token is returned until it is removed.
    /// @throws Error `Errc::invalid` if the token is in use, or the set has the endpoint already.
    void add(const Events& events, std::uint64_t token) { try_add(events, token).value(); }
    Result<void> try_add(const Events& events, std::uint64_t token) noexcept;

    /// Adds another descriptor: its token is returned while it is readable, or has an error. The set has a
    /// duplicate of it: if the program closes its own, the set goes on with the same file.
    /// @throws Error `Errc::invalid` if the token is in use, and if the descriptor is not open or cannot be
    /// waited for, such as that of a regular file.
    void add(int descriptor, std::uint64_t token) { try_add(descriptor, token).value(); }
    Result<void> try_add(int descriptor, std::uint64_t token) noexcept;

    /// Removes what the token stands for. @throws Error `Errc::invalid` if the set does not have the token.
    void remove(std::uint64_t token) { try_remove(token).value(); }
    Result<void> try_remove(std::uint64_t token) noexcept;

    /// Waits until something is ready, and returns the tokens of what is, up to 64. The others are the first
    /// of the next call.
    [[nodiscard]] ReadyTokens wait() { return try_wait(forever).value(); }
    /// The same for at most `wait`; empty if nothing was ready in time.
    [[nodiscard]] ReadyTokens wait(Duration wait) { return try_wait(wait).value(); }
    Result<ReadyTokens> try_wait(Duration wait = std::chrono::nanoseconds{0}) noexcept;

    /// A descriptor that is readable while something in the set is ready, for another loop.
    /// @throws Error `Errc::closed` if this was moved from.
    [[nodiscard]] int native_handle() const;

  private:
    explicit WaitSet(const detail::WaitSet* core) noexcept : core_{core} {}

    template <class Call>
    Result<void> run(Call call) noexcept;

    std::unique_ptr<const detail::WaitSet, detail::EndWaitSet> core_;
};

} // namespace eshm

#endif
