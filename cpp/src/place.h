// A domain of the facade as the bridge takes it.
#ifndef ESHM_CPP_PLACE_H
#define ESHM_CPP_PLACE_H

#include <optional>
#include <string>

#include "bridge.h"
#include "eshm-cpp/src/lib.rs.h"

namespace eshm::detail {

/// Borrows from `domain`.
inline Place place(const Domain& domain) noexcept {
    const auto bytes = [](const std::optional<std::string>& part) {
        return part ? slice(part->data(), part->size()) : rust::Slice<const std::uint8_t>{};
    };
    return {domain.directory.has_value(), bytes(domain.directory), domain.prefix.has_value(),
            bytes(domain.prefix)};
}

} // namespace eshm::detail

#endif
