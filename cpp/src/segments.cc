#include "eshm/segments.hpp"

#include "place.h"
#include "view.h"

namespace eshm {

namespace {

Segment segment(const detail::Found& found) {
    Segment segment{std::string{found.name},
                    std::string{found.path.begin(), found.path.end()},
                    found.kind,
                    std::string{found.reason},
                    found.size,
                    found.owner,
                    std::nullopt,
                    found.mode,
                    std::nullopt,
                    std::nullopt};
    if (!found.owner_name.empty()) {
        segment.owner_name = std::string{found.owner_name};
    }
    if (found.since != 0) {
        using std::chrono::system_clock;
        segment.since = system_clock::time_point{
            std::chrono::duration_cast<system_clock::duration>(std::chrono::nanoseconds{found.since})};
    }
    if (found.has_view) {
        segment.view = detail::view(found.view);
    }
    return segment;
}

void check(std::int32_t code, const rust::String& text) {
    if (code != 0) {
        detail::failure(code, text).raise();
    }
}

} // namespace

std::string_view to_string(SegmentKind kind) noexcept {
    switch (kind) {
    case SegmentKind::current:
        return "current";
    case SegmentKind::legacy:
        return "legacy";
    case SegmentKind::unfinished:
        return "unfinished";
    case SegmentKind::foreign:
        return "foreign";
    case SegmentKind::unreadable:
        return "unreadable";
    }
    return "unknown";
}

std::vector<Segment> segments(const Domain& domain) {
    rust::Vec<detail::Found> found;
    rust::String failure;
    check(detail::segments(detail::place(domain), found, failure), failure);
    std::vector<Segment> segments;
    segments.reserve(found.size());
    for (const auto& one : found) {
        segments.push_back(segment(one));
    }
    return segments;
}

Removal remove_dead(bool dry_run, const Domain& domain) {
    rust::Vec<detail::Found> removed;
    rust::Vec<detail::Found> left;
    rust::String failure;
    check(detail::remove_dead(detail::place(domain), dry_run, removed, left, failure), failure);
    Removal removal;
    for (const auto& one : removed) {
        removal.removed.push_back(segment(one));
    }
    for (const auto& one : left) {
        removal.left.push_back({segment(one), std::string{one.left_because}});
    }
    return removal;
}

} // namespace eshm
