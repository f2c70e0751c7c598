// Queries from other threads, and after the endpoint is gone.
#include "support.hpp"

#include <atomic>
#include <optional>
#include <thread>
#include <type_traits>

namespace {

using eshm::Errc;
using eshm::Inspector;
using support::Pair;
using support::thrown;

static_assert(std::is_copy_constructible_v<Inspector> && std::is_nothrow_move_constructible_v<Inspector>);

TEST(Inspectors, AnswerAsTheEndpointDoes) {
    eshm::Options options;
    options.stale_threshold = support::long_wait; // on a busy machine the peer may pause
    Pair pair{options};
    pair.master.wait_for_peer(support::long_wait);
    const Inspector inspector = pair.master.inspector();
    EXPECT_EQ(inspector.name(), pair.name);
    EXPECT_EQ(inspector.role(), eshm::Role::master);
    EXPECT_EQ(inspector.data_size(), pair.master.data_size());
    EXPECT_EQ(inspector.max_message(), pair.master.max_message());
    EXPECT_EQ(inspector.peer_state(), eshm::PeerState::alive);
    EXPECT_EQ(inspector.generation(), pair.master.generation());
    EXPECT_FALSE(inspector.peer_is_legacy());
    EXPECT_EQ(inspector.stats().master_pid, getpid());
    EXPECT_TRUE(inspector.try_wait_for_peer(support::long_wait));
    inspector.update_heartbeat();
}

TEST(Inspectors, AnswerWhileTheEndpointIsInUse) {
    Pair pair;
    std::atomic<bool> done{false};
    std::thread asker{[&done, inspector = pair.master.inspector()] {
        const Inspector copy = inspector;
        while (!done) {
            EXPECT_TRUE(copy.stats().master_alive);
            (void)inspector.peer_state();
            EXPECT_EQ(copy.max_message(), inspector.max_message());
        }
    }};
    for (int i = 0; i < 10'000; ++i) {
        pair.master.send("to and");
        pair.slave.send(pair.slave.recv().bytes());
        EXPECT_EQ(pair.master.recv().size(), 6U);
    }
    done = true;
    asker.join();
}

TEST(Inspectors, OutliveTheEndpointAndDoNotKeepItOpen) {
    std::optional<Pair> pair{std::in_place};
    const auto name = pair->name;
    auto inspector = pair->master.inspector();
    pair.reset();
    EXPECT_FALSE(support::segment_exists(name));
    EXPECT_EQ(inspector.name(), name);
    EXPECT_EQ(inspector.role(), eshm::Role::master);
    EXPECT_EQ(thrown([&] { (void)inspector.stats(); }), Errc::closed);
    EXPECT_EQ(inspector.try_update_heartbeat().error().code(), Errc::closed);
    EXPECT_EQ(inspector.try_wait_for_peer(support::long_wait).error().code(), Errc::closed);

    const Inspector moved = std::move(inspector);
    EXPECT_EQ(moved.name(), name);
    EXPECT_EQ(inspector.name(), "");
    EXPECT_EQ(thrown([&] { (void)inspector.role(); }), Errc::closed);
    EXPECT_EQ(inspector.try_stats().error().code(), Errc::closed);
}

TEST(Inspectors, AreNotMadeByAClosedEndpoint) {
    Pair pair;
    pair.master.close();
    EXPECT_EQ(pair.master.name(), pair.name);
    EXPECT_EQ(thrown([&] { (void)pair.master.inspector(); }), Errc::closed);
    EXPECT_EQ(thrown([&] { (void)pair.master.max_message(); }), Errc::closed);
}

} // namespace
