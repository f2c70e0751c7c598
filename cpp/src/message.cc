#include "eshm/message.hpp"

#include "direction.h"
#include "eshm/text.hpp"

namespace eshm {

void detail::release(Incoming& incoming) noexcept {
    incoming.half->release();
    vacate(incoming);
}

Result<std::string> Message::try_text() const noexcept {
    // Copied first: a peer that breaks the protocol can change what is checked in place.
    std::string copy{bytes_view{content_.data, content_.size}.chars()};
    const auto text = text::try_decode(copy);
    if (!text) {
        return text.error();
    }
    copy.resize(text->size());
    return copy;
}

} // namespace eshm
