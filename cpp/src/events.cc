#include "eshm/events.hpp"

#include "convert.h"
#include "eshm/wait_set.hpp"

namespace eshm {

void detail::EndEvents::operator()(const Events* events) const noexcept {
    rust::Box<Events>::from_raw(const_cast<Events*>(events));
}

const detail::Events& Events::core() const {
    if (!core_) {
        Failure{Errc::closed}.raise();
    }
    return *core_;
}

int Events::native_handle() const { return core().descriptor(); }
PeerState Events::peer_state() const { return core().peer_state(); }

void detail::EndWaitSet::operator()(const WaitSet* set) const noexcept {
    rust::Box<WaitSet>::from_raw(const_cast<WaitSet*>(set));
}

template <class Call>
Result<void> WaitSet::run(Call call) noexcept {
    if (!core_) {
        return Failure{Errc::closed};
    }
    detail::Outcome outcome{};
    call(*core_, outcome);
    return detail::result(outcome);
}

Result<WaitSet> WaitSet::try_make() noexcept {
    detail::Outcome outcome{};
    auto set = detail::wait_set(outcome);
    if (outcome.code != detail::Code::ok) {
        return detail::failure(outcome);
    }
    return WaitSet{set.into_raw()};
}

Result<void> WaitSet::try_add(const Events& events, std::uint64_t token) noexcept {
    if (!events.core_) {
        return Failure{Errc::closed};
    }
    return run([&](const detail::WaitSet& set, detail::Outcome& outcome) {
        set.add(*events.core_, token, outcome);
    });
}

Result<void> WaitSet::try_add(int descriptor, std::uint64_t token) noexcept {
    return run([&](const detail::WaitSet& set, detail::Outcome& outcome) {
        set.add_descriptor(descriptor, token, outcome);
    });
}

Result<void> WaitSet::try_remove(std::uint64_t token) noexcept {
    return run([&](const detail::WaitSet& set, detail::Outcome& outcome) { set.remove(token, outcome); });
}

Result<ReadyTokens> WaitSet::try_wait(Duration wait) noexcept {
    ReadyTokens ready;
    const auto waited = run([&](const detail::WaitSet& set, detail::Outcome& outcome) {
        ready.size_ = set.wait(detail::ns(wait), {ready.tokens_.data(), ready.tokens_.size()}, outcome);
    });
    if (!waited) {
        return waited.error();
    }
    return ready;
}

int WaitSet::native_handle() const {
    if (!core_) {
        Failure{Errc::closed}.raise();
    }
    return core_->descriptor();
}

} // namespace eshm
