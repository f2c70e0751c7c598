/// @file
/// Lists the segments of a domain, and removes those that no process uses.
#ifndef ESHM_SEGMENTS_HPP
#define ESHM_SEGMENTS_HPP

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eshm/error.hpp"
#include "eshm/observer.hpp"
#include "eshm/options.hpp"

namespace eshm {

/// The kind of a file in a domain.
enum class SegmentKind : std::uint8_t {
    current,    ///< A segment of this version, in any language.
    legacy,     ///< A segment of ESHM 1.x.
    unfinished, ///< A process is creating it, or was killed while it did.
    foreign,    ///< No segment, or one of an unknown version.
    unreadable, ///< This process has no permission to read it.
};

/// `"current"`, `"legacy"`, `"unfinished"`, `"foreign"` or `"unreadable"`.
[[nodiscard]] ESHM_CPP_API std::string_view to_string(SegmentKind kind) noexcept;
/// Prints what `to_string` returns.
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, SegmentKind kind);

/// A file of a domain, as `segments` returns it.
struct Segment {
    std::string name;                      ///< The name that an endpoint opens it by.
    std::string path;                      ///< Its file.
    SegmentKind kind;                      ///< What it is.
    std::string reason;                    ///< Why it cannot be opened; empty if it can.
    std::uint64_t size;                    ///< The size of the file in bytes.
    std::uint32_t owner;                   ///< The user id of the owner.
    std::optional<std::string> owner_name; ///< The name of the owner, if the system knows it.
    std::uint32_t mode;                    ///< The file's permission bits.
    /// When the file was created, if the system knows it.
    std::optional<std::chrono::system_clock::time_point> since;
    /// The endpoints and the queues; unset if they cannot be read. `alive` means that the process exists,
    /// frozen or not; for a process of ESHM 1.x, that its heartbeat moves.
    std::optional<View> view;
};

/// A segment that `remove_dead` did not remove.
struct Left {
    Segment segment;
    std::string reason; ///< Why it was not removed.
};

/// The result of `remove_dead` and `find_dead`.
struct Removal {
    std::vector<Segment> removed; ///< The removed segments; of `find_dead`, those that would be removed.
    std::vector<Left> left;       ///< The other segments.
};

/// Returns the segments of a domain, and other files with the name of a segment, sorted by name. Changes
/// nothing.
///
/// ```cpp
/// #include <eshm/eshm.hpp>
/// #include <iostream>
///
/// for (const eshm::Segment& segment : eshm::segments()) {
///     std::cout << segment.name << ", " << segment.size << " bytes\n";
/// }
/// ```
///
/// @throws Error `Errc::invalid` for an invalid domain; `Errc::attach` if its directory cannot be read.
ESHM_CPP_API std::vector<Segment> segments(const Domain& domain = {});

/// Removes the segments of a domain that no process uses, including their unread messages, and the temporary
/// files of killed processes. Processes may start at the same time.
/// @throws Error as `segments`.
ESHM_CPP_API Removal remove_dead(const Domain& domain = {});

/// Returns what `remove_dead` would remove and leave, and removes nothing.
/// @throws Error as `segments`.
ESHM_CPP_API Removal find_dead(const Domain& domain = {});

} // namespace eshm

#endif
