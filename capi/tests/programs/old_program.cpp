// A C++17 program that was written for ESHM 1.x.
#include <eshm.h>
#include <eshm_config.h>
#include <eshm_data.h>

#include "check.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

struct Destroy {
    void operator()(ESHMHandle* handle) const { CHECK_IS(eshm_destroy(handle), ESHM_SUCCESS); }
};
using Handle = std::unique_ptr<ESHMHandle, Destroy>;

Handle open_as(ESHMRole role) {
    auto config = eshm_default_config(segment);
    config.role = role;
    Handle handle{eshm_init(&config)};
    CHECK(handle != nullptr);
    return handle;
}

std::string read_text(ESHMHandle* handle) {
    std::vector<char> buffer(ESHM_MAX_DATA_SIZE);
    const int read = eshm_read(handle, buffer.data(), buffer.size());
    CHECK(read > 0);
    return std::string(buffer.data());
}

void write_text(ESHMHandle* handle, const std::string& text) {
    CHECK_IS(eshm_write(handle, text.c_str(), text.size() + 1), ESHM_SUCCESS);
}

void conversation() {
    auto master = open_as(ESHM_ROLE_MASTER);
    auto slave = open_as(ESHM_ROLE_SLAVE);
    for (int i = 0; i < 1000; i++) {
        const auto number = std::to_string(i);
        write_text(master.get(), "Hello from master #" + number);
        CHECK(read_text(slave.get()) == "Hello from master #" + number);
        write_text(slave.get(), "ACK from slave #" + number);
        CHECK(read_text(master.get()) == "ACK from slave #" + number);
    }
}

void failures() {
    CHECK(eshm_init(nullptr) == nullptr);
    CHECK_IS(eshm_destroy(nullptr), ESHM_ERROR_INVALID_PARAM);
    auto config = eshm_default_config(segment);
    config.role = ESHM_ROLE_SLAVE;
    CHECK(eshm_init(&config) == nullptr);
    auto master = open_as(ESHM_ROLE_MASTER);
    CHECK_IS(eshm_write(master.get(), nullptr, 1), ESHM_ERROR_INVALID_PARAM);
    std::vector<std::uint8_t> large(ESHM_MAX_DATA_SIZE + 1);
    CHECK_IS(eshm_write(master.get(), large.data(), large.size()), ESHM_ERROR_BUFFER_TOO_SMALL);
    CHECK_IS(eshm_read_ex(master.get(), large.data(), large.size(), nullptr, 0), ESHM_ERROR_NO_DATA);
    CHECK_IS(eshm_read_ex(master.get(), large.data(), large.size(), nullptr, 5), ESHM_ERROR_TIMEOUT);
    CHECK(std::string(eshm_error_string(ESHM_ERROR_TIMEOUT)) == "Operation timed out");
}

void telemetry() {
    struct Pose {
        std::uint64_t number;
        double x, y, z;
    };
    static_assert(std::is_trivially_copyable_v<Pose>);
    auto master = open_as(ESHM_ROLE_MASTER);
    auto slave = open_as(ESHM_ROLE_SLAVE);
    constexpr std::uint64_t last = 20000;
    std::thread writer([&] {
        for (std::uint64_t number = 1; number <= last; number++) {
            const auto part = static_cast<double>(number);
            const Pose pose{number, part, 2 * part, 3 * part};
            CHECK_IS(eshm_write(master.get(), &pose, sizeof pose), ESHM_SUCCESS);
        }
    });
    Pose pose{0, 0, 0, 0};
    while (pose.number < last) {
        const auto before = pose.number;
        std::size_t read = 0;
        CHECK_IS(eshm_read_ex(slave.get(), &pose, sizeof pose, &read, 10000), ESHM_SUCCESS);
        CHECK_IS(read, sizeof pose);
        // Each value is newer than the one before, and whole.
        CHECK(pose.number > before);
        const auto part = static_cast<double>(pose.number);
        CHECK(pose.x == part && pose.y == 2 * part && pose.z == 3 * part);
    }
    writer.join();
}

void layout() {
    static_assert(sizeof(ESHMData) == 8576 && alignof(ESHMData) == 64);
    static_assert(std::is_standard_layout_v<ESHMData> && std::is_trivially_copyable_v<ESHMConfig>);
    CHECK_IS(ESHM_TIMEOUT_INFINITE, 0xFFFFFFFFu);
}

} // namespace

int main() {
    static const Case cases[] = {
        {"a conversation in strings", conversation},
        {"failures are codes", failures},
        {"a fast writer: every read is whole and newer", telemetry},
        {"the types are what C++ takes them for", layout},
    };
    return RUN_CASES("old-cpp", cases);
}
