#include "eshm/endpoint.hpp"

#include <string>

#include "access.h"
#include "eshm-cpp/src/lib.rs.h"

namespace eshm {

namespace {

/// What a read of the bridge returns when nothing came in the time it had.
constexpr std::int32_t nothing = 1;

std::int64_t ns(Duration time) noexcept { return time.count().count(); }

detail::Settings settings(const Options& options) {
    return {
        options.role,
        options.data_size.has_value(),
        options.data_size.value_or(0),
        ns(options.connect_timeout),
        ns(options.heartbeat_interval),
        ns(options.stale_threshold),
        options.disconnect,
        ns(options.reconnect_timeout),
        ns(options.reconnect_interval),
        options.reconnect_attempts,
        options.auto_cleanup,
        options.background,
        options.mode,
        options.any_owner,
    };
}

} // namespace

struct Endpoint::Impl {
    /// What belongs to the attachment, and goes with it.
    struct Open {
        rust::Box<detail::Sender> sender;
        rust::Box<detail::Receiver> receiver;
    };

    std::string name;
    std::optional<Open> open;

    /// What `verb` of the sending direction returned.
    template <class Verb>
    static Result<void> done(Impl* impl, Verb verb) noexcept {
        if (!impl || !impl->open) {
            return Failure{Errc::closed};
        }
        detail::Sender& sender = *impl->open->sender;
        if (const auto code = verb(sender)) {
            return detail::failure(code, sender.failure());
        }
        return {};
    }

    /// What `verb` of the receiving direction delivered.
    template <class Verb>
    static Result<Message> delivered(Impl* impl, Duration wait, Verb verb) noexcept {
        if (!impl || !impl->open) {
            return Failure{Errc::closed};
        }
        detail::Receiver& receiver = *impl->open->receiver;
        Message message = detail::MessageAccess::empty();
        const std::int32_t code = verb(receiver, message);
        if (code == nothing) {
            return Failure{ns(wait) > 0 ? Errc::timeout : Errc::no_data};
        }
        if (code != 0) {
            return detail::failure(code, receiver.failure());
        }
        return message;
    }
};

Result<Endpoint> Endpoint::try_open(std::string_view name, const Options& options) noexcept {
    auto opening = detail::open(detail::slice(name.data(), name.size()), settings(options));
    if (const auto code = opening->code()) {
        return detail::failure(code, opening->failure());
    }
    return Endpoint{
        std::make_unique<Impl>(Impl{std::string{name}, Impl::Open{opening->sender(), opening->receiver()}})};
}

Endpoint::Endpoint(std::unique_ptr<Impl> impl) noexcept : impl_{std::move(impl)} {}
Endpoint::Endpoint(Endpoint&& other) noexcept = default;
Endpoint& Endpoint::operator=(Endpoint&& other) noexcept = default;
Endpoint::~Endpoint() = default;

void Endpoint::close() noexcept {
    if (impl_) {
        impl_->open.reset();
    }
}

bool Endpoint::is_open() const noexcept { return impl_ && impl_->open; }

Result<void> Endpoint::try_write(bytes_view bytes) noexcept {
    return Impl::done(impl_.get(),
                      [&](auto& sender) { return sender.write(detail::slice(bytes.data(), bytes.size())); });
}

Result<void> Endpoint::try_send(bytes_view bytes, Duration wait) noexcept {
    return Impl::done(impl_.get(), [&](auto& sender) {
        return sender.send(detail::slice(bytes.data(), bytes.size()), ns(wait));
    });
}

Result<void> Endpoint::try_wait_for_peer(Duration wait) noexcept {
    return Impl::done(impl_.get(), [&](auto& sender) { return sender.wait_for_peer(ns(wait)); });
}

Result<Message> Endpoint::try_read(Duration wait) noexcept {
    return Impl::delivered(impl_.get(), wait,
                           [&](auto& receiver, auto& message) { return receiver.read(ns(wait), message); });
}

Result<Message> Endpoint::try_recv(Duration wait) noexcept {
    return Impl::delivered(impl_.get(), wait,
                           [&](auto& receiver, auto& message) { return receiver.recv(ns(wait), message); });
}

std::optional<Message> Endpoint::in_time(Result<Message> result) {
    if (result) {
        return std::move(*result);
    }
    if (const Errc code = result.error().code(); code != Errc::no_data && code != Errc::timeout) {
        result.error().raise();
    }
    return std::nullopt;
}

Endpoint::Impl& Endpoint::opened() const {
    if (!is_open()) {
        Failure{Errc::closed}.raise();
    }
    return *impl_;
}

std::string_view Endpoint::name() const noexcept {
    return impl_ ? std::string_view{impl_->name} : std::string_view{};
}

Role Endpoint::role() const { return opened().open->sender->role(); }
std::size_t Endpoint::data_size() const { return opened().open->sender->data_size(); }
PeerState Endpoint::peer_state() const { return opened().open->sender->peer_state(); }
std::uint64_t Endpoint::generation() const { return opened().open->sender->generation(); }
bool Endpoint::peer_is_legacy() const { return opened().open->sender->peer_is_legacy(); }

Stats Endpoint::stats() const {
    detail::Counters counters{};
    Impl::done(&opened(), [&](auto& sender) { return sender.stats(counters); }).value();
    return {
        counters.master_heartbeat,
        counters.slave_heartbeat,
        counters.master_pid,
        counters.slave_pid,
        counters.master_alive,
        counters.slave_alive,
        counters.stale_threshold,
        counters.master_heartbeat_delta,
        counters.slave_heartbeat_delta,
        counters.m2s_write_count,
        counters.m2s_read_count,
        counters.s2m_write_count,
        counters.s2m_read_count,
        counters.skipped,
        counters.timeouts,
        counters.reconnects,
        counters.wakeups,
    };
}

} // namespace eshm
