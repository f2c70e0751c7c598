// Endpoints: opening, closing, messages, values, waits.
#include "support.hpp"

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <type_traits>

namespace {

using eshm::Endpoint;
using eshm::Errc;
using eshm::Role;
using support::long_wait;
using support::Pair;
using support::segment_exists;
using support::thrown;
using support::unique_name;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<Endpoint> && !std::is_copy_assignable_v<Endpoint>);
static_assert(std::is_nothrow_move_constructible_v<Endpoint> && std::is_nothrow_move_assignable_v<Endpoint>);
static_assert(
    noexcept(std::declval<Endpoint&>().try_recv()) && noexcept(std::declval<Endpoint&>().try_send("")));

TEST(Opening, DestructionClosesAndRemovesTheSegment) {
    const auto name = unique_name();
    {
        const Endpoint master{name, Role::master};
        EXPECT_TRUE(segment_exists(name));
    }
    EXPECT_FALSE(segment_exists(name));
}

TEST(Opening, UnwindingCloses) {
    const auto name = unique_name();
    try {
        const Endpoint master{name, Role::master};
        throw std::runtime_error{"something else went wrong"};
    } catch (const std::runtime_error&) {
    }
    EXPECT_FALSE(segment_exists(name));
}

TEST(Opening, MovingKeepsTheSegmentAndClosesTheTarget) {
    const auto first = unique_name();
    const auto second = unique_name();
    Endpoint endpoint{first, Role::master};
    Endpoint moved = std::move(endpoint);
    EXPECT_FALSE(endpoint.is_open());
    EXPECT_EQ(endpoint.try_send("x").error().code(), Errc::closed);
    EXPECT_EQ(endpoint.name(), "");
    EXPECT_TRUE(segment_exists(first));

    moved = Endpoint{second, Role::master};
    EXPECT_FALSE(segment_exists(first));
    EXPECT_EQ(moved.name(), second);
}

TEST(Opening, EveryVerbFailsAfterTheClose) {
    Pair pair;
    pair.master.close();
    pair.master.close();
    EXPECT_FALSE(pair.master.is_open());
    EXPECT_FALSE(segment_exists(pair.name));
    EXPECT_EQ(thrown([&] { pair.master.send("x"); }), Errc::closed);
    EXPECT_EQ(thrown([&] { (void)pair.master.recv(); }), Errc::closed);
    EXPECT_EQ(thrown([&] { (void)pair.master.read(1ms); }), Errc::closed);
    EXPECT_EQ(thrown([&] { (void)pair.master.role(); }), Errc::closed);
    EXPECT_EQ(thrown([&] { (void)pair.slave.recv(); }), Errc::peer_closed);
    EXPECT_EQ(pair.slave.peer_state(), eshm::PeerState::closed);
}

TEST(Opening, AutomaticIsTheFreeRole) {
    const auto name = unique_name();
    Endpoint first{name};
    Endpoint second{name};
    EXPECT_EQ(first.role(), Role::master);
    EXPECT_EQ(second.role(), Role::slave);
    EXPECT_EQ(to_string(first.role()), "master");
}

TEST(Opening, ARoleIsTakenOnce) {
    const Pair pair;
    EXPECT_EQ(thrown([&] { Endpoint{pair.name, Role::slave}; }), Errc::seat_taken);
    const auto second = Endpoint::try_open(pair.name, Role::master);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Errc::seat_taken);
    EXPECT_NE(second.error().message().find(pair.name), std::string::npos) << second.error().message();
}

TEST(Opening, ASlaveWithoutASegmentFails) {
    eshm::Options options;
    options.role = Role::slave;
    options.connect_timeout = 0s;
    const auto name = unique_name();
    EXPECT_EQ(Endpoint::try_open(name, options).error().code(), Errc::not_found);
    EXPECT_FALSE(segment_exists(name));
}

TEST(Opening, InvalidNamesAndOptionsAreRejected) {
    using namespace std::string_literals;
    for (const auto& name : {""s, "a/b"s, ".."s, "a\0b"s, "\xFF"s, std::string(251, 'n')}) {
        EXPECT_EQ(Endpoint::try_open(name, Role::master).error().code(), Errc::invalid) << name;
    }

    const auto refused = [](auto change) {
        const auto name = unique_name();
        eshm::Options options;
        options.role = Role::master;
        change(options);
        const auto endpoint = Endpoint::try_open(name, options);
        EXPECT_FALSE(segment_exists(name));
        return !endpoint && endpoint.error().code() == Errc::invalid;
    };
    EXPECT_TRUE(refused([](auto& options) { options.data_size = 0; }));
    EXPECT_TRUE(refused([](auto& options) { options.data_size = (64 << 20) + 1; }));
    EXPECT_TRUE(refused([](auto& options) { options.queue_capacity = (std::size_t{64} << 30) + 1; }));
    EXPECT_TRUE(refused([](auto& options) { options.heartbeat_interval = 0ms; }));
    EXPECT_TRUE(refused([](auto& options) { options.reconnect_timeout = -1ms; }));
    EXPECT_TRUE(refused([](auto& options) { options.reconnect_timeout = 0ms; }));
    EXPECT_TRUE(refused([](auto& options) { options.reconnect_attempts = 0; }));
    EXPECT_TRUE(refused([](auto& options) { options.mode = 07777; }));
    EXPECT_TRUE(refused([](auto& options) { options.role = static_cast<Role>(7); }));
    EXPECT_TRUE(refused([](auto& options) { options.disconnect = static_cast<eshm::Disconnect>(7); }));
    EXPECT_TRUE(refused([](auto& options) { options.wait = static_cast<eshm::WaitStrategy>(7); }));
}

TEST(Opening, OptionsApplyToTheSegment) {
    eshm::Options options;
    options.data_size = 100;
    options.queue_capacity = 1000;
    options.mode = 0640;
    options.stale_threshold = 250ms;
    const Pair pair{options};
    EXPECT_EQ(pair.slave.data_size(), 100U);
    EXPECT_EQ(pair.slave.max_message(), 1000U);
    EXPECT_EQ(pair.master.stats().stale_threshold, 250ms);
    const auto status = std::filesystem::status("/dev/shm/eshm_" + pair.name);
    EXPECT_EQ(static_cast<unsigned>(status.permissions()), 0640U);
}

TEST(Opening, ModeByUmaskAppliesTheUmask) {
    eshm::Options options;
    options.role = Role::master;
    options.mode_by_umask = true;
    const mode_t before = umask(027);
    const auto name = unique_name();
    const Endpoint master{name, options};
    umask(before);
    const auto status = std::filesystem::status("/dev/shm/eshm_" + name);
    EXPECT_EQ(static_cast<unsigned>(status.permissions()), 0640U);
}

TEST(Opening, ReconnectLimitsMayBeAbsent) {
    eshm::Options options;
    options.reconnect_timeout = std::nullopt;
    options.reconnect_attempts = std::nullopt;
    options.steady_heartbeat = true;
    EXPECT_NO_THROW(Pair{options});
}

#if __cplusplus >= 202002L
TEST(Opening, OptionsHaveDesignatedInitializers) {
    const Endpoint master{unique_name(),
                          {.role = Role::master, .data_size = 64, .wait = eshm::WaitStrategy::park}};
    EXPECT_EQ(master.data_size(), 64U);
}
#endif

TEST(Messages, AnySizeArrivesWhole) {
    Pair pair;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{21}, std::size_t{56},
                                   std::size_t{57}, std::size_t{4097}, pair.master.max_message()}) {
        const auto bytes = support::pattern(size);
        pair.master.send(bytes, long_wait);
        const auto message = pair.slave.recv();
        EXPECT_EQ(message.size(), size);
        EXPECT_EQ(eshm::bytes_view{message.bytes()}, eshm::bytes_view{bytes});
        EXPECT_EQ(message.skipped(), 0U);
    }
}

TEST(Messages, AfterATooLongMessageOthersArrive) {
    Pair pair;
    EXPECT_EQ(thrown([&] { pair.master.write(support::pattern(pair.master.data_size() + 1)); }),
              Errc::too_large);
    const auto bytes = support::pattern(pair.master.max_message() + 1);
    EXPECT_EQ(thrown([&] { pair.master.send(bytes); }), Errc::too_large);
    EXPECT_EQ(pair.master.try_send(bytes).error().code(), Errc::too_large);
    pair.master.send("fits");
    EXPECT_EQ(pair.slave.recv().text(), "fits");
}

TEST(Messages, WithoutQueuesOneMessageIsInFlight) {
    eshm::Options options;
    options.queue_capacity = 0;
    Pair pair{options};
    EXPECT_EQ(pair.master.max_message(), pair.master.data_size());
    pair.master.send("first");
    EXPECT_EQ(pair.master.try_send("second").error().code(), Errc::full);
    {
        const auto message = pair.slave.recv();
        EXPECT_EQ(message.text(), "first");
        EXPECT_EQ(thrown([&] { (void)pair.slave.recv(0ms); }), Errc::invalid);
    }
    pair.master.send_many({"second"});
    EXPECT_EQ(pair.slave.recv_many(9, [](eshm::bytes_view bytes) { EXPECT_EQ(bytes, "second"); }), 1U);
    auto loan = pair.master.loan(1);
    loan.bytes()[0] = std::byte{'3'};
    loan.send();
    EXPECT_EQ(pair.slave.recv().text(), "3");
}

TEST(Messages, AreIndependentOfTheMailbox) {
    Pair pair;
    pair.master.send("message");
    pair.master.write("value");
    EXPECT_EQ(pair.slave.read().text(), "value");
    EXPECT_EQ(pair.slave.recv().text(), "message");
    EXPECT_FALSE(pair.slave.try_read());
    EXPECT_FALSE(pair.slave.try_recv());
}

TEST(Messages, TextIsSentNullTerminated) {
    Pair pair;
    pair.master.send(eshm::text::encode("Hello from master #0"));
    const auto message = pair.slave.recv(long_wait);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->size(), 21U);
    EXPECT_EQ(message->text(), "Hello from master #0");
}

TEST(Messages, TextIsACopyThatThePeerCannotChange) {
    Pair pair;
    pair.master.send("first");
    const auto message = pair.slave.recv();
    const auto text = message.text();
    // A hostile peer can write to any byte of the segment.
    std::fstream file{"/dev/shm/eshm_" + pair.name, std::ios::in | std::ios::out | std::ios::binary};
    const std::string content{std::istreambuf_iterator<char>{file}, {}};
    const auto at = content.find("first");
    ASSERT_NE(at, std::string::npos);
    file.clear();
    file.seekp(static_cast<std::streamoff>(at)).write("\xFF\xFE!!!", 5).flush();
    EXPECT_EQ(std::memcmp(message.bytes().data(), "\xFF\xFE!!!", 5), 0);
    EXPECT_EQ(text, "first");
    EXPECT_FALSE(message.try_text());
}

TEST(Messages, InvalidTextIsAnError) {
    Pair pair;
    pair.master.send("\xFF\xFE");
    const auto message = pair.slave.recv();
    EXPECT_EQ(thrown([&] { (void)message.text(); }), Errc::invalid);
    EXPECT_FALSE(message.try_text());
}

TEST(Waiting, EveryFormReportsThatNothingCame) {
    Pair pair;
    EXPECT_FALSE(pair.slave.recv(0ms));
    EXPECT_FALSE(pair.slave.recv(1ms));
    EXPECT_FALSE(pair.slave.read(1ms));
    EXPECT_FALSE(pair.slave.recv(-1ms)) << "a moment that has passed is not waited for";
    EXPECT_EQ(pair.slave.try_recv().error().code(), Errc::no_data);
    EXPECT_EQ(pair.slave.try_read().error().code(), Errc::no_data);
    EXPECT_EQ(pair.slave.try_recv(1ms).error().code(), Errc::timeout);
}

TEST(Waiting, LastsAsLongAsGiven) {
    Pair pair;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(pair.slave.recv(std::chrono::duration<double>{0.02}));
    EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
}

TEST(Waiting, EveryStrategyReceives) {
    for (const auto strategy : {eshm::WaitStrategy::adaptive, eshm::WaitStrategy::spin,
                                eshm::WaitStrategy::spin_then_park, eshm::WaitStrategy::park}) {
        eshm::Options options;
        options.wait = strategy;
        Pair pair{options};
        std::thread peer{[&] { pair.slave.send(pair.slave.recv().bytes()); }};
        pair.master.send("there and back");
        EXPECT_EQ(pair.master.recv().text(), "there and back");
        peer.join();
    }
}

TEST(Waiting, NoTimeIsTooLong) {
    Pair pair;
    pair.master.send("there");
    EXPECT_TRUE(pair.slave.recv(std::chrono::hours::max())) << "saturates instead of overflowing";
    static_assert(eshm::Duration{std::chrono::hours::max()} == eshm::forever);
    static_assert(eshm::Duration{std::chrono::hours::min()}.count() == std::chrono::nanoseconds::min());
    static_assert(eshm::Duration{5ms}.count() == 5'000'000ns);
}

TEST(Waiting, AFullQueueFailsAndKeepsItsMessages) {
    Pair pair;
    ASSERT_TRUE(pair.master.try_send("first"));
    auto refused = pair.master.try_send("second");
    for (int sent = 1; refused; ++sent) { // until the queue is full
        ASSERT_LT(sent, 1'000'000);
        refused = pair.master.try_send("second");
    }
    EXPECT_EQ(refused.error().code(), Errc::full);
    EXPECT_EQ(thrown([&] { pair.master.send("third", 0ms); }), Errc::full);
    EXPECT_THROW(pair.master.send("third", 5ms), eshm::TimeoutError);
    EXPECT_EQ(pair.slave.recv().text(), "first");
    EXPECT_TRUE(pair.master.try_send("third"));
}

TEST(Waiting, ForAPeerEndsWhenItAttaches) {
    const auto name = unique_name();
    Endpoint master{name, Role::master};
    EXPECT_THROW(master.wait_for_peer(1ms), eshm::TimeoutError);
    EXPECT_EQ(master.peer_state(), eshm::PeerState::absent);
    const Endpoint slave{name, Role::slave};
    master.wait_for_peer(long_wait);
    EXPECT_EQ(master.peer_state(), eshm::PeerState::alive);
    EXPECT_FALSE(master.peer_is_legacy());
}

TEST(Mailbox, KeepsTheLatestValueAndCountsSkippedOnes) {
    Pair pair;
    pair.master.write("1");
    EXPECT_EQ(pair.slave.read().text(), "1") << "the first value is not lost";
    for (const auto* value : {"2", "3", "4"}) {
        pair.master.write(value);
    }
    const auto latest = pair.slave.read(long_wait);
    ASSERT_TRUE(latest);
    EXPECT_EQ(latest->text(), "4");
    EXPECT_EQ(latest->skipped(), 2U);
    EXPECT_EQ(pair.slave.stats().skipped, 2U);
    EXPECT_FALSE(pair.slave.try_read()) << "never the same value twice";
}

TEST(Mailbox, ValuesOwnTheirBytes) {
    Pair pair;
    for (const std::size_t size : {5U, 64U, 65U, 4096U}) {
        const auto bytes = support::pattern(size);
        pair.master.write(bytes);
        auto first = pair.slave.read();
        pair.master.write("another");
        const auto second = pair.slave.read();
        EXPECT_EQ(eshm::bytes_view{first.bytes()}, eshm::bytes_view{bytes});
        const auto moved = std::move(first);
        EXPECT_EQ(eshm::bytes_view{moved.bytes()}, eshm::bytes_view{bytes});
        EXPECT_EQ(first.size(), 0U);
        EXPECT_EQ(first.text(), "");
        EXPECT_EQ(moved.generation(), second.generation());
    }
}

TEST(Generations, ChangeWhenThePeerRestarts) {
    Pair pair;
    pair.master.wait_for_peer(long_wait);
    const auto before = pair.master.generation();
    pair.slave.close();
    pair.slave = Endpoint{pair.name, Role::slave};
    pair.slave.send("again");
    const auto message = pair.master.recv();
    EXPECT_GT(message.generation(), before);
    EXPECT_GT(pair.master.generation(), before);
}

TEST(Fork, CallsFailInTheChildAndTheParentContinues) {
    Pair pair;
    pair.slave.send_many({"lent", "next"});
    auto message = pair.master.recv();
    auto loan = pair.master.loan(4);
    const pid_t child = fork();
    if (child == 0) {
        const bool refused_while_lent = pair.master.try_recv().error().code() == Errc::forked;
        message.release(); // the message belongs to the parent
        const bool refused = refused_while_lent && loan.try_send().error().code() == Errc::forked &&
                             pair.master.try_send("from the child").error().code() == Errc::forked &&
                             pair.master.try_recv().error().code() == Errc::forked;
        pair.master.close(); // the segment belongs to the parent
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_TRUE(segment_exists(pair.name));
    EXPECT_EQ(message.text(), "lent");
    message.release();
    EXPECT_EQ(pair.master.recv().text(), "next");
    std::memcpy(loan.bytes().data(), "loan", 4);
    loan.send();
    EXPECT_EQ(pair.slave.recv().text(), "loan");
}

} // namespace
