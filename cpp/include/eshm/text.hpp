/// @file
/// Text in messages: UTF-8 with one NUL at its end, the same in every language.
#ifndef ESHM_TEXT_HPP
#define ESHM_TEXT_HPP

#include <string>
#include <string_view>

#include "eshm/bytes.hpp"
#include "eshm/error.hpp"

/// ```cpp
/// robot.send(eshm::text::encode("Hello from master #0")); // 21 bytes
/// std::string_view hello = eshm::text::decode(message.bytes());
/// ```
namespace eshm::text {

/// Returns the text followed by a terminating NUL, which `size()` includes.
/// @throws Error `Errc::invalid` if the text is not UTF-8 or contains a NUL.
[[nodiscard]] ESHM_CPP_API Result<std::string> try_encode(std::string_view text) noexcept;
[[nodiscard]] inline std::string encode(std::string_view text) { return try_encode(text).value(); }

/// Returns the text in `bytes` without the NULs at its end; there need not be any. The result views `bytes`
/// and must not outlive them.
/// @throws Error `Errc::invalid` if it is not UTF-8, or has a NUL before its end.
[[nodiscard]] ESHM_CPP_API Result<std::string_view> try_decode(bytes_view bytes) noexcept;
[[nodiscard]] inline std::string_view decode(bytes_view bytes) { return try_decode(bytes).value(); }

} // namespace eshm::text

#endif
