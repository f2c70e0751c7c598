// What the bridge in lib.rs and the facade share.
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

/// What the bridge and the facade's functions return in the place of an `Errc`.
enum Code : std::int32_t {
    /// Success.
    ok = 0,
    /// Nothing came within the limit.
    nothing = 1,
    /// A message or loan of this direction is still lent. Only the facade returns it.
    occupied = 2,
};

// `BytesView` and `Received` in handles.rs.
static_assert(sizeof(bytes_view) == 2 * sizeof(void*) && std::is_trivially_copyable_v<bytes_view>);
static_assert(sizeof(Received) == 2 * sizeof(void*) + 2 * sizeof(std::uint64_t) &&
              std::is_trivially_copyable_v<Received>);

inline const std::uint8_t* bytes(bytes_view view) noexcept {
    return reinterpret_cast<const std::uint8_t*>(view.data());
}

} // namespace eshm::detail

#endif
