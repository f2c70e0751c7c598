// Event descriptors and wait sets.
#include "support.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <set>
#include <thread>

namespace {

using namespace support;
using eshm::Interest;

bool is_readable(int descriptor, std::chrono::milliseconds wait = 0ms) {
    pollfd one{descriptor, POLLIN, 0};
    return poll(&one, 1, static_cast<int>(wait.count())) == 1;
}

/// Calls `verb`, which finds nothing, until the descriptor is not readable.
template <class Verb>
void quiet(int descriptor, Verb verb) {
    const auto until = std::chrono::steady_clock::now() + long_wait;
    do {
        ASSERT_LT(std::chrono::steady_clock::now(), until) << "the descriptor stays readable";
        verb();
    } while (is_readable(descriptor));
}

auto no_message(eshm::Endpoint& endpoint) {
    return [&endpoint] { EXPECT_EQ(endpoint.try_recv().error().code(), eshm::Errc::no_data); };
}

TEST(Events, IsReadableWhileThereIsSomethingToTake) {
    Pair pair;
    const eshm::Events events = pair.slave.events(Interest::readable | Interest::value);
    const int descriptor = events.native_handle();
    EXPECT_TRUE(is_readable(descriptor));
    EXPECT_EQ(pair.slave.native_handle(Interest::readable), descriptor);
    quiet(descriptor, no_message(pair.slave));
    pair.master.send("one");
    pair.master.send("two");
    EXPECT_TRUE(is_readable(descriptor, long_wait));
    EXPECT_EQ(pair.slave.recv().text(), "one");
    EXPECT_TRUE(is_readable(descriptor));
    EXPECT_EQ(pair.slave.recv().text(), "two");
    quiet(descriptor, no_message(pair.slave));
    EXPECT_EQ(pair.slave.native_handle(Interest::value), descriptor);
    quiet(descriptor, [&] { EXPECT_FALSE(pair.slave.try_read()); });
    pair.master.write("value");
    EXPECT_TRUE(is_readable(descriptor, long_wait));
    EXPECT_EQ(pair.slave.read().text(), "value");
}

TEST(Events, IsReadableWhenThereIsRoomAgain) {
    eshm::Options options;
    options.queue_capacity = 4096;
    Pair pair{options};
    const int descriptor = pair.slave.native_handle(Interest::writable);
    const std::string bytes(600, 'x');
    while (pair.slave.try_send(bytes)) {
    }
    quiet(descriptor, [&] { EXPECT_EQ(pair.slave.try_send(bytes).error().code(), eshm::Errc::full); });
    pair.master.recv().release();
    EXPECT_TRUE(is_readable(descriptor, long_wait));
    EXPECT_TRUE(pair.slave.try_send(bytes));
}

TEST(Events, IsReadableUntilAChangeOfThePeerIsNoticed) {
    Pair pair;
    const eshm::Events events = pair.slave.events(Interest::peer);
    const int descriptor = events.native_handle();
    pair.slave.wait_for_peer(long_wait);
    quiet(descriptor, [&] { static_cast<void>(events.peer_state()); });
    EXPECT_EQ(events.peer_state(), eshm::PeerState::alive);
    pair.master.close();
    EXPECT_TRUE(is_readable(descriptor, long_wait));
    quiet(descriptor, [&] { EXPECT_EQ(events.peer_state(), eshm::PeerState::closed); });
}

TEST(Events, OutliveTheEndpointAndSayWhy) {
    Pair pair;
    const eshm::Events events = pair.slave.events(Interest::readable);
    quiet(events.native_handle(), no_message(pair.slave));
    pair.slave.stop();
    EXPECT_TRUE(is_readable(events.native_handle(), long_wait));
    EXPECT_EQ(pair.slave.try_recv().error().code(), eshm::Errc::closed);
    pair.slave.close();
    EXPECT_TRUE(is_readable(events.native_handle()));
    EXPECT_EQ(thrown([&] { static_cast<void>(pair.slave.events(Interest::readable)); }), eshm::Errc::closed);
    EXPECT_EQ(pair.master.try_events(Interest{}).error().code(), eshm::Errc::invalid);
    EXPECT_EQ(pair.master.try_events(Interest{16}).error().code(), eshm::Errc::invalid);
    eshm::Events moved = pair.master.events(Interest::readable);
    const eshm::Events target = std::move(moved);
    EXPECT_EQ(thrown([&] { static_cast<void>(moved.native_handle()); }), eshm::Errc::closed);
}

TEST(WaitSet, ReturnsTheTokensOfWhatIsReady) {
    Pair pair;
    eshm::WaitSet set;
    EXPECT_TRUE(set.wait(1ms).empty());
    set.add(pair.slave.events(Interest::readable), 0);
    set.add(pair.master.events(Interest::readable), ~std::uint64_t{0});
    const auto is_idle = [&] { return !is_readable(set.native_handle()); };
    quiet(set.native_handle(), [&] {
        no_message(pair.slave)();
        no_message(pair.master)();
    });
    EXPECT_TRUE(is_idle());
    pair.master.send("one");
    const eshm::ReadyTokens first = set.wait(long_wait);
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first[0], 0U);
    pair.slave.send("two");
    std::set<std::uint64_t> seen;
    while (seen.size() < 2) {
        for (const std::uint64_t token : set.wait()) {
            seen.insert(token);
        }
    }
    EXPECT_EQ(seen, (std::set<std::uint64_t>{0, ~std::uint64_t{0}}));
    set.remove(0);
    pair.master.recv().release();
    quiet(set.native_handle(), no_message(pair.master));
    EXPECT_EQ(pair.slave.recv().text(), "one");
}

TEST(WaitSet, TakesOtherDescriptorsAndSets) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    eshm::WaitSet inner;
    inner.add(ends[0], 5);
    eshm::WaitSet outer;
    outer.add(inner.native_handle(), 6);
    std::thread writer{[&] { EXPECT_EQ(write(ends[1], "x", 1), 1); }};
    EXPECT_EQ(outer.wait()[0], 6U);
    EXPECT_EQ(inner.wait()[0], 5U);
    writer.join();
    // The number of a closed descriptor may become another file's.
    close(ends[0]);
    EXPECT_EQ(open("/dev/null", O_RDONLY | O_CLOEXEC), ends[0]);
    EXPECT_EQ(inner.wait()[0], 5U);
    inner.remove(5);
    EXPECT_TRUE(inner.wait(0ms).empty());
    close(ends[0]);
    close(ends[1]);
}

TEST(WaitSet, RefusesWhatCannotBeWaitedFor) {
    Pair pair;
    eshm::WaitSet set;
    const eshm::Events events = pair.slave.events(Interest::readable);
    set.add(events, 1);
    const auto refused = [](const eshm::Result<void>& result, const char* text) {
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code(), eshm::Errc::invalid);
        EXPECT_NE(result.error().message().find(text), std::string::npos) << result.error().message();
    };
    refused(set.try_add(events, 2), "has this endpoint already");
    refused(set.try_add(pair.master.events(Interest::readable), 1), "the token 1 is in use");
    refused(set.try_add(-1, 3), "the descriptor is -1");
    refused(set.try_add(1'000'000, 3), "is not open");
    const int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    refused(set.try_add(file, 3), "cannot be waited for");
    close(file);
    refused(set.try_remove(3), "has no token 3");
    const eshm::WaitSet target = std::move(set);
    EXPECT_EQ(thrown([&] { set.remove(1); }), eshm::Errc::closed);
    EXPECT_EQ(thrown([&] { static_cast<void>(set.native_handle()); }), eshm::Errc::closed);
    EXPECT_FALSE(set.try_wait());
}

TEST(WaitSet, NamesTheLimitOfDescriptors) {
    Pair pair;
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 3;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto events = pair.slave.try_events(Interest::readable);
    const auto set = eshm::WaitSet::try_make();
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (const eshm::Failure& failure : {events.error(), set.error()}) {
        EXPECT_EQ(failure.code(), eshm::Errc::attach);
        EXPECT_NE(failure.message().find("ulimit -n"), std::string::npos) << failure.message();
    }
    pair.master.send("it works without");
    EXPECT_EQ(pair.slave.recv().text(), "it works without");
}

TEST(WaitSet, IsTheParentsInAForkedChild) {
    Pair pair;
    eshm::WaitSet set;
    const eshm::Events events = pair.slave.events(Interest::readable);
    set.add(events, 1);
    quiet(set.native_handle(), no_message(pair.slave));
    const pid_t child = fork();
    if (child == 0) {
        bool right = is_readable(events.native_handle());
        right = right && pair.slave.try_events(Interest::readable).error().code() == eshm::Errc::forked;
        right = right && set.try_wait().error().code() == eshm::Errc::forked;
        right = right && set.try_remove(1).error().code() == eshm::Errc::forked;
        _exit(right ? 0 : 1);
    }
    int status = 1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    pair.master.send("one");
    EXPECT_EQ(set.wait(long_wait)[0], 1U);
}

} // namespace
