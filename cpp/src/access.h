// What the bridge in lib.rs sees of the facade.
#ifndef ESHM_CPP_ACCESS_H
#define ESHM_CPP_ACCESS_H

#include <cstdint>

#include "eshm/message.hpp"
#include "eshm/options.hpp"
#include "rust/cxx.h"

namespace eshm::detail {

/// Makes and fills messages, which users cannot.
struct MessageAccess {
    static Message empty() noexcept { return Message{}; }
    static void fill(Message& message, rust::Slice<const std::uint8_t> bytes, std::uint64_t skipped,
                     std::uint64_t generation);
};

/// Called by the bridge, with a message that lives in the core's memory until it returns.
inline void fill(Message& message, rust::Slice<const std::uint8_t> bytes, std::uint64_t skipped,
                 std::uint64_t generation) noexcept {
    MessageAccess::fill(message, bytes, skipped, generation);
}

/// What the facade hands to the bridge.
inline rust::Slice<const std::uint8_t> slice(const void* data, std::size_t size) noexcept {
    return {static_cast<const std::uint8_t*>(data), size};
}

/// A failure as the bridge tells it.
inline Failure failure(std::int32_t code, rust::Str text) noexcept {
    return Failure{static_cast<Errc>(code), std::string{text}};
}

} // namespace eshm::detail

#endif
