#include "eshm/loan.hpp"

#include "direction.h"

namespace eshm {

void detail::forget(Outgoing& outgoing) noexcept {
    outgoing.half->forget_loan();
    vacate(outgoing);
}

Result<void> Loan::try_send() noexcept {
    if (!lender_) {
        return Failure{Errc::invalid, "this loan was sent, released or moved from; take a new one"};
    }
    detail::Outgoing& outgoing = *std::exchange(lender_, nullptr);
    data_ = nullptr;
    size_ = 0;
    Result<void> sent;
    if (outgoing.half->send_loan() != detail::Code::ok) {
        sent = detail::failure(outgoing.half->outcome());
    }
    vacate(outgoing);
    return sent;
}

} // namespace eshm
