#include <gtest/gtest.h>

#include "eshm/eshm.hpp"

namespace {

using eshm::MonitorPolicy;
using eshm::MonitorSettings;

/// The tests of the core check the effect on the thread.
TEST(Monitor, CanBeScheduled) {
    MonitorSettings settings;
    settings.cpus = {0};
    eshm::configure_monitor(settings);
    eshm::configure_monitor({});
}

TEST(Monitor, InvalidSettingsAreRejected) {
    const auto refused = [](const MonitorSettings& settings) {
        const auto done = eshm::try_configure_monitor(settings);
        return !done && done.error().code() == eshm::Errc::invalid;
    };
    EXPECT_TRUE(refused({MonitorPolicy::normal, 1, {}}));
    EXPECT_TRUE(refused({MonitorPolicy::fifo, 0, {}}));
    EXPECT_TRUE(refused({MonitorPolicy::round_robin, 100, {}}));
    EXPECT_TRUE(refused({static_cast<MonitorPolicy>(7), 1, {}}));
    EXPECT_TRUE(refused({MonitorPolicy::normal, 0, {1024}}));
}

} // namespace
