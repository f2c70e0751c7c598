/// @file
/// ESHM for Asio: the verbs of an endpoint as asynchronous operations, with callbacks, futures and
/// coroutines.
///
/// Works with standalone Asio 1.18 or later, and with Boost.Asio of Boost 1.74 or later. With
/// `ESHM_ASIO_BOOST` it takes Boost's, otherwise the standalone one.
///
/// ```cmake
/// find_package(eshm 2 REQUIRED COMPONENTS asio)          # or boost_asio
/// target_link_libraries(app PRIVATE eshm::asio)          # or eshm::boost_asio
/// ```
#ifndef ESHM_ASIO_HPP
#define ESHM_ASIO_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "eshm/asio/operation.hpp"
#include "eshm/asio/platform.hpp"
#include "eshm/asio/shared.hpp"
#include "eshm/asio/verbs.hpp"
#include "eshm/endpoint.hpp"

namespace eshm::asio {

inline namespace ESHM_ASIO_FLAVOUR {

/// An endpoint whose verbs are asynchronous operations of Asio.
///
/// ```cpp
/// #include <asio.hpp>
/// #include <eshm/asio.hpp>
/// #include <iostream>
///
/// asio::io_context context;
/// eshm::asio::AsyncEndpoint robot{context, eshm::Endpoint{"robot"}};
/// robot.async_recv([](std::error_code error, eshm::Message message) {
///     if (!error) {
///         std::cout << message.text() << '\n';
///     }
/// });
/// context.run();
/// ```
///
/// In a coroutine: `eshm::Message message = co_await robot.async_recv(asio::use_awaitable);`
///
/// An operation ends as the call of `eshm::Endpoint` without a time-out does that has its name, and no thread
/// waits meanwhile. Its `error_code` is an `eshm::Errc` (`error == eshm::Errc::peer_closed`), or
/// `asio::error::operation_aborted` after `cancel()`.
///
/// ### Cancelling
///
/// `cancel()` ends all operations, and a cancellation slot (Asio 1.19, Boost 1.77) one of them. **An
/// operation that was cancelled has taken or sent nothing**: between the attempt that succeeds and the
/// handler nothing can intervene. Only `async_send_many` may have sent a part, and says how much.
///
/// ### Threads
///
/// Use an endpoint, and its operations, from one strand or from a context that one thread runs. Operations of
/// different kinds may be outstanding at once, also several of one kind. The operations use the event
/// descriptor of the endpoint: do not call `events` of the endpoint beside them.
class AsyncEndpoint {
  public:
    using executor_type = net::any_io_executor;

    /// Takes the endpoint over. @throws Error `Errc::attach` if the process can have no descriptor more.
    AsyncEndpoint(executor_type executor, Endpoint endpoint)
        : shared_{std::make_shared<detail::Shared>(std::move(executor), std::move(endpoint))} {}
    template <class Context,
              class = std::enable_if_t<std::is_convertible_v<Context&, net::execution_context&>>>
    AsyncEndpoint(Context& context, Endpoint endpoint)
        : AsyncEndpoint{executor_type{context.get_executor()}, std::move(endpoint)} {}

    AsyncEndpoint(AsyncEndpoint&& other) noexcept = default;
    AsyncEndpoint& operator=(AsyncEndpoint&& other) noexcept {
        close();
        shared_ = std::move(other.shared_);
        return *this;
    }
    AsyncEndpoint(const AsyncEndpoint&) = delete;
    AsyncEndpoint& operator=(const AsyncEndpoint&) = delete;
    /// As `close()`.
    ~AsyncEndpoint() { close(); }

    [[nodiscard]] executor_type get_executor() const noexcept { return shared_->executor(); }

    /// The endpoint, for calls that do not wait, such as `write`, `stats` and `stop`.
    [[nodiscard]] Endpoint& endpoint() noexcept { return shared_->endpoint; }

    /// Ends all outstanding operations with `operation_aborted`.
    void cancel() { shared_->cancel(); }

    /// Closes the endpoint. Outstanding operations end with `Errc::closed`.
    void close() noexcept {
        if (shared_) {
            shared_->close();
        }
    }

    /// Receives the next message: `void(error_code, Message)`. The message is lent, as `Endpoint::recv` says.
    template <class Token>
    auto async_recv(Token&& token) {
        return start(detail::Recv{}, token);
    }

    /// Reads the next value of the mailbox: `void(error_code, Message)`.
    template <class Token>
    auto async_read(Token&& token) {
        return start(detail::Read{}, token);
    }

    /// Receives up to `most` messages that are there, and at least one: `void(error_code, std::size_t)`.
    /// Calls `each(bytes_view)` with each, in the queue. If `each` throws, no message counts as received, and
    /// the exception leaves the context as that of a handler does.
    template <class Function, class Token>
    auto async_recv_many(std::size_t most, Function&& each, Token&& token) {
        return start(detail::RecvMany<std::decay_t<Function>>{most, std::forward<Function>(each)}, token);
    }

    /// Sends the bytes, which stay the caller's, and must live until the end of the operation:
    /// `void(error_code)`.
    template <class Token>
    auto async_send(bytes_view bytes, Token&& token) {
        return start(detail::Send{bytes}, token);
    }

    /// Sends messages in order: `void(error_code, std::size_t)` with the number of those sent. The array and
    /// the bytes must live until the end of the operation.
    template <class Token>
    auto async_send_many(const bytes_view* messages, std::size_t count, Token&& token) {
        return start(detail::SendMany{messages, count}, token);
    }

    /// Lends memory for a message: `void(error_code, Loan)`. Fill it and call `Loan::send`, which never
    /// waits.
    template <class Token>
    auto async_loan(std::size_t size, Token&& token) {
        return start(detail::Lend{size}, token);
    }

    /// Waits until a live peer is attached: `void(error_code)`.
    template <class Token>
    auto async_wait_for_peer(Token&& token) {
        return start(detail::WaitForPeer{}, token);
    }

  private:
    template <class Verb, class Token>
    auto start(Verb verb, Token& token) {
        return net::async_compose<Token, typename Verb::Signature>(
            detail::Operation<Verb>{shared_, std::move(verb)}, token, shared_->executor());
    }

    std::shared_ptr<detail::Shared> shared_;
};

} // namespace ESHM_ASIO_FLAVOUR

} // namespace eshm::asio

#endif
