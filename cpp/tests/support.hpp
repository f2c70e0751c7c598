// Helpers of the tests.
#ifndef ESHM_TESTS_SUPPORT_HPP
#define ESHM_TESTS_SUPPORT_HPP

#include <eshm/eshm.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace support {

using namespace std::chrono_literals;

/// Long enough for any event on a busy machine.
inline constexpr auto long_wait = 30s;

/// A segment name that no other test, process or run uses.
inline std::string unique_name() {
    static std::atomic<int> count{0};
    return "cpp-test-" + std::to_string(getpid()) + "-" + std::to_string(count++);
}

inline bool segment_exists(const std::string& name) {
    return std::filesystem::exists("/dev/shm/eshm_" + name);
}

/// `size` bytes that are not all the same.
inline std::vector<unsigned char> pattern(std::size_t size) {
    std::vector<unsigned char> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<unsigned char>(i * 7 + i / 251);
    }
    return bytes;
}

/// Both ends of one segment.
struct Pair {
    explicit Pair(eshm::Options options = {})
        : name{unique_name()}, master{open(name, options, eshm::Role::master)}, slave{open(
                                                                                    name, options,
                                                                                    eshm::Role::slave)} {}

    std::string name;
    eshm::Endpoint master;
    eshm::Endpoint slave;

  private:
    static eshm::Endpoint open(const std::string& name, eshm::Options options, eshm::Role role) {
        options.role = role;
        return eshm::Endpoint{name, options};
    }
};

/// Returns the code of the eshm::Error that `call` throws.
template <class Call>
eshm::Errc thrown(Call call) {
    try {
        call();
    } catch (const eshm::Error& error) {
        return error.code();
    }
    ADD_FAILURE() << "no eshm::Error was thrown";
    return {};
}

} // namespace support

#endif
