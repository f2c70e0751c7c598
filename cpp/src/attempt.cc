#include "eshm/attempt.hpp"

#include "direction.h"

namespace eshm::detail {

namespace {

/// The error of a direction that cannot be used, or 0.
template <class Half>
std::int32_t unusable(const Direction<Half>* direction) noexcept {
    if (!direction) {
        return static_cast<std::int32_t>(Errc::closed);
    }
    return direction->is_occupied() ? static_cast<std::int32_t>(Errc::invalid) : Code::ok;
}

static_assert(Attempt::would_wait == Code::nothing);

} // namespace

std::int32_t Attempt::recv(Endpoint& endpoint, Message& message) noexcept {
    Incoming* incoming = endpoint.incoming_.get();
    if (const auto code = unusable(incoming)) {
        return code;
    }
    if (const auto code = incoming->half->attempt_recv(message.content_)) {
        return code;
    }
    incoming->occupy();
    message.lender_ = incoming;
    return Code::ok;
}

std::int32_t Attempt::read(Endpoint& endpoint, Message& value) noexcept {
    Incoming* incoming = endpoint.incoming_.get();
    if (const auto code = unusable(incoming)) {
        return code;
    }
    if (const auto code = incoming->half->attempt_read(value.content_)) {
        return code;
    }
    value.own_value();
    return Code::ok;
}

std::int32_t Attempt::recv_many(Endpoint& endpoint, std::size_t most, Each& each,
                                std::size_t& received) noexcept {
    Incoming* incoming = endpoint.incoming_.get();
    if (const auto code = unusable(incoming)) {
        return code;
    }
    // Occupied, in case `each` receives or closes the endpoint.
    incoming->occupy();
    const auto code = incoming->half->attempt_recv_many(most, each, received);
    vacate(*incoming);
    return code;
}

std::int32_t Attempt::send(Endpoint& endpoint, bytes_view message) noexcept {
    Outgoing* outgoing = endpoint.outgoing_.get();
    if (const auto code = unusable(outgoing)) {
        return code;
    }
    return outgoing->half->attempt_send(bytes(message), message.size());
}

std::int32_t Attempt::send_many(Endpoint& endpoint, const bytes_view* messages, std::size_t count,
                                std::size_t& sent) noexcept {
    Outgoing* outgoing = endpoint.outgoing_.get();
    if (const auto code = unusable(outgoing)) {
        return code;
    }
    return outgoing->half->attempt_send_many({messages, count}, sent);
}

std::int32_t Attempt::loan(Endpoint& endpoint, std::size_t size, Loan& loan) noexcept {
    Outgoing* outgoing = endpoint.outgoing_.get();
    if (const auto code = unusable(outgoing)) {
        return code;
    }
    std::uint8_t* room = outgoing->half->attempt_loan(size);
    if (!room) {
        return outgoing->half->outcome().code;
    }
    outgoing->occupy();
    loan.lender_ = outgoing;
    loan.data_ = reinterpret_cast<std::byte*>(room);
    loan.size_ = size;
    return Code::ok;
}

} // namespace eshm::detail
