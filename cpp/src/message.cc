#include "eshm/message.hpp"

#include "direction.h"
#include "eshm/text.hpp"

namespace eshm {

void detail::release(Incoming& incoming) noexcept {
    incoming.half->release();
    vacate(incoming);
}

Result<std::string_view> Message::try_text() const noexcept {
    return text::try_decode({content_.data, content_.size});
}

} // namespace eshm
