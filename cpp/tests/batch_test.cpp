// Sending and receiving many messages with one call.
#include "support.hpp"

#include <array>
#include <list>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace {

using eshm::bytes_view;
using eshm::Errc;
using support::Pair;
using support::thrown;
using namespace std::chrono_literals;

using Texts = std::vector<std::string>;

/// Returns up to `most` messages that have arrived.
Texts received(eshm::Endpoint& endpoint, std::size_t most = 1'000) {
    Texts texts;
    endpoint.recv_many(
        most, [&](bytes_view bytes) { texts.emplace_back(bytes.chars()); }, 0ms);
    return texts;
}

Texts numbers(std::size_t count) {
    Texts texts;
    for (std::size_t i = 0; i < count; ++i) {
        texts.push_back(std::to_string(i));
    }
    return texts;
}

/// The number of messages of a batch that were sent, and why the next one was not.
using Stop = std::pair<std::size_t, Errc>;

Stop stopped(const eshm::BatchResult& batch) { return {batch.sent(), batch.error().code()}; }

/// Returns the contents of the eshm::BatchError that `call` throws.
template <class Call>
Stop thrown_by(Call call) {
    try {
        call();
    } catch (const eshm::BatchError& error) {
        return {error.sent(), error.code()};
    }
    ADD_FAILURE() << "no eshm::BatchError was thrown";
    return {};
}

TEST(Batch, AcceptsAnyRangeOfMessages) {
    Pair pair;
    pair.master.send_many({"a", std::string{"b"}, std::string_view{"c"}});
    pair.master.send_many(std::list<const char*>{"d", "e"});
    pair.master.send_many(std::vector<bytes_view>{"f", "g"});
    const std::array<unsigned char, 2> records[] = {{{'h', 'i'}}, {{'j', 'k'}}};
    pair.master.send_many(records);
    pair.master.send_many(Texts{});
    pair.master.send_many(std::vector<bytes_view>{});
    EXPECT_EQ(received(pair.slave), (Texts{"a", "b", "c", "d", "e", "f", "g", "hi", "jk"}));
}

TEST(Batch, KeepsTheOrder) {
    Pair pair;
    const auto texts = numbers(1'000);
    pair.master.send_many(texts);
    EXPECT_EQ(received(pair.slave), texts);
    EXPECT_FALSE(pair.slave.try_recv());
}

TEST(Batch, LongerThanTheQueueWaitsForSpace) {
    Pair pair;
    const auto texts = numbers(50'000);
    std::thread sender{[&] { pair.master.send_many(texts); }};
    Texts all;
    while (all.size() < texts.size()) {
        ASSERT_GT(pair.slave.recv_many(
                      100, [&](bytes_view bytes) { all.emplace_back(bytes.chars()); }, support::long_wait),
                  0U);
    }
    sender.join();
    EXPECT_EQ(all, texts);
}

TEST(Batch, StopsWhenTheQueueIsFull) {
    Pair pair;
    const auto texts = numbers(100'000);
    const auto batch = pair.master.try_send_many(texts);
    ASSERT_FALSE(batch);
    EXPECT_EQ(batch.error().code(), Errc::full);
    const auto room = batch.sent();
    EXPECT_GT(room, 0U);
    EXPECT_LT(room, texts.size());
    EXPECT_EQ(stopped(pair.master.try_send_many(texts)), (Stop{0, Errc::full}));
    EXPECT_EQ(stopped(pair.master.try_send_many(texts, 1ms)), (Stop{0, Errc::timeout}));
    EXPECT_EQ(thrown_by([&] { pair.master.send_many(texts, 0ms); }), (Stop{0, Errc::full}));
    EXPECT_TRUE(pair.master.try_send_many(Texts{})) << "for nothing there is always room";

    EXPECT_EQ(received(pair.slave, 10).size(), 10U);
    EXPECT_EQ(thrown_by([&] { pair.master.send_many(texts, 1ms); }), (Stop{10, Errc::timeout}));
    EXPECT_EQ(received(pair.slave, texts.size()).size(), room);
}

// The batch is longer than the array in which the facade collects messages.
TEST(Batch, HasOneDeadlineForAllMessages) {
    Pair pair;
    const auto room = pair.master.try_send_many(numbers(100'000)).sent();
    received(pair.slave, 200);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(stopped(pair.master.try_send_many(numbers(room), 50ms)), (Stop{200, Errc::timeout}));
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GE(took, 50ms);
    EXPECT_LT(took, support::long_wait);
}

TEST(Batch, FailsWithATimeoutWhenTheTimeIsOver) {
    Pair pair;
    EXPECT_FALSE(pair.master.try_send_many(numbers(100'000)));
    received(pair.slave, 64);
    // The shortest time: it is over when the facade fills its array for the second time.
    EXPECT_EQ(stopped(pair.master.try_send_many(numbers(100), std::chrono::nanoseconds{1})),
              (Stop{64, Errc::timeout}));
}

TEST(Batch, StopsAtAMessageThatIsTooLarge) {
    Pair pair;
    const std::string too_long(pair.master.max_message() + 1, 'x');
    EXPECT_EQ(thrown_by([&] { pair.master.send_many({"a", too_long, "b"}); }), (Stop{1, Errc::too_large}));
    EXPECT_EQ(received(pair.slave), Texts{"a"}) << "those before it were sent";
    EXPECT_EQ(stopped(pair.master.try_send_many({"a", too_long})), (Stop{1, Errc::too_large}));
    EXPECT_EQ(stopped(pair.master.try_send_many({too_long})), (Stop{0, Errc::too_large}));
}

TEST(Batch, OfASlaveWithoutAMasterIsNotSent) {
    Pair pair;
    pair.master.close();
    while (pair.slave.peer_state() != eshm::PeerState::closed) {
        std::this_thread::yield();
    }
    EXPECT_EQ(stopped(pair.slave.try_send_many({"a"})), (Stop{0, Errc::reconnecting}));
    EXPECT_EQ(stopped(pair.slave.try_send_many({"a"}, 1ms)), (Stop{0, Errc::timeout}));
}

TEST(Batch, IsReceivedUpToTheGivenNumber) {
    Pair pair;
    pair.master.send_many(numbers(5));
    EXPECT_EQ(received(pair.slave, 0), Texts{});
    EXPECT_EQ(received(pair.slave, 3), (Texts{"0", "1", "2"}));
    EXPECT_EQ(pair.slave.try_recv_many(9, [](bytes_view) {}).value(), 2U);
    EXPECT_EQ(pair.slave.recv_many(
                  9, [](bytes_view) {}, 1ms),
              0U);
    EXPECT_EQ(pair.slave.try_recv_many(9, [](bytes_view) {}).error().code(), Errc::no_data);
    EXPECT_EQ(pair.slave
                  .try_recv_many(
                      9, [](bytes_view) {}, 1ms)
                  .error()
                  .code(),
              Errc::timeout);
    pair.master.close();
    EXPECT_EQ(thrown([&] { pair.slave.recv_many(9, [](bytes_view) {}); }), Errc::peer_closed);
}

TEST(Batch, IsReleasedAtOnce) {
    Pair pair;
    const auto sent = pair.master.try_send_many(numbers(100'000)).sent();
    pair.slave.recv_many(
        2, [&](bytes_view) { EXPECT_EQ(pair.master.try_send("too many").error().code(), Errc::full); });
    EXPECT_EQ(pair.master.try_send_many(numbers(sent)).sent(), 2U);
}

TEST(Batch, AnExceptionOfTheFunctionIsThrownAndNoMessageIsLost) {
    Pair pair;
    pair.master.send_many(numbers(5));
    Texts seen;
    const auto broken = [&](bytes_view bytes) {
        seen.emplace_back(bytes.chars());
        if (seen.size() == 3) {
            throw std::out_of_range{"three is enough"};
        }
    };
    EXPECT_THROW(pair.slave.recv_many(9, broken), std::out_of_range);
    EXPECT_EQ(seen, numbers(3));
    seen.clear();
    EXPECT_THROW((void)pair.slave.try_recv_many(9, broken), std::out_of_range);
    EXPECT_EQ(received(pair.slave), numbers(5));
}

TEST(Batch, TheFunctionMayUseTheEndpointButNotReceive) {
    Pair pair;
    pair.master.send_many({"a", "b"});
    pair.slave.recv_many(9, [&](bytes_view bytes) {
        EXPECT_EQ(pair.slave.try_recv().error().code(), Errc::invalid);
        EXPECT_EQ(pair.slave.try_recv_many(1, [](auto) {}).error().code(), Errc::invalid);
        pair.slave.send(bytes);
    });
    EXPECT_EQ(received(pair.master), (Texts{"a", "b"}));

    pair.master.send_many({"c", "d"});
    std::size_t calls = 0;
    EXPECT_EQ(pair.slave.recv_many(9,
                                   [&](bytes_view bytes) {
                                       pair.slave.close();
                                       EXPECT_EQ(bytes.size(), 1U);
                                       ++calls;
                                   }),
              2U);
    EXPECT_EQ(calls, 2U);
    EXPECT_EQ(pair.slave.try_recv().error().code(), Errc::closed);
}

} // namespace
