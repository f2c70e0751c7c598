#include "eshm/observer.hpp"

#include "convert.h"

namespace eshm {

void detail::EndObserver::operator()(Observer* observer) const noexcept {
    rust::Box<Observer>::from_raw(observer);
}

Result<Observer> Observer::try_open(std::string_view name, bool any_owner, const Domain& domain) noexcept {
    detail::Outcome outcome{};
    auto observer =
        detail::observe(detail::slice(name.data(), name.size()), any_owner, detail::place(domain), outcome);
    if (outcome.code != detail::Code::ok) {
        return detail::failure(outcome);
    }
    return Observer{observer.into_raw()};
}

detail::Observer& Observer::core() const {
    if (!core_) {
        Failure{Errc::closed}.raise();
    }
    return *core_;
}

View Observer::look() { return detail::view(core().look()); }

std::string_view Observer::name() const noexcept {
    return core_ ? detail::view(core_->name()) : std::string_view{};
}

bool Observer::is_current() const { return core().is_current(); }
std::size_t Observer::data_size() const { return core().data_size(); }
std::size_t Observer::max_message() const { return core().max_message(); }

} // namespace eshm
