#include "eshm/observer.hpp"

#include "place.h"
#include "view.h"

namespace eshm {

void detail::EndObserver::operator()(Observer* observer) const noexcept {
    rust::Box<Observer>::from_raw(observer);
}

Result<Observer> Observer::try_open(std::string_view name, bool any_owner, const Domain& domain) noexcept {
    auto observing =
        detail::observe(detail::slice(name.data(), name.size()), any_owner, detail::place(domain));
    if (const auto code = observing->code()) {
        return detail::failure(code, observing->failure());
    }
    return Observer{observing->observer().into_raw()};
}

detail::Observer& Observer::core() const {
    if (!core_) {
        Failure{Errc::closed}.raise();
    }
    return *core_;
}

View Observer::look() {
    detail::Seen seen{};
    core().look(seen);
    return detail::view(seen);
}

std::string_view Observer::name() const noexcept {
    if (!core_) {
        return {};
    }
    const rust::Str name = core_->name();
    return {name.data(), name.size()};
}

bool Observer::is_current() const { return core().is_current(); }
std::size_t Observer::data_size() const { return core().data_size(); }
std::size_t Observer::max_message() const { return core().max_message(); }

} // namespace eshm
