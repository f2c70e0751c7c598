// One thread sends while another receives with the same endpoint.
#include "support.hpp"

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

using support::Pair;

constexpr std::uint64_t messages = 5'000;

void send_numbers(eshm::Endpoint& endpoint) {
    for (std::uint64_t i = 0; i < messages; ++i) {
        endpoint.send({&i, sizeof i});
    }
}

/// Returns the number of messages that differ from the expected ones.
std::uint64_t receive_numbers(eshm::Endpoint& endpoint) {
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < messages; ++i) {
        const auto message = endpoint.recv();
        std::uint64_t number = ~i;
        if (message.size() == sizeof number) {
            std::memcpy(&number, message.bytes().data(), sizeof number);
        }
        wrong += number != i;
    }
    return wrong;
}

TEST(Threads, BothDirectionsRunAtOnceWithoutLoss) {
    Pair pair;
    std::uint64_t wrong_at_master = messages;
    std::uint64_t wrong_at_slave = messages;
    std::thread threads[] = {
        std::thread{[&] { send_numbers(pair.master); }},
        std::thread{[&] { send_numbers(pair.slave); }},
        std::thread{[&] { wrong_at_master = receive_numbers(pair.master); }},
        std::thread{[&] { wrong_at_slave = receive_numbers(pair.slave); }},
    };
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(wrong_at_master, 0U);
    EXPECT_EQ(wrong_at_slave, 0U);
}

TEST(Threads, AWaitingReceiverIsWokenByTheClose) {
    Pair pair;
    std::thread receiver{
        [&] { EXPECT_EQ(support::thrown([&] { (void)pair.slave.recv(); }), eshm::Errc::peer_closed); }};
    pair.master.close();
    receiver.join();
}

/// Expects that `call`, which waits in another thread, ends when this thread stops the endpoint.
template <class Call>
void expect_stopped(eshm::Endpoint& endpoint, Call call) {
    std::thread waiting{[&] { EXPECT_EQ(support::thrown(call), eshm::Errc::closed); }};
    endpoint.stop();
    waiting.join();
    EXPECT_EQ(support::thrown(call), eshm::Errc::closed) << "every later call fails, too";
}

TEST(Threads, AStopEndsCallsThatWaitForAMessageOrValue) {
    {
        Pair pair;
        expect_stopped(pair.slave, [&] { (void)pair.slave.recv(); });
    }
    {
        Pair pair;
        expect_stopped(pair.slave, [&] { (void)pair.slave.recv(support::long_wait * 2); });
    }
    {
        Pair pair;
        expect_stopped(pair.slave, [&] { pair.slave.recv_many(8, [](eshm::bytes_view) {}); });
    }
    {
        Pair pair;
        expect_stopped(pair.slave, [&] { (void)pair.slave.read(); });
    }
}

TEST(Threads, AStopEndsCallsThatWaitForSpaceOrThePeer) {
    eshm::Options options;
    options.queue_capacity = 1024;
    const std::vector<unsigned char> large(1000);
    {
        Pair pair{options};
        while (pair.master.try_send(large)) {
        }
        expect_stopped(pair.master, [&] { pair.master.send(large); });
    }
    {
        Pair pair{options};
        while (pair.master.try_send(large)) {
        }
        expect_stopped(pair.master, [&] { (void)pair.master.loan(large.size()); });
    }
    eshm::Endpoint alone{support::unique_name(), eshm::Role::master};
    expect_stopped(alone, [&] { alone.wait_for_peer(support::long_wait * 2); });
}

TEST(Threads, AStopEndsBothDirectionsAndTheOwnerCloses) {
    eshm::Options options;
    options.queue_capacity = 1024;
    Pair pair{options};
    pair.master.send("for whoever comes");
    const std::vector<unsigned char> large(1000);
    std::thread threads[] = {
        std::thread{[&] {
            while (pair.slave.try_send(large, eshm::forever)) {
            }
        }},
        std::thread{[&] {
            while (pair.slave.try_recv(eshm::forever)) {
            }
        }},
        std::thread{[inspector = pair.slave.inspector()] { inspector.stop(); }},
    };
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_TRUE(pair.slave.is_open());
    EXPECT_EQ(pair.slave.try_recv().error().code(), eshm::Errc::closed);
    EXPECT_EQ(support::thrown([&] { pair.slave.write("x"); }), eshm::Errc::closed);
    pair.slave.close();
    EXPECT_FALSE(pair.slave.is_open());
    pair.slave.stop();
}

TEST(Threads, AMessageSurvivesAStopAndALoanCannotBeSent) {
    Pair pair;
    pair.master.send("first");
    pair.master.send("second");
    auto message = pair.slave.recv();
    auto loan = pair.slave.loan(3);
    pair.slave.stop();
    EXPECT_EQ(message.text(), "first");
    EXPECT_EQ(support::thrown([&] { loan.send(); }), eshm::Errc::closed);
    message.release();
    pair.slave.close();
    eshm::Endpoint successor{pair.name, eshm::Role::slave};
    const auto second = successor.recv(support::long_wait);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->text(), "second") << "what was not received before the stop";
}

TEST(Threads, EndpointsMoveBetweenThreads) {
    Pair pair;
    std::thread{[master = std::move(pair.master)]() mutable {
        master.send("from another thread");
        master.wait_for_peer(support::long_wait);
    }}.join();
    EXPECT_EQ(pair.slave.recv().text(), "from another thread")
        << "what was sent before the close is received";
}

} // namespace
