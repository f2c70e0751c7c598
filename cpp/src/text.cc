#include "eshm/text.hpp"

#include "convert.h"

namespace eshm::text {

Result<std::string> try_encode(std::string_view text) noexcept {
    detail::Outcome outcome{};
    rust::Vec<std::uint8_t> encoded;
    detail::encode(detail::slice(text.data(), text.size()), encoded, outcome);
    if (outcome.code != detail::Code::ok) {
        return detail::failure(outcome);
    }
    return std::string{reinterpret_cast<const char*>(encoded.data()), encoded.size()};
}

Result<std::string_view> try_decode(bytes_view bytes) noexcept {
    detail::Outcome outcome{};
    const std::size_t length = detail::decode(detail::slice(bytes.data(), bytes.size()), outcome);
    if (outcome.code != detail::Code::ok) {
        return detail::failure(outcome);
    }
    return bytes.chars().substr(0, length);
}

} // namespace eshm::text
