// Lists the segments of a domain, or removes those that no process uses.

#include <eshm/eshm.hpp>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr auto usage = "Usage: segments [--remove] [DIRECTORY PREFIX]\n";

void print(const eshm::Segment& segment) {
    std::cout << segment.name << ": " << segment.kind << ", " << segment.size << " bytes, owner "
              << segment.owner_name.value_or(std::to_string(segment.owner));
    if (segment.view) {
        std::cout << ", master " << segment.view->master.state << ", slave " << segment.view->slave.state
                  << ", " << segment.view->master_to_slave.waiting + segment.view->slave_to_master.waiting
                  << " messages waiting";
    }
    if (!segment.reason.empty()) {
        std::cout << " (" << segment.reason << ')';
    }
    std::cout << '\n';
}

void list(const eshm::Domain& domain) {
    for (const eshm::Segment& segment : eshm::segments(domain)) {
        print(segment);
    }
}

void remove(const eshm::Domain& domain) {
    const eshm::Removal removal = eshm::remove_dead(domain);
    for (const eshm::Segment& segment : removal.removed) {
        std::cout << "removed " << segment.name << '\n';
    }
    for (const eshm::Left& left : removal.left) {
        std::cout << "left " << left.segment.name << ": " << left.reason << '\n';
    }
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::string> words{argv + 1, argv + argc};
    const bool removes = !words.empty() && words.front() == "--remove";
    words.erase(words.begin(), words.begin() + (removes ? 1 : 0));
    if (!words.empty() && words.size() != 2) {
        std::cerr << usage;
        return 2;
    }
    eshm::Domain domain;
    if (!words.empty()) {
        domain = {words[0], words[1]};
    }
    try {
        removes ? remove(domain) : list(domain);
        return EXIT_SUCCESS;
    } catch (const eshm::Error& error) {
        std::cerr << "segments: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
