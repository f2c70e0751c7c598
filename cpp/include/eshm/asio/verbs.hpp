/// @file
/// The verbs: what each attempts, and what it completes with. Part of eshm/asio.hpp.
#ifndef ESHM_ASIO_VERBS_HPP
#define ESHM_ASIO_VERBS_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "eshm/asio/platform.hpp"
#include "eshm/asio/shared.hpp"
#include "eshm/attempt.hpp"
#include "eshm/batch.hpp"

namespace eshm::asio {

inline namespace ESHM_ASIO_FLAVOUR {

namespace detail {

using eshm::detail::Attempt;

/// Receives a message.
struct Recv {
    using Signature = void(error_code, Message);
    static constexpr Interest kind = Interest::readable;

    std::int32_t attempt(Shared& shared) noexcept { return Attempt::recv(shared.endpoint, message); }
    template <class Self>
    void complete(Self& self, error_code error) {
        self.complete(error, std::move(message));
    }

    Message message{};
};

/// Reads a value.
struct Read {
    using Signature = void(error_code, Message);
    static constexpr Interest kind = Interest::value;

    std::int32_t attempt(Shared& shared) noexcept { return Attempt::read(shared.endpoint, value); }
    template <class Self>
    void complete(Self& self, error_code error) {
        self.complete(error, std::move(value));
    }

    Message value{};
};

/// Receives several messages.
template <class Function>
struct RecvMany {
    using Signature = void(error_code, std::size_t);
    static constexpr Interest kind = Interest::readable;

    std::int32_t attempt(Shared& shared) {
        auto call = [this](bytes_view bytes) noexcept(std::is_nothrow_invocable_v<Function&, bytes_view>) {
            function(bytes);
        };
        eshm::detail::Each each{call};
        const std::int32_t code = Attempt::recv_many(shared.endpoint, most, each, received);
        each.rethrow();
        return code;
    }
    template <class Self>
    void complete(Self& self, error_code error) {
        self.complete(error, std::size_t{received});
    }

    std::size_t most;
    Function function;
    std::size_t received = 0;
};

/// Sends a message.
struct Send {
    using Signature = void(error_code);
    static constexpr Interest kind = Interest::writable;

    std::int32_t attempt(Shared& shared) noexcept { return Attempt::send(shared.endpoint, bytes); }
    template <class Self>
    void complete(Self& self, error_code error) {
        self.complete(error);
    }

    bytes_view bytes;
};

/// Sends several messages.
struct SendMany {
    using Signature = void(error_code, std::size_t);
    static constexpr Interest kind = Interest::writable;

    std::int32_t attempt(Shared& shared) noexcept {
        std::size_t now = 0;
        const std::int32_t code = Attempt::send_many(shared.endpoint, messages + sent, count - sent, now);
        sent += now;
        return code;
    }
    template <class Self>
    void complete(Self& self, error_code error) {
        self.complete(error, std::size_t{sent});
    }

    const bytes_view* messages;
    std::size_t count;
    std::size_t sent = 0;
};

/// Takes a loan.
struct Lend {
    using Signature = void(error_code, Loan);
    static constexpr Interest kind = Interest::writable;

    std::int32_t attempt(Shared& shared) noexcept { return Attempt::loan(shared.endpoint, size, loan); }
    template <class Self>
    void complete(Self& self, error_code error) {
        self.complete(error, std::move(loan));
    }

    std::size_t size;
    Loan loan{};
};

/// Waits for the peer.
struct WaitForPeer {
    using Signature = void(error_code);
    static constexpr Interest kind = Interest::peer;

    std::int32_t attempt(Shared& shared) noexcept {
        // First: a change after the question makes the descriptor readable again.
        static_cast<void>(shared.events.peer_state());
        const auto waited = shared.endpoint.try_wait_for_peer(std::chrono::nanoseconds{0});
        if (waited) {
            return 0;
        }
        const Errc code = waited.error().code();
        return code == Errc::timeout ? Attempt::would_wait : static_cast<std::int32_t>(code);
    }
    template <class Self>
    void complete(Self& self, error_code error) {
        self.complete(error);
    }
};

} // namespace detail

} // namespace ESHM_ASIO_FLAVOUR

} // namespace eshm::asio

#endif
