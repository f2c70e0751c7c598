#include "eshm/messages.hpp"

#include "eshm/endpoint.hpp"

namespace eshm {

void Messages::advance() {
    // Released first: an endpoint lends one message at a time.
    current_.reset();
    current_.emplace();
    if (const std::int32_t code = endpoint_->take_message(wait_, *current_)) {
        current_.reset();
        const auto kind = static_cast<Errc>(code);
        if (kind != Errc::peer_closed && kind != Errc::closed) {
            endpoint_->expect_nothing(code);
        }
    }
}

} // namespace eshm
