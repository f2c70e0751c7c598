// No argument makes a call abort, hang or leave a file: each call succeeds, or fails with a number and a
// text.
#include "support.hpp"

#include <cstdint>
#include <limits>

namespace {

using eshm::Duration;
using eshm::Errc;
using std::chrono::hours;
using std::chrono::nanoseconds;
using namespace std::chrono_literals;

using Seconds = std::chrono::duration<double>;
const double infinity = std::numeric_limits<double>::infinity();
const std::vector<Duration> durations{0ns,
                                      1ns,
                                      -1ns,
                                      1ms,
                                      1h,
                                      1h + 1s,
                                      nanoseconds::max(),
                                      nanoseconds::min(),
                                      hours::max(),
                                      hours::min(),
                                      Seconds{infinity},
                                      Seconds{-infinity},
                                      Seconds{std::numeric_limits<double>::quiet_NaN()},
                                      Seconds{1e-300}};
// Without sizes that the library would allocate.
const std::vector<std::size_t> sizes{0,
                                     1,
                                     4096,
                                     (64U << 20U) + 1,
                                     (std::size_t{64} << 30U) + 1,
                                     std::numeric_limits<std::size_t>::max() / 2,
                                     std::numeric_limits<std::size_t>::max()};
const std::vector<std::uint32_t> numbers{0, 1, 0200, 0600, 0777, 01000, 0x7fffffff, 0xffffffff};

static_assert(Duration{Seconds{std::numeric_limits<double>::quiet_NaN()}}.count() == nanoseconds::min());
static_assert(Duration{Seconds{std::numeric_limits<double>::infinity()}} == eshm::forever);

/// Opens a master with these options and closes it. Returns whether it opened. A failure has a number and a
/// text.
bool opens(const eshm::Options& options) {
    const auto name = support::unique_name();
    bool opened = false;
    try {
        const eshm::Endpoint endpoint{name, options};
        opened = true;
    } catch (const eshm::Error& error) {
        EXPECT_LT(static_cast<int>(error.code()), 0);
        EXPECT_STRNE(error.what(), "");
    }
    EXPECT_FALSE(support::segment_exists(name));
    return opened;
}

/// Opens a master with each value of one option.
template <class Values, class Set>
void each(const Values& values, const char* what, Set set) {
    std::size_t opened = 0;
    for (const auto& value : values) {
        eshm::Options options;
        options.role = eshm::Role::master;
        set(options, value);
        opened += opens(options) ? 1U : 0U;
    }
    EXPECT_GT(opened, 0U) << what;
}

TEST(Extremes, OptionsAreAcceptedOrRejected) {
    each(durations, "connect_timeout", [](auto& options, auto value) { options.connect_timeout = value; });
    each(durations, "heartbeat", [](auto& options, auto value) { options.heartbeat_interval = value; });
    each(durations, "stale", [](auto& options, auto value) { options.stale_threshold = value; });
    each(durations, "reconnect_timeout",
         [](auto& options, auto value) { options.reconnect_timeout = value; });
    each(durations, "interval", [](auto& options, auto value) { options.reconnect_interval = value; });
    each(sizes, "data_size", [](auto& options, auto value) { options.data_size = value; });
    each(sizes, "queue_capacity", [](auto& options, auto value) { options.queue_capacity = value; });
    each(numbers, "attempts", [](auto& options, auto value) { options.reconnect_attempts = value; });
    each(numbers, "mode", [](auto& options, auto value) { options.mode = value; });
    each(numbers, "group", [](auto& options, auto value) { options.group = value; });
}

TEST(Extremes, EnumeratorsOutOfRangeAreRejected) {
    for (const int value : {-1, 3, 255, std::numeric_limits<int>::max()}) {
        eshm::Options options;
        options.role = static_cast<eshm::Role>(value);
        EXPECT_FALSE(opens(options)) << "role " << value;
    }
}

TEST(Extremes, InvalidNamesAreRejected) {
    const std::vector<std::string> names{"",
                                         "..",
                                         "a..b",
                                         "/",
                                         "a/b",
                                         std::string(1, '\0'),
                                         "\xff\xfe",
                                         std::string(251, 'n'),
                                         std::string(1U << 20U, 'n')};
    for (const auto& name : names) {
        EXPECT_EQ(support::thrown([&] { const eshm::Endpoint endpoint{name}; }), Errc::invalid);
        EXPECT_NE(support::thrown([&] { const eshm::Observer observer{name}; }), Errc{});
    }
}

// Each call has what it waits for, so that no time-out passes.
TEST(Extremes, AnyDurationIsAWait) {
    support::Pair pair;
    for (const auto wait : durations) {
        EXPECT_NO_THROW(pair.master.wait_for_peer(wait));
        EXPECT_NO_THROW(pair.master.send("message", wait));
        EXPECT_EQ(pair.slave.recv(wait).value().text(), "message");
        pair.master.write("value");
        EXPECT_EQ(pair.slave.read(wait).value().text(), "value");
        auto loan = pair.master.loan(4, wait);
        loan.send();
        EXPECT_EQ(pair.slave.recv(wait).value().size(), 4U);
    }
}

TEST(Extremes, AnyLengthFitsOrIsRejected) {
    support::Pair pair;
    for (const auto size : sizes) {
        const bool fits = size <= pair.master.max_message();
        const bool lent = static_cast<bool>(pair.master.try_loan(size));
        EXPECT_EQ(lent, fits) << size;
    }
}

} // namespace
