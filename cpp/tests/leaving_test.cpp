// Messages and endpoints after one end leaves, or after another segment takes its name.
#include "support.hpp"

#include <filesystem>

namespace {

using eshm::Endpoint;
using eshm::Errc;
using eshm::Role;
using support::long_wait;
using support::Pair;
using support::thrown;
using support::unique_name;
using namespace std::chrono_literals;

TEST(Closing, CountsMessagesThatWereNotReceived) {
    Pair pair;
    pair.master.send_many({"a", "b", "c"});
    EXPECT_EQ(pair.slave.recv().text(), "a");
    EXPECT_EQ(pair.master.unreceived(), 2U);
    const auto inspector = pair.master.inspector();
    EXPECT_EQ(pair.master.close(), 2U);
    EXPECT_EQ(pair.slave.recv().text(), "b");
    EXPECT_EQ(pair.master.close(), 2U) << "the same number again";
    EXPECT_EQ(pair.master.unreceived(), 2U);
    EXPECT_EQ(inspector.unreceived(), 2U);
    Endpoint moved = std::move(pair.slave);
    EXPECT_EQ(pair.slave.close(), 0U);
    EXPECT_EQ(thrown([&] { (void)pair.slave.unreceived(); }), Errc::closed);
}

TEST(Reconnection, ContinuesAfterTheLimit) {
    eshm::Options options;
    options.reconnect_timeout = 30ms;
    options.reconnect_interval = 5ms;
    Pair pair{options};
    pair.master.close();
    EXPECT_EQ(thrown([&] { (void)pair.slave.recv(); }), Errc::peer_closed);
    EXPECT_EQ(pair.slave.try_recv(120ms).error().code(), Errc::timeout);
    pair.master = Endpoint{pair.name, Role::master};
    pair.master.wait_for_peer(long_wait);
    pair.master.send("late");
    EXPECT_EQ(pair.slave.recv(long_wait)->text(), "late");
}

TEST(Reconnection, EndsAtTheLimitWithGiveUp) {
    eshm::Options options;
    options.reconnect_timeout = 30ms;
    options.give_up = true;
    Pair pair{options};
    pair.master.close();
    EXPECT_EQ(thrown([&] { (void)pair.slave.recv(long_wait); }), Errc::peer_closed);
}

TEST(Names, AMasterWhoseNameIsTakenIsDisplaced) {
    Pair pair;
    const auto other = unique_name();
    eshm::Options options;
    options.role = Role::master;
    // No background thread checks the name, so that the file can be moved.
    options.background = false;
    Endpoint second{other, options};
    std::filesystem::rename("/dev/shm/eshm_" + other, "/dev/shm/eshm_" + pair.name);
    const auto start = std::chrono::steady_clock::now();
    while (pair.master.try_write("")) {
        ASSERT_LT(std::chrono::steady_clock::now() - start, long_wait);
    }
    EXPECT_EQ(thrown([&] { pair.master.send("x"); }), Errc::displaced);
    std::filesystem::remove("/dev/shm/eshm_" + pair.name);
}

} // namespace
