/// @file
/// What the operations of an endpoint share. Part of eshm/asio.hpp.
#ifndef ESHM_ASIO_SHARED_HPP
#define ESHM_ASIO_SHARED_HPP

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <poll.h>
#include <system_error>
#include <utility>

#include "eshm/asio/platform.hpp"
#include "eshm/endpoint.hpp"
#include "eshm/events.hpp"

namespace eshm::asio {

inline namespace ESHM_ASIO_FLAVOUR {

namespace detail {

/// The endpoint, its event descriptor, and what its operations wait for.
class Shared {
  public:
    Shared(net::any_io_executor executor, Endpoint opened)
        : endpoint{std::move(opened)}, events{endpoint.events(Interest::readable)},
          descriptor_{std::move(executor), duplicate(events.native_handle())} {}

    Endpoint endpoint;
    const Events events;

    [[nodiscard]] net::any_io_executor executor() noexcept { return descriptor_.get_executor(); }

    /// A number that changes with each `cancel`.
    [[nodiscard]] std::uint64_t era() const {
        const std::lock_guard lock{mutex_};
        return era_;
    }

    void cancel() {
        const std::lock_guard lock{mutex_};
        ++era_;
        wake();
    }

    void close() noexcept {
        endpoint.close();
        const std::lock_guard lock{mutex_};
        wake();
    }

    /// Lets all waiting operations attempt again. One that met an error has emptied the descriptor, which
    /// tells of the error once.
    void wake_all() noexcept {
        const std::lock_guard lock{mutex_};
        wake();
    }

    void enter(Interest kind) {
        const std::lock_guard lock{mutex_};
        ++pending_[index(kind)];
    }

    void leave(Interest kind) noexcept {
        const std::lock_guard lock{mutex_};
        --pending_[index(kind)];
    }

    /// Makes the interest that of the pending operations: a kind that nobody takes would keep the descriptor
    /// readable. Returns 1 if the interest was right, 0 if the caller has to attempt again, or an `Errc`.
    std::int32_t agree() {
        const std::lock_guard lock{mutex_};
        Interest wanted{};
        for (const Interest kind : kinds) {
            if (pending_[index(kind)] > 0) {
                wanted |= kind;
            }
        }
        if (wanted == interest_) {
            return 1;
        }
        if (const auto changed = endpoint.try_events(wanted); !changed) {
            return static_cast<std::int32_t>(changed.error().code());
        }
        interest_ = wanted;
        return 0;
    }

    /// Calls the handler when the descriptor is readable, or after a `wake`.
    template <class Handler>
    void wait(Handler handler) {
        const std::lock_guard lock{mutex_};
        descriptor_.async_wait(net::posix::descriptor_base::wait_read, std::move(handler));
        // Asio waits for an edge, which may have been before. It modifies its registration for a new one, and
        // this does not rely on it (boostorg/asio#320).
        pollfd one{descriptor_.native_handle(), POLLIN, 0};
        if (::poll(&one, 1, 0) != 0) {
            wake();
        }
    }

  private:
    static constexpr std::array kinds{Interest::readable, Interest::value, Interest::writable,
                                      Interest::peer};

    static constexpr std::size_t index(Interest kind) noexcept {
        return kind == Interest::readable   ? 0
               : kind == Interest::value    ? 1
               : kind == Interest::writable ? 2
                                            : 3;
    }

    /// Asio owns a descriptor, and the endpoint keeps its own.
    static int duplicate(int descriptor) {
        const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            throw Error{Errc::attach, "the event descriptor cannot be duplicated: " +
                                          std::generic_category().message(errno)};
        }
        return copy;
    }

    void wake() noexcept {
        error_code ignored;
        descriptor_.cancel(ignored);
    }

    mutable std::mutex mutex_;
    std::array<std::size_t, kinds.size()> pending_{};
    Interest interest_ = Interest::readable;
    std::uint64_t era_ = 0;
    net::posix::stream_descriptor descriptor_;
};

/// One pending operation in the account of `Shared`.
class Pending {
  public:
    Pending(std::shared_ptr<Shared> shared, Interest kind) : shared_{std::move(shared)}, kind_{kind} {
        shared_->enter(kind_);
    }
    Pending(Pending&& other) noexcept = default;
    Pending& operator=(Pending&& other) = delete;
    ~Pending() {
        if (shared_) {
            shared_->leave(kind_);
        }
    }

    [[nodiscard]] Shared& operator*() const noexcept { return *shared_; }
    [[nodiscard]] Shared* operator->() const noexcept { return shared_.get(); }
    [[nodiscard]] const std::shared_ptr<Shared>& owner() const noexcept { return shared_; }

  private:
    std::shared_ptr<Shared> shared_;
    Interest kind_;
};

} // namespace detail

} // namespace ESHM_ASIO_FLAVOUR

} // namespace eshm::asio

#endif
