#include "eshm/text.hpp"

#include "bridge.h"
#include "eshm-cpp/src/lib.rs.h"

namespace eshm::text {

Result<std::string> try_encode(std::string_view text) noexcept {
    rust::Vec<std::uint8_t> encoded;
    rust::String failure;
    if (const auto code = detail::encode(detail::slice(text.data(), text.size()), encoded, failure)) {
        return detail::failure(code, failure);
    }
    return std::string{reinterpret_cast<const char*>(encoded.data()), encoded.size()};
}

Result<std::string_view> try_decode(bytes_view bytes) noexcept {
    std::size_t length = 0;
    rust::String failure;
    if (const auto code = detail::decode(detail::slice(bytes.data(), bytes.size()), length, failure)) {
        return detail::failure(code, failure);
    }
    return bytes.chars().substr(0, length);
}

} // namespace eshm::text
