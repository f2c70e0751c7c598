/// @file
/// An asynchronous operation: attempts, and waits for the event descriptor in between. Part of eshm/asio.hpp.
#ifndef ESHM_ASIO_OPERATION_HPP
#define ESHM_ASIO_OPERATION_HPP

#include <cstdint>
#include <memory>
#include <utility>

#include "eshm/asio/platform.hpp"
#include "eshm/asio/shared.hpp"
#include "eshm/attempt.hpp"

namespace eshm::asio {

inline namespace ESHM_ASIO_FLAVOUR {

namespace detail {

/// The implementation of an operation for `async_compose`.
///
/// The attempt that succeeds and the handler run in one step, so nothing can cancel the operation in between.
template <class Verb>
class Operation {
  public:
    Operation(std::shared_ptr<Shared> shared, Verb verb)
        : era_{shared->era()}, pending_{std::move(shared), Verb::kind}, verb_{std::move(verb)} {}

    template <class Self>
    void operator()(Self& self, error_code error = {}) {
        if (!started_) {
            started_ = true;
#if ESHM_ASIO_HAS_SLOTS
            self.reset_cancellation_state(net::enable_total_cancellation());
#endif
            // The initiating call must not call the handler. Not to the handler's executor, which may have
            // threads of its own, such as that of a future.
            const net::any_io_executor executor = pending_->executor();
            net::post(executor, std::move(self));
            return;
        }
        if (is_cancelled(self)) {
            verb_.complete(self, net::error::operation_aborted);
            return;
        }
        // `Shared::wake` cancels the wait.
        if (error && error != net::error::operation_aborted) {
            verb_.complete(self, error);
            return;
        }
        std::int32_t code = verb_.attempt(*pending_);
        while (code == would_wait) {
            code = pending_->agree();
            if (code == agreed) {
                // The operation moves into the handler.
                const std::shared_ptr<Shared> shared = pending_.owner();
                shared->wait(std::move(self));
                return;
            }
            if (code == 0) {
                code = verb_.attempt(*pending_);
            }
        }
        if (code != 0) {
            pending_->wake_all();
            verb_.complete(self, make_error(static_cast<Errc>(code)));
            return;
        }
        verb_.complete(self, {});
    }

  private:
    static constexpr std::int32_t would_wait = eshm::detail::Attempt::would_wait;
    static constexpr std::int32_t agreed = 1;

    template <class Self>
    [[nodiscard]] bool is_cancelled([[maybe_unused]] Self& self) const {
#if ESHM_ASIO_HAS_SLOTS
        if (self.get_cancellation_state().cancelled() != net::cancellation_type::none) {
            return true;
        }
#endif
        return pending_->era() != era_;
    }

    std::uint64_t era_;
    Pending pending_;
    Verb verb_;
    bool started_ = false;
};

} // namespace detail

} // namespace ESHM_ASIO_FLAVOUR

} // namespace eshm::asio

#endif
