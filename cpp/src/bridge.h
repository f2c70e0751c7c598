// What the bridge in lib.rs and the facade have in common.
#ifndef ESHM_CPP_BRIDGE_H
#define ESHM_CPP_BRIDGE_H

#include <cstdint>
#include <string>
#include <type_traits>

#include "eshm/batch.hpp"
#include "eshm/bytes.hpp"
#include "eshm/error.hpp"
#include "eshm/message.hpp"
#include "eshm/options.hpp"
#include "eshm/segments.hpp"
#include "rust/cxx.h"

namespace eshm::detail {

// `BytesView` and `Received` in handles.rs.
static_assert(sizeof(bytes_view) == 2 * sizeof(void*) && std::is_trivially_copyable_v<bytes_view>);
static_assert(sizeof(Received) == 2 * sizeof(void*) + 2 * sizeof(std::uint64_t) &&
              std::is_trivially_copyable_v<Received>);

inline const std::uint8_t* bytes(bytes_view view) noexcept {
    return reinterpret_cast<const std::uint8_t*>(view.data());
}

/// For what is not called with each message: rust::Slice costs two calls.
inline rust::Slice<const std::uint8_t> slice(const void* data, std::size_t size) noexcept {
    return {static_cast<const std::uint8_t*>(data), size};
}

inline std::int64_t ns(Duration time) noexcept { return time.count().count(); }

/// A failure as the bridge tells it.
inline Failure failure(std::int32_t code, rust::Str text) noexcept {
    return Failure{static_cast<Errc>(code), std::string{text}};
}

} // namespace eshm::detail

#endif
