// One thread may send while another receives, on the same endpoint.
#include "support.hpp"

#include <cstdint>
#include <cstring>
#include <thread>

namespace {

using support::Pair;

constexpr std::uint64_t messages = 5'000;

void send_numbers(eshm::Endpoint& endpoint) {
    for (std::uint64_t i = 0; i < messages; ++i) {
        endpoint.send({&i, sizeof i});
    }
}

/// The number of messages that were not the expected one.
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

TEST(Threads, AWaitingReceiverIsWokenByTheGoodbye) {
    Pair pair;
    std::thread receiver{
        [&] { EXPECT_EQ(support::thrown([&] { (void)pair.slave.recv(); }), eshm::Errc::peer_closed); }};
    pair.master.close();
    receiver.join();
}

TEST(Threads, EndpointsMoveBetweenThreads) {
    Pair pair;
    std::thread{[master = std::move(pair.master)]() mutable {
        master.send("from another thread");
        master.wait_for_peer(support::patience);
    }}.join();
    EXPECT_EQ(pair.slave.recv().text(), "from another thread")
        << "what was sent before the close is received";
}

} // namespace
