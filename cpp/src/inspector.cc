#include "eshm/inspector.hpp"

#include <chrono>
#include <type_traits>

#include "convert.h"
#include "statistics.h"

namespace eshm {

namespace {

/// Calls `question` unless the inspector was moved from.
template <class Question>
Result<void> asked(const detail::Inspector* core, Question question) noexcept {
    if (!core) {
        return Failure{Errc::closed};
    }
    detail::Outcome outcome{};
    question(*core, outcome);
    return detail::result(outcome);
}

/// Sets a field of `Stats` to the value that crossed the bridge: a time in nanoseconds, or a count.
template <class Field>
void set(Field& field, std::int64_t value) noexcept {
    if constexpr (std::is_arithmetic_v<Field>) {
        field = static_cast<Field>(value);
    } else {
        field = std::chrono::duration_cast<Field>(std::chrono::nanoseconds{value});
    }
}

} // namespace

const detail::Inspector& Inspector::core() const {
    if (!core_) {
        Failure{Errc::closed}.raise();
    }
    return *core_;
}

std::string_view Inspector::name() const noexcept {
    return core_ ? detail::view(core_->name()) : std::string_view{};
}

Role Inspector::role() const { return core().role(); }
std::size_t Inspector::data_size() const { return core().data_size(); }
std::size_t Inspector::max_message() const { return core().max_message(); }
PeerState Inspector::peer_state() const { return core().peer_state(); }
std::uint64_t Inspector::generation() const { return core().generation(); }
bool Inspector::peer_is_legacy() const { return core().peer_is_legacy(); }
std::uint64_t Inspector::unreceived() const { return core().unreceived(); }

void Inspector::stop() const noexcept {
    if (core_) {
        core_->stop();
    }
}

Result<Stats> Inspector::try_stats() const noexcept {
    Stats stats{};
    const auto done = asked(core_.get(), [&](auto& core, auto& outcome) {
        const auto snapshot = core.stats(outcome);
        detail::each_field(stats, [&](const char* name, auto& field) { set(field, snapshot->value(name)); });
    });
    if (!done) {
        return done.error();
    }
    return stats;
}

Result<void> Inspector::try_wait_for_peer(Duration wait) const noexcept {
    return asked(core_.get(),
                 [&](auto& core, auto& outcome) { return core.wait_for_peer(detail::ns(wait), outcome); });
}

Result<void> Inspector::try_check_removed() const noexcept {
    return asked(core_.get(), [](auto& core, auto& outcome) { return core.check_removed(outcome); });
}

Result<void> Inspector::try_update_heartbeat() const noexcept {
    return asked(core_.get(), [](auto& core, auto& outcome) { return core.update_heartbeat(outcome); });
}

} // namespace eshm
