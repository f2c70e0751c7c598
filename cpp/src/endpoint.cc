#include "eshm/endpoint.hpp"

#include <string>

#include "direction.h"

namespace eshm {

using detail::bytes;
using detail::Code;
using detail::ns;

namespace {

constexpr auto closed = static_cast<std::int32_t>(Errc::closed);

/// Borrows from `options`.
detail::Settings settings(const Options& options) {
    return {
        detail::place(options.domain),
        options.role,
        options.data_size.has_value(),
        options.data_size.value_or(0),
        options.queue_capacity.has_value(),
        options.queue_capacity.value_or(0),
        options.wait,
        ns(options.connect_timeout),
        ns(options.heartbeat_interval),
        options.steady_heartbeat,
        ns(options.stale_threshold),
        options.disconnect,
        options.reconnect_timeout.has_value(),
        options.reconnect_timeout ? ns(*options.reconnect_timeout) : 0,
        ns(options.reconnect_interval),
        options.reconnect_attempts.has_value(),
        options.reconnect_attempts.value_or(0),
        options.give_up,
        options.auto_cleanup,
        options.background,
        options.mode,
        options.mode_by_umask,
        options.group.has_value(),
        options.group.value_or(0),
        options.any_owner,
    };
}

/// The failure of a call that came while a message or loan was lent; in a forked child, `Errc::forked`.
Failure occupied(const Inspector& inspector, const char* text) {
    const Result<Stats> asked = inspector.try_stats();
    if (!asked && asked.error().code() == Errc::forked) {
        return asked.error();
    }
    return Failure{Errc::invalid, "segment '" + std::string{inspector.name()} + "': " + text};
}

} // namespace

void detail::Leave::operator()(Incoming* incoming) const noexcept { leave(incoming); }
void detail::Leave::operator()(Outgoing* outgoing) const noexcept { leave(outgoing); }

Result<Endpoint> Endpoint::try_open(std::string_view name, const Options& options) noexcept {
    detail::Outcome outcome{};
    auto opened = detail::open(detail::slice(name.data(), name.size()), settings(options), outcome);
    if (outcome.code != Code::ok) {
        return detail::failure(outcome);
    }
    const auto destroy = [](const detail::Inspector* core) {
        rust::Box<detail::Inspector>::from_raw(const_cast<detail::Inspector*>(core));
    };
    return Endpoint{new detail::Outgoing{opened->sender()}, new detail::Incoming{opened->receiver()},
                    Inspector{{opened->inspector().into_raw(), destroy}}};
}

std::uint64_t Endpoint::close() noexcept {
    outgoing_.reset();
    incoming_.reset();
    return inspector_.core_ ? inspector_.core_->unreceived() : 0;
}

std::int32_t Endpoint::put_value(bytes_view value) noexcept {
    if (!outgoing_) {
        return closed;
    }
    if (outgoing_->is_occupied()) {
        return Code::occupied;
    }
    return outgoing_->half->write(bytes(value), value.size());
}

std::int32_t Endpoint::put(bytes_view message, Duration wait) noexcept {
    if (!outgoing_) {
        return closed;
    }
    if (outgoing_->is_occupied()) {
        return Code::occupied;
    }
    return outgoing_->half->send(bytes(message), message.size(), ns(wait));
}

std::int32_t Endpoint::put_many(const bytes_view* messages, std::size_t count, Duration wait,
                                std::size_t& sent) noexcept {
    if (!outgoing_) {
        return closed;
    }
    if (outgoing_->is_occupied()) {
        return Code::occupied;
    }
    return outgoing_->half->send_many({messages, count}, ns(wait), sent);
}

Result<Loan> Endpoint::try_loan(std::size_t size, Duration wait) noexcept {
    if (!outgoing_) {
        return not_sent(closed);
    }
    if (outgoing_->is_occupied()) {
        return not_sent(Code::occupied);
    }
    std::uint8_t* room = outgoing_->half->loan(size, ns(wait));
    if (!room) {
        return not_sent(outgoing_->half->outcome().code);
    }
    outgoing_->occupy();
    Result<Loan> loan{Loan{}};
    loan->lender_ = outgoing_.get();
    loan->data_ = reinterpret_cast<std::byte*>(room);
    loan->size_ = size;
    return loan;
}

std::int32_t Endpoint::take_message(Duration wait, Message& message) noexcept {
    detail::Incoming* incoming = incoming_.get();
    if (!incoming) {
        return closed;
    }
    if (incoming->is_occupied()) {
        return Code::occupied;
    }
    if (const auto code = incoming->half->recv(ns(wait), message.content_)) {
        return code;
    }
    incoming->occupy();
    message.lender_ = incoming;
    return Code::ok;
}

std::int32_t Endpoint::take_value(Duration wait, Message& message) noexcept {
    if (!incoming_) {
        return closed;
    }
    if (incoming_->is_occupied()) {
        return Code::occupied;
    }
    if (const auto code = incoming_->half->read(ns(wait), message.content_)) {
        return code;
    }
    message.own_value();
    return Code::ok;
}

std::int32_t Endpoint::take_many(std::size_t most, detail::Each& each, Duration wait,
                                 std::size_t& received) noexcept {
    if (!incoming_) {
        return closed;
    }
    if (incoming_->is_occupied()) {
        return Code::occupied;
    }
    // Occupied, in case `each` receives or closes the endpoint.
    detail::Incoming& incoming = *incoming_;
    incoming.occupy();
    const auto code = incoming.half->recv_many(most, ns(wait), each, received);
    vacate(incoming);
    return code;
}

Failure Endpoint::not_sent(std::int32_t code) const noexcept {
    if (code == Code::occupied) {
        return occupied(
            inspector_,
            "a loan of this endpoint is open; send or release it before the endpoint sends, writes or "
            "lends again");
    }
    return outgoing_ ? detail::failure(outgoing_->half->outcome()) : Failure{static_cast<Errc>(code)};
}

Failure Endpoint::not_taken(std::int32_t code, Duration wait) const noexcept {
    if (code == Code::nothing) {
        return Failure{ns(wait) > 0 ? Errc::timeout : Errc::no_data};
    }
    if (code == Code::occupied) {
        return occupied(inspector_,
                        "a message that this endpoint received is still lent; release or destroy it before "
                        "the endpoint receives or reads again");
    }
    return incoming_ ? detail::failure(incoming_->half->outcome()) : Failure{static_cast<Errc>(code)};
}

void Endpoint::expect_nothing(std::int32_t code) const {
    if (code != Code::nothing && code != static_cast<std::int32_t>(Errc::timeout)) {
        not_taken(code, none).raise();
    }
}

const Inspector& Endpoint::opened() const {
    if (!is_open()) {
        Failure{Errc::closed}.raise();
    }
    return inspector_;
}

Result<void> Endpoint::try_wait_for_peer(Duration wait) noexcept {
    return is_open() ? inspector_.try_wait_for_peer(wait) : Failure{Errc::closed};
}

Result<Events> Endpoint::try_events(Interest interest) const noexcept {
    if (!is_open()) {
        return Failure{Errc::closed};
    }
    detail::Outcome outcome{};
    auto events = detail::events(*inspector_.core_, static_cast<std::uint32_t>(interest), outcome);
    if (outcome.code != Code::ok) {
        return detail::failure(outcome);
    }
    return Events{{events.into_raw(), detail::EndEvents{}}};
}

Result<void> Endpoint::try_update_heartbeat() noexcept {
    return is_open() ? inspector_.try_update_heartbeat() : Failure{Errc::closed};
}

} // namespace eshm
