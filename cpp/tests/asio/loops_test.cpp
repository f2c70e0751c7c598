// Several things in one loop, and what Asio expects of an operation.
#include "support.hpp"

#include <array>
#include <random>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>

#if defined(HAS_COROUTINES) && ESHM_ASIO_HAS_SLOTS && !defined(ESHM_ASIO_BOOST)
#include <asio/experimental/awaitable_operators.hpp>
#endif

namespace {

using namespace support;

TEST(AsioLoops, TwoEndpointsATimerAndASocketInOneContext) {
    net::io_context context;
    Pair one;
    Pair two;
    AsyncEndpoint first{context, std::move(one.slave)};
    AsyncEndpoint second{context, std::move(two.slave)};
    net::steady_timer timer{context, 1ms};
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    net::local::stream_protocol::socket socket{context, net::local::stream_protocol{}, ends[0]};

    std::vector<std::string> log;
    std::array<char, 8> line{};
    socket.async_read_some(net::buffer(line), [&](error_code error, std::size_t size) {
        EXPECT_FALSE(error);
        log.emplace_back(line.data(), size);
        two.master.send("second");
    });
    first.async_recv([&](error_code error, const eshm::Message& message) {
        EXPECT_FALSE(error);
        log.push_back(message.text());
        EXPECT_EQ(write(ends[1], "socket", 6), 6);
    });
    second.async_recv([&](error_code error, const eshm::Message& message) {
        EXPECT_FALSE(error);
        log.push_back(message.text());
    });
    timer.async_wait([&](error_code error) {
        EXPECT_FALSE(error);
        log.emplace_back("timer");
        one.master.send("first");
    });
    drive(context, [&] { return log.size() == 4; });
    EXPECT_EQ(log, (std::vector<std::string>{"timer", "first", "socket", "second"}));
    close(ends[1]);
}

TEST(AsioLoops, AnOperationThatWaitsIsLeftAlone) {
    AsyncPair both;
    // Nobody reads this value, and nobody asks for the peer.
    both.master.write("unread");
    std::vector<std::string> log;
    const auto note = [&](error_code error, const eshm::Message& message) {
        log.push_back(error ? error.message() : message.text());
    };
    both.robot.async_recv(note);
    settle(both.context);
    EXPECT_TRUE(log.empty());
    // With another kind, whose operation ends before.
    both.robot.async_read(note);
    drive(both.context, [&] { return log.size() == 1; });
    both.master.write("unread, too");
    settle(both.context);
    both.master.send("message");
    drive(both.context, [&] { return log.size() == 2; });
    EXPECT_EQ(log, (std::vector<std::string>{"unread", "message"}));
    settle(both.context);
}

TEST(AsioLoops, SeveralReceivesAreServedInTurn) {
    AsyncPair both;
    std::vector<std::string> log;
    for (const char* name : {"a", "b", "c"}) {
        both.robot.async_recv([&log, name](error_code error, const eshm::Message& message) {
            ASSERT_FALSE(error);
            log.push_back(name + message.text());
        });
    }
    settle(both.context);
    for (const char* text : {"1", "2", "3"}) {
        both.master.send(text);
    }
    drive(both.context, [&] { return log.size() == 3; });
    EXPECT_EQ(log, (std::vector<std::string>{"a1", "b2", "c3"}));
}

TEST(AsioLoops, AMovedEndpointGoesOn) {
    AsyncPair both;
    std::string received;
    both.robot.async_recv([&](error_code, const eshm::Message& message) { received = message.text(); });
    AsyncEndpoint moved{std::move(both.robot)};
    settle(both.context);
    both.master.send("one");
    drive(both.context, [&] { return !received.empty(); });
    both.robot = std::move(moved);
    EXPECT_EQ(both.robot.endpoint().name(), both.pair.name);
}

TEST(AsioLoops, AnExceptionOfTheFunctionLosesNoMessage) {
    AsyncPair both;
    both.master.send_many({"one", "two"});
    int seen = 0;
    const auto each = [&](eshm::bytes_view) {
        if (++seen == 2) {
            throw std::runtime_error{"enough"};
        }
    };
    both.robot.async_recv_many(5, each, [](error_code, std::size_t) { FAIL(); });
    EXPECT_THROW(both.context.run(), std::runtime_error);
    EXPECT_EQ(both.robot.endpoint().recv().text(), "one");
    EXPECT_EQ(both.robot.endpoint().recv().text(), "two");
}

/// Counts what it allocates.
template <class T>
struct Counting {
    using value_type = T;
    explicit Counting(int& counter) noexcept : count{&counter} {}
    template <class U>
    Counting(const Counting<U>& other) noexcept : count{other.count} {}
    T* allocate(std::size_t size) {
        ++*count;
        return std::allocator<T>{}.allocate(size);
    }
    void deallocate(T* data, std::size_t size) noexcept { std::allocator<T>{}.deallocate(data, size); }
    friend bool operator==(Counting a, Counting b) noexcept { return a.count == b.count; }
    friend bool operator!=(Counting a, Counting b) noexcept { return a.count != b.count; }
    int* count;
};

using Strand = net::strand<net::io_context::executor_type>;

/// A handler with an executor and an allocator of its own.
struct Handler {
    using executor_type = Strand;
    using allocator_type = Counting<void>;
    [[nodiscard]] executor_type get_executor() const noexcept { return strand; }
    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type{*allocated}; }
    void operator()(error_code error, const eshm::Message& message) const {
        EXPECT_FALSE(error);
        EXPECT_TRUE(strand.running_in_this_thread());
        *received = message.text();
    }
    Strand strand;
    int* allocated;
    std::string* received;
};

TEST(AsioLoops, TheExecutorAndTheAllocatorOfAHandlerAreUsed) {
    AsyncPair both;
    int allocated = 0;
    std::string received;
    both.robot.async_recv(Handler{Strand{both.context.get_executor()}, &allocated, &received});
    settle(both.context);
    EXPECT_GT(allocated, 0);
    both.master.send("one");
    drive(both.context, [&] { return !received.empty(); });
    EXPECT_EQ(received, "one");
    EXPECT_EQ(both.robot.get_executor(), net::any_io_executor{both.context.get_executor()});
}

/// Sends back what it receives, in a strand.
class Echo {
  public:
    Echo(net::any_io_executor strand, eshm::Endpoint endpoint)
        : robot_{std::move(strand), std::move(endpoint)} {}

    void start() {
        robot_.async_recv([this](error_code error, const eshm::Message& message) {
            if (error) {
                EXPECT_TRUE(error == eshm::Errc::peer_closed) << error.message();
                return;
            }
            text_ = message.text();
            robot_.async_send(text_, [this](error_code failed) {
                EXPECT_FALSE(failed);
                start();
            });
        });
    }

  private:
    AsyncEndpoint robot_;
    std::string text_;
};

TEST(AsioLoops, ThreadsRunOperationsInStrands) {
    net::io_context context;
    std::vector<std::unique_ptr<Echo>> echoes;
    std::vector<eshm::Endpoint> masters;
    for (int index = 0; index < 4; ++index) {
        Pair pair;
        masters.push_back(std::move(pair.master));
        echoes.push_back(std::make_unique<Echo>(net::make_strand(context), std::move(pair.slave)));
        net::post(context, [echo = echoes.back().get()] { echo->start(); });
    }
    std::vector<std::thread> threads;
    for (int index = 0; index < 3; ++index) {
        threads.emplace_back([&] { context.run(); });
    }
    for (int number = 0; number < 300; ++number) {
        for (eshm::Endpoint& master : masters) {
            master.send(std::to_string(number));
        }
        for (eshm::Endpoint& master : masters) {
            EXPECT_EQ(master.recv().text(), std::to_string(number));
        }
    }
    masters.clear();
    for (std::thread& thread : threads) {
        thread.join();
    }
}

#if defined(HAS_COROUTINES) && ESHM_ASIO_HAS_SLOTS && !defined(ESHM_ASIO_BOOST)

/// Receives with a time limit, as coroutines do it, until all numbers have come.
net::awaitable<int> receive_all(AsyncEndpoint& robot, int count) {
    using namespace net::experimental::awaitable_operators;
    std::mt19937 random{7};
    net::steady_timer timer{co_await net::this_coro::executor};
    int expired = 0;
    for (int number = 0; number < count;) {
        timer.expires_after(std::chrono::microseconds{random() % 30});
        auto first = co_await (robot.async_recv(net::use_awaitable) || timer.async_wait(net::use_awaitable));
        if (first.index() == 1) {
            ++expired;
            continue;
        }
        EXPECT_EQ(std::get<0>(first).text(), std::to_string(number));
        ++number;
    }
    co_return expired;
}

TEST(AsioLoops, AReceiveThatLosesARaceHasTakenNothing) {
    AsyncPair both;
    constexpr int count = 1000;
    std::thread sender{[&] {
        for (int number = 0; number < count; ++number) {
            both.master.send(std::to_string(number));
            std::this_thread::yield();
        }
    }};
    auto expired = net::co_spawn(both.context, receive_all(both.robot, count), net::use_future);
    drive(both.context, [&] { return expired.wait_for(0s) == std::future_status::ready; });
    EXPECT_GE(expired.get(), 0);
    sender.join();
}

#endif

} // namespace
