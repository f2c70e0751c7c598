// Many messages with one call.
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

/// What is there, up to `most` messages.
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

TEST(Batches, AreTakenFromAnyRange) {
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

TEST(Batches, KeepTheOrderHoweverMany) {
    Pair pair;
    const auto texts = numbers(1'000);
    pair.master.send_many(texts);
    EXPECT_EQ(received(pair.slave), texts);
    EXPECT_FALSE(pair.slave.try_recv());
}

TEST(Batches, LongerThanTheQueueWaitForRoom) {
    Pair pair;
    const auto texts = numbers(50'000);
    std::thread sender{[&] { pair.master.send_many(texts); }};
    Texts all;
    while (all.size() < texts.size()) {
        ASSERT_GT(pair.slave.recv_many(
                      100, [&](bytes_view bytes) { all.emplace_back(bytes.chars()); }, support::patience),
                  0U);
    }
    sender.join();
    EXPECT_EQ(all, texts);
}

TEST(Batches, StopWhereTheRoomEnds) {
    Pair pair;
    const auto texts = numbers(100'000);
    const auto sent = pair.master.try_send_many(texts).value();
    EXPECT_GT(sent, 0U);
    EXPECT_LT(sent, texts.size());
    EXPECT_EQ(pair.master.try_send_many(texts).error().code(), Errc::full);
    EXPECT_EQ(pair.master.try_send_many(texts, 1ms).error().code(), Errc::timeout);
    EXPECT_THROW(pair.master.send_many(texts, 1ms), eshm::TimeoutError);
    EXPECT_EQ(pair.master.try_send_many(Texts{}).value(), 0U) << "for nothing there is always room";

    EXPECT_EQ(received(pair.slave, 10).size(), 10U);
    EXPECT_EQ(pair.master.send_many(texts, 1ms), 10U);
    EXPECT_EQ(received(pair.slave, texts.size()).size(), sent);
}

TEST(Batches, StopAtAMessageThatNeverFits) {
    Pair pair;
    const std::string too_long(pair.master.max_message() + 1, 'x');
    EXPECT_EQ(thrown([&] { pair.master.send_many({"a", too_long, "b"}); }), Errc::too_large);
    EXPECT_EQ(received(pair.slave), Texts{"a"}) << "those before it were sent";
    EXPECT_EQ(pair.master.try_send_many(std::vector<bytes_view>{"a", too_long}).value(), 1U);
    EXPECT_EQ(pair.master.try_send_many(std::vector<bytes_view>{too_long}).error().code(), Errc::too_large);
}

TEST(Batches, AreHandedOutUpToTheNumberAskedFor) {
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

TEST(Batches, AreReleasedAtOnce) {
    Pair pair;
    const auto sent = pair.master.try_send_many(numbers(100'000)).value();
    pair.slave.recv_many(
        2, [&](bytes_view) { EXPECT_EQ(pair.master.try_send("too many").error().code(), Errc::full); });
    EXPECT_EQ(pair.master.try_send_many(numbers(sent)).value(), 2U);
}

TEST(Batches, WhatIsThrownComesOutAndNothingIsLost) {
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

TEST(Batches, TheFunctionMayUseTheEndpointButNotReceive) {
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
