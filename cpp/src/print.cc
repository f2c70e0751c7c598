// The names of enumerators, and the stream output of enums and statistics.
#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "eshm/error.hpp"
#include "eshm/segments.hpp"
#include "statistics.h"

namespace eshm {

namespace {

template <class Value>
auto shown(Value value) {
    using namespace std::chrono;
    if constexpr (std::is_same_v<Value, bool>) {
        return value ? "true" : "false";
    } else if constexpr (std::is_same_v<Value, milliseconds>) {
        return std::to_string(value.count()) + "ms";
    } else if constexpr (std::is_same_v<Value, nanoseconds>) {
        return std::to_string(value.count()) + "ns";
    } else {
        return value;
    }
}

/// Returns the name of an enumerator, which are numbered from 0.
template <class Enum, std::size_t count>
std::string_view name(Enum value, const std::string_view (&names)[count]) noexcept {
    const auto index = static_cast<std::size_t>(value);
    return index < count ? names[index] : "unknown";
}

} // namespace

std::string_view to_string(Role role) noexcept {
    static constexpr std::string_view names[] = {"master", "slave", "auto"};
    return name(role, names);
}

std::string_view to_string(PeerState state) noexcept {
    static constexpr std::string_view names[] = {"absent", "alive", "frozen", "dead", "closed"};
    return name(state, names);
}

std::string_view to_string(SegmentKind kind) noexcept {
    static constexpr std::string_view names[] = {"current", "legacy", "unfinished", "foreign", "unreadable"};
    return name(kind, names);
}

std::ostream& operator<<(std::ostream& out, Errc code) { return out << to_string(code); }
std::ostream& operator<<(std::ostream& out, Role role) { return out << to_string(role); }
std::ostream& operator<<(std::ostream& out, PeerState state) { return out << to_string(state); }
std::ostream& operator<<(std::ostream& out, SegmentKind kind) { return out << to_string(kind); }

std::ostream& operator<<(std::ostream& out, const Stats& stats) {
    const char* separator = "";
    detail::each_field(stats, [&](const char* name, const auto& value) {
        out << std::exchange(separator, " ") << name << '=' << shown(value);
    });
    return out;
}

} // namespace eshm
