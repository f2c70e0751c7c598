// Observers see both endpoints. core/tests/observer.rs tests that they cannot write.
#include "support.hpp"

#include <string>
#include <type_traits>
#include <unistd.h>

namespace {

using eshm::Errc;
using eshm::Observer;
using eshm::PeerState;
using support::thrown;

static_assert(!std::is_copy_constructible_v<Observer> && std::is_nothrow_move_constructible_v<Observer>);

TEST(Observers, SeeBothEndpointsAndTheQueues) {
    support::Pair pair;
    Observer observer{pair.name};
    EXPECT_EQ(observer.name(), pair.name);
    EXPECT_EQ(observer.data_size(), pair.master.data_size());
    EXPECT_EQ(observer.max_message(), pair.master.max_message());
    pair.master.send("one");
    pair.master.send(std::string(500, 'x'));
    pair.master.write("value");
    auto view = observer.look();
    EXPECT_EQ(view.master.state, PeerState::alive);
    EXPECT_EQ(view.slave.state, PeerState::alive);
    EXPECT_EQ(view.master.pid, getpid());
    EXPECT_FALSE(view.master.is_legacy);
    EXPECT_EQ(view.master_to_slave.waiting, 2U);
    EXPECT_GT(view.master_to_slave.slots, 2U);
    (void)pair.master.stats(); // reads the depth of the queue, as a heartbeat does
    EXPECT_EQ(observer.look().master_to_slave.high_water, 2U);
    EXPECT_EQ(view.master_to_slave.written, 1U);
    EXPECT_EQ(view.slave_to_master.waiting, 0U);
    EXPECT_TRUE(observer.is_current());
    pair.slave.close();
    EXPECT_EQ(observer.look().slave.state, PeerState::closed);
    pair.master.close();
    EXPECT_FALSE(observer.is_current());
}

TEST(Observers, DoNotWaitForASegment) {
    EXPECT_EQ(thrown([] { Observer{"observer-of-nothing"}; }), Errc::not_found);
    EXPECT_EQ(thrown([] { Observer{"a/b"}; }), Errc::invalid);
}

TEST(Observers, AreClosedOnceMovedFrom) {
    support::Pair pair;
    Observer observer{pair.name};
    Observer moved = std::move(observer);
    EXPECT_EQ(moved.look().master.state, PeerState::alive);
    EXPECT_EQ(thrown([&] { (void)observer.look(); }), Errc::closed); // NOLINT: tests the use after a move
    EXPECT_TRUE(observer.name().empty());
}

} // namespace
