// How operations end: by the peer, by this side, by cancellation.
#include "support.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <tuple>

namespace {

using namespace support;

/// An operation of each kind, each of which waits.
struct AllWait {
    explicit AllWait(AsyncPair& pair) : both{pair} {
        fill(both.robot.endpoint(), large);
        both.robot.async_recv([this](error_code error, const eshm::Message&) { errors[0] = error; });
        both.robot.async_read([this](error_code error, const eshm::Message&) { errors[1] = error; });
        both.robot.async_send(large, [this](error_code error) { errors[2] = error; });
        both.robot.async_loan(600, [this](error_code error, const eshm::Loan&) { errors[3] = error; });
        both.robot.async_recv([this](error_code error, const eshm::Message&) { errors[4] = error; });
        settle(both.context);
        for (const auto& error : errors) {
            EXPECT_FALSE(error) << error->message();
        }
    }

    /// Waits until all have ended with this error.
    void expect(error_code expected) {
        drive(both.context, [this] {
            return std::all_of(errors.begin(), errors.end(), [](const auto& error) { return error; });
        });
        for (const auto& error : errors) {
            EXPECT_EQ(*error, expected) << error->message();
        }
    }

    AsyncPair& both;
    const std::string large = std::string(600, 'x');
    std::array<std::optional<error_code>, 5> errors;
};

TEST(AsioEnds, AllEndWhenThePeerCloses) {
    AsyncPair both{small_queue()};
    AllWait all{both};
    both.master.close();
    all.expect(eshm::asio::make_error(eshm::Errc::peer_closed));
}

TEST(AsioEnds, AllEndWhenThisSideCloses) {
    AsyncPair both{small_queue()};
    AllWait all{both};
    both.robot.close();
    all.expect(eshm::asio::make_error(eshm::Errc::closed));
}

TEST(AsioEnds, AllEndWhenTheEndpointIsStopped) {
    AsyncPair both{small_queue()};
    AllWait all{both};
    std::thread stopper{[inspector = both.robot.endpoint().inspector()] { inspector.stop(); }};
    all.expect(eshm::asio::make_error(eshm::Errc::closed));
    stopper.join();
}

TEST(AsioEnds, AllEndWhenTheyAreCancelledAndHaveDoneNothing) {
    AsyncPair both{small_queue()};
    AllWait all{both};
    const std::uint64_t before = both.robot.endpoint().unreceived();
    both.robot.cancel();
    both.master.send("one");
    both.master.write("value");
    while (both.master.try_recv()) {
    }
    all.expect(net::error::operation_aborted);
    EXPECT_GT(before, 0U);
    EXPECT_FALSE(both.master.try_recv());
    EXPECT_EQ(both.robot.endpoint().recv().text(), "one");
    EXPECT_EQ(both.robot.endpoint().read().text(), "value");
}

TEST(AsioEnds, OperationsDieWithTheirContext) {
    Pair pair;
    {
        net::io_context context;
        AsyncEndpoint robot{context, std::move(pair.slave)};
        robot.async_recv([](error_code, const eshm::Message&) { FAIL(); });
        settle(context);
        robot.async_read([](error_code, const eshm::Message&) { FAIL(); });
    }
    pair.master.send("nobody is there");
    EXPECT_EQ(thrown([&] { static_cast<void>(pair.master.recv()); }), eshm::Errc::peer_closed);
}

TEST(AsioEnds, APeerThatDiesEndsThem) {
    const std::string name = unique_name();
    const pid_t child = fork();
    if (child == 0) {
        const eshm::Endpoint master{name, eshm::Role::master};
        // Ends by itself if nobody is left to kill it.
        alarm(120);
        pause();
        _exit(1);
    }
    eshm::Options options;
    options.role = eshm::Role::slave;
    options.disconnect = eshm::Disconnect::immediately;
    net::io_context context;
    AsyncEndpoint robot{context, eshm::Endpoint{name, options}};
    const auto wait = [&](auto&& token) {
        return robot.async_wait_for_peer(std::forward<decltype(token)>(token));
    };
    EXPECT_FALSE(Callback::run<Nothing>(context, wait).error);
    std::optional<error_code> received;
    std::optional<error_code> read;
    robot.async_recv([&](error_code error, const eshm::Message&) { received = error; });
    robot.async_read([&](error_code error, const eshm::Message&) { read = error; });
    settle(context);
    EXPECT_FALSE(received || read);
    kill(child, SIGKILL);
    drive(context, [&] { return received && read; });
    EXPECT_TRUE(*received == eshm::Errc::peer_stale) << received->message();
    EXPECT_TRUE(*read == eshm::Errc::peer_stale) << read->message();
    EXPECT_EQ(waitpid(child, nullptr, 0), child);
    robot.close();
    eshm::Endpoint{name, eshm::Role::master}.close();
}

/// Starts operations, lets some of their steps run, and cancels most of them.
class Canceller {
  public:
    explicit Canceller(AsyncPair& both) : both_{both} {}

    /// Returns the error of an operation that is cancelled, or not, at some moment.
    template <class Start>
    error_code run(Start start) {
        std::optional<error_code> outcome;
        const auto handler = [&outcome](error_code error) { outcome = error; };
#if ESHM_ASIO_HAS_SLOTS
        net::cancellation_signal signal;
        start(signal.slot(), handler);
#else
        start(handler);
#endif
        for (unsigned steps = pick(5); steps > 0; --steps) {
            both_.context.restart();
            both_.context.poll_one();
        }
        switch (outcome ? 3 : pick(3)) {
        case 0:
            both_.robot.cancel();
            ++cancelled;
            break;
#if ESHM_ASIO_HAS_SLOTS
        case 1:
            signal.emit(net::cancellation_type::total);
            ++cancelled;
            break;
#endif
        default:
            break;
        }
        drive(both_.context, [&] { return outcome.has_value(); });
        return *outcome;
    }

    unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }

    int cancelled = 0;

  private:
    AsyncPair& both_;
    std::mt19937 random_{20261130};
};

constexpr int count = 3000;

TEST(AsioEnds, ACancelledReceiveHasTakenNothing) {
    AsyncPair both{small_queue()};
    Canceller canceller{both};
    std::thread sender{[&] {
        for (int number = 0; number < count; ++number) {
            both.master.send(eshm::bytes_view{&number, sizeof number});
        }
    }};
    int aborted = 0;
    for (int number = 0; number < count;) {
        int received = -1;
        const error_code error = canceller.run([&](auto... slot_and_handler) {
            auto take = [&received](auto handler) {
                return [&received, handler](error_code failed, const eshm::Message& message) {
                    if (!failed) {
                        std::memcpy(&received, message.bytes().data(), sizeof received);
                    }
                    handler(failed);
                };
            };
#if ESHM_ASIO_HAS_SLOTS
            const auto [slot, handler] = std::tuple{slot_and_handler...};
            both.robot.async_recv(net::bind_cancellation_slot(slot, take(handler)));
#else
            both.robot.async_recv(take(slot_and_handler...));
#endif
        });
        if (error) {
            ASSERT_EQ(error, net::error::operation_aborted);
            ++aborted;
        } else {
            ASSERT_EQ(received, number++);
        }
    }
    sender.join();
    EXPECT_GT(aborted, 0);
    EXPECT_FALSE(both.robot.endpoint().try_recv());
}

TEST(AsioEnds, ACancelledSendHasSentNothing) {
    AsyncPair both{small_queue()};
    Canceller canceller{both};
    std::thread receiver{[&] {
        for (int number = 0; number < count; ++number) {
            int received = -1;
            const eshm::Message message = both.master.recv();
            std::memcpy(&received, message.bytes().data(), sizeof received);
            ASSERT_EQ(received, number);
        }
    }};
    for (int number = 0; number < count;) {
        const eshm::bytes_view bytes{&number, sizeof number};
        const error_code error = canceller.run([&](auto... slot_and_handler) {
#if ESHM_ASIO_HAS_SLOTS
            const auto [slot, handler] = std::tuple{slot_and_handler...};
            both.robot.async_send(bytes, net::bind_cancellation_slot(slot, handler));
#else
            both.robot.async_send(bytes, slot_and_handler...);
#endif
        });
        if (error) {
            ASSERT_EQ(error, net::error::operation_aborted);
        } else {
            ++number;
        }
    }
    receiver.join();
    EXPECT_FALSE(both.master.try_recv());
}

} // namespace
