#include "eshm/segments.hpp"

#include "convert.h"

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

std::vector<Segment> all(const rust::Vec<detail::Found>& found) {
    std::vector<Segment> segments;
    segments.reserve(found.size());
    for (const auto& one : found) {
        segments.push_back(segment(one));
    }
    return segments;
}

Removal removal(const detail::Outcome& outcome, const rust::Vec<detail::Found>& removed,
                const rust::Vec<detail::Found>& left) {
    detail::result(outcome).value();
    Removal removal{all(removed), {}};
    for (const auto& one : left) {
        removal.left.push_back({segment(one), std::string{one.left_because}});
    }
    return removal;
}

} // namespace

std::vector<Segment> segments(const Domain& domain) {
    detail::Outcome outcome{};
    const auto found = detail::segments(detail::place(domain), outcome);
    detail::result(outcome).value();
    return all(found);
}

Removal remove_dead(const Domain& domain) {
    detail::Outcome outcome{};
    rust::Vec<detail::Found> left;
    const auto removed = detail::remove_dead(detail::place(domain), left, outcome);
    return removal(outcome, removed, left);
}

Removal find_dead(const Domain& domain) {
    detail::Outcome outcome{};
    rust::Vec<detail::Found> left;
    const auto found = detail::find_dead(detail::place(domain), left, outcome);
    return removal(outcome, found, left);
}

} // namespace eshm
