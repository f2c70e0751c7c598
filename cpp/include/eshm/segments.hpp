/// @file
/// Which segments there are in a domain, and how those that nobody uses are removed.
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

/// What a file of a domain is.
enum class SegmentKind : std::uint8_t {
    current,    ///< A segment that an endpoint of this version, in whatever language, has made or taken over.
    legacy,     ///< A segment of ESHM 1.x.
    unfinished, ///< Somebody is making it, or was killed while it did.
    foreign,    ///< No segment that this version knows.
    unreadable, ///< This process may not read it.
};

/// `"current"`, `"legacy"`, `"unfinished"`, `"foreign"` or `"unreadable"`.
[[nodiscard]] ESHM_CPP_API std::string_view to_string(SegmentKind kind) noexcept;
/// Prints what `to_string` returns.
ESHM_CPP_API std::ostream& operator<<(std::ostream& out, SegmentKind kind);

/// A file of a domain, as `segments` finds it.
struct Segment {
    std::string name;                      ///< With which an endpoint opens it.
    std::string path;                      ///< Its file.
    SegmentKind kind;                      ///< What it is.
    std::string reason;                    ///< What is wrong with it; empty if it can be opened.
    std::uint64_t size;                    ///< Of the file, in bytes.
    std::uint32_t owner;                   ///< The number of the user that the file belongs to.
    std::optional<std::string> owner_name; ///< That user's name, if the system knows it.
    std::uint32_t mode;                    ///< The file's permission bits.
    /// When the file was made, if the system knows it.
    std::optional<std::chrono::system_clock::time_point> since;
    /// Who sits there, and how full the queues are; unset if that cannot be read. `alive` is whoever holds
    /// its seat, frozen or not; of ESHM 1.x, whose heartbeat moves.
    std::optional<View> view;
};

/// A segment that `remove_dead` has left.
struct Left {
    Segment segment;
    std::string reason; ///< Why.
};

/// What `remove_dead` has done.
struct Removal {
    std::vector<Segment> removed; ///< As they were found; in a dry run, those that would be.
    std::vector<Left> left;
};

/// The segments of a domain, in the order of their names, and what else has a segment's name. Only reads.
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
/// @throws Error `Errc::invalid` for a domain that is none; `Errc::attach` when its directory cannot be read.
ESHM_CPP_API std::vector<Segment> segments(const Domain& domain = {});

/// Removes the segments of a domain in which nobody sits, with all that is unread in them, and the temporary
/// files that killed processes have left. With `dry_run`, only says which these are. Safe beside processes
/// that start at the same moment.
/// @throws Error as `segments`.
ESHM_CPP_API Removal remove_dead(bool dry_run = false, const Domain& domain = {});

} // namespace eshm

#endif
