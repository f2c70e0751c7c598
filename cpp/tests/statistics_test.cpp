// Statistics and heartbeats.
#include "support.hpp"

#include <sstream>
#include <string>
#include <thread>

namespace {

using eshm::Endpoint;
using eshm::Errc;
using eshm::Role;
using support::long_wait;
using support::Pair;
using support::thrown;
using support::unique_name;
using namespace std::chrono_literals;

TEST(Statistics, CountValuesAndTimeouts) {
    Pair pair;
    pair.master.write("one");
    (void)pair.slave.read();
    EXPECT_FALSE(pair.slave.read(1ms));
    const auto stats = pair.slave.stats();
    EXPECT_EQ(stats.m2s_write_count, 1U);
    EXPECT_EQ(stats.m2s_read_count, 1U);
    EXPECT_EQ(stats.s2m_write_count, 0U);
    EXPECT_EQ(stats.timeouts, 1U);
    EXPECT_EQ(stats.master_pid, getpid());
    EXPECT_TRUE(stats.master_alive && stats.slave_alive);
}

TEST(Statistics, CountMessages) {
    Pair pair;
    for (int i = 0; i < 5; ++i) {
        pair.master.send(std::string(100, 'x'));
    }
    EXPECT_EQ(pair.slave.recv().size(), 100U);
    const auto sent = pair.master.stats();
    EXPECT_EQ(sent.messages_sent, 5U);
    EXPECT_EQ(sent.bytes_sent, 500U);
    EXPECT_EQ(sent.unreceived, 4U);
    EXPECT_EQ(sent.m2s_queue_depth, 4U);
    EXPECT_GE(sent.m2s_queue_high_water, 4U);
    EXPECT_EQ(sent.s2m_queue_depth, 0U);
    EXPECT_EQ(sent.s2m_queue_high_water, 0U);
    EXPECT_EQ(sent.room_waits, 0U);
    EXPECT_EQ(sent.stalls, 0U);
    const auto received = pair.slave.stats();
    EXPECT_EQ(received.messages_received, 1U);
    EXPECT_EQ(received.bytes_received, 100U);
    EXPECT_EQ(received.messages_sent, 0U);
    while (pair.master.try_send("x")) {
    }
    EXPECT_EQ(pair.master.try_send("x", 3ms).error().code(), Errc::timeout);
    const auto full = pair.master.stats();
    EXPECT_EQ(full.room_waits, 1U);
    EXPECT_GE(full.room_wait_time, 2ms);
    EXPECT_LT(full.room_wait_time, long_wait);
}

TEST(Statistics, ArePrintedWithTheirNames) {
    Pair pair;
    pair.master.wait_for_peer(long_wait);
    pair.master.send("four");
    std::ostringstream out;
    out << pair.master.role() << ' ' << pair.master.peer_state() << ' ' << pair.master.stats();
    const std::string text = out.str();
    EXPECT_EQ(text.find("master alive master_heartbeat="), 0U) << text;
    for (const char* part : {" stale_threshold=100ms ", " slave_alive=true ", " bytes_sent=4 ",
                             " messages_sent=1 ", " room_wait_time=0ns unreceived=1"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
    }
}

// Without the option, an endpoint keeps a fifth of the rate.
TEST(Heartbeats, KeepTheirRateIfSteady) {
    eshm::Options options;
    options.steady_heartbeat = true;
    const Pair pair{options};
    std::this_thread::sleep_for(200ms); // others have slowed down by then
    const auto start = std::chrono::steady_clock::now();
    for (bool steady = false; !steady;) {
        const auto window = std::chrono::steady_clock::now();
        ASSERT_LT(window - start, long_wait);
        const auto before = pair.master.stats().master_heartbeat;
        std::this_thread::sleep_for(200ms);
        const std::uint64_t beats = pair.master.stats().master_heartbeat - before;
        const auto elapsed = std::chrono::steady_clock::now() - window;
        steady = beats * 3ms > elapsed;
    }
}

TEST(Heartbeats, BeatOnCallWithoutTheBackgroundThread) {
    eshm::Options options;
    options.background = false;
    Pair pair{options};
    const auto before = pair.master.stats().master_heartbeat;
    pair.master.update_heartbeat();
    EXPECT_TRUE(pair.master.try_update_heartbeat());
    EXPECT_EQ(pair.master.stats().master_heartbeat, before + 2);
    pair.master.close();
    EXPECT_EQ(thrown([&] { pair.master.update_heartbeat(); }), Errc::closed);
}

} // namespace
