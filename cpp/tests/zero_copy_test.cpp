// Messages and loans in the queue: they are returned, and other calls fail while they are lent.
#include "support.hpp"

#include <cstdint>
#include <cstring>
#include <optional>
#include <thread>
#include <type_traits>

namespace {

using eshm::Endpoint;
using eshm::Errc;
using eshm::Loan;
using eshm::Message;
using support::Pair;
using support::pattern;
using support::segment_exists;
using support::thrown;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<Message> && !std::is_copy_assignable_v<Message>);
static_assert(std::is_nothrow_move_constructible_v<Message> && std::is_nothrow_move_assignable_v<Message>);
static_assert(!std::is_copy_constructible_v<Loan> && !std::is_copy_assignable_v<Loan>);
static_assert(std::is_nothrow_move_constructible_v<Loan> && std::is_nothrow_move_assignable_v<Loan>);
#ifdef __cpp_lib_span
static_assert(std::is_same_v<decltype(std::declval<const Message&>().bytes()), std::span<const std::byte>>);
static_assert(std::is_same_v<decltype(std::declval<const Loan&>().bytes()), std::span<std::byte>>);
#else
static_assert(std::is_same_v<decltype(std::declval<const Message&>().bytes()), eshm::bytes_view>);
static_assert(std::is_same_v<decltype(std::declval<const Loan&>().bytes()), eshm::mutable_bytes>);
#endif

/// Sends until the queue is full.
void fill_up(Endpoint& endpoint) {
    eshm::Result<void> sent;
    while ((sent = endpoint.try_send("one of many"))) {
    }
    ASSERT_EQ(sent.error().code(), Errc::full);
}

/// Returns the text of the exception that `call` throws.
template <class Call>
std::string text_of(Call call) {
    try {
        call();
    } catch (const eshm::Error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

eshm::Options with_capacity(std::size_t capacity) {
    eshm::Options options;
    options.queue_capacity = capacity;
    return options;
}

TEST(Lent, AMessageKeepsItsMemoryUntilItIsDestroyed) {
    Pair pair;
    fill_up(pair.master);
    {
        const auto message = pair.slave.recv();
        EXPECT_EQ(pair.master.try_send("too many").error().code(), Errc::full);
    }
    EXPECT_TRUE(pair.master.try_send("fits again"));
    EXPECT_EQ(pair.master.try_send("too many").error().code(), Errc::full);

    auto message = pair.slave.recv();
    message.release();
    EXPECT_EQ(message.size(), 0U);
    message.release();
    EXPECT_TRUE(pair.master.try_send("fits again"));
    EXPECT_EQ(pair.master.try_send("too many").error().code(), Errc::full) << "released once";
}

TEST(Lent, OtherReceivingCallsFail) {
    Pair pair;
    pair.master.send_many({"first", "second"});
    pair.master.write("value");
    auto first = pair.slave.recv();
    const auto text = text_of([&] { (void)pair.slave.recv(); });
    EXPECT_NE(text.find(pair.name), std::string::npos) << text;
    EXPECT_NE(text.find("still lent"), std::string::npos) << text;
    EXPECT_EQ(pair.slave.try_recv().error().code(), Errc::invalid);
    EXPECT_EQ(thrown([&] { (void)pair.slave.recv(1ms); }), Errc::invalid) << "not the same as nothing came";
    EXPECT_EQ(thrown([&] { (void)pair.slave.read(); }), Errc::invalid);
    EXPECT_EQ(pair.slave.try_recv_many(9, [](auto) { ADD_FAILURE(); }).error().code(), Errc::invalid);
    EXPECT_EQ(first.text(), "first") << "and it is as it was";

    pair.slave.send("sending goes on");
    EXPECT_EQ(pair.master.recv().text(), "sending goes on");
    first.release();
    EXPECT_EQ(pair.slave.recv().text(), "second");
    EXPECT_EQ(pair.slave.read().text(), "value");
}

TEST(Lent, AMessageStaysLentWhenItIsMoved) {
    Pair pair;
    pair.master.send_many({"first", "second", "third"});
    Message message;
    EXPECT_EQ(message.size(), 0U);
    {
        auto first = pair.slave.recv();
        const auto* place = first.bytes().data();
        message = std::move(first);
        EXPECT_EQ(message.bytes().data(), place);
        EXPECT_EQ(first.size(), 0U);
        EXPECT_EQ(first.text(), "");
    }
    EXPECT_EQ(pair.slave.try_recv().error().code(), Errc::invalid) << "what was moved from released nothing";
    EXPECT_EQ(message.text(), "first");
    message = Message{};
    std::optional<Message> second = pair.slave.recv(1s);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->text(), "second");
    second.reset();
    EXPECT_EQ(pair.slave.try_recv().value().text(), "third");
}

TEST(Lent, AMessageOutlivesItsEndpointAndKeepsItOpen) {
    Pair pair;
    const auto long_one = pattern(10'000);
    pair.slave.send(long_one);
    pair.slave.send("next");
    Message message;
    {
        const Endpoint moved = [&] {
            auto master = std::move(pair.master);
            message = master.recv();
            return master;
        }();
        EXPECT_EQ(eshm::bytes_view{message.bytes()}, eshm::bytes_view{long_one});
    }
    EXPECT_EQ(eshm::bytes_view{message.bytes()}, eshm::bytes_view{long_one});
    EXPECT_TRUE(segment_exists(pair.name));
    EXPECT_EQ(Endpoint::try_open(pair.name, eshm::Role::master).error().code(), Errc::seat_taken);
    message.release();
    EXPECT_FALSE(segment_exists(pair.name)) << "the last one closes";
    EXPECT_EQ(thrown([&] { (void)pair.slave.recv(); }), Errc::peer_closed);
}

TEST(Lent, AReleasedMessageIsNotReceivedAgain) {
    Pair pair;
    pair.master.send_many({"first", "second", "third"});
    pair.slave.recv().release();
    {
        const auto second = pair.slave.recv();
        pair.slave.close();
    }
    pair.slave = Endpoint{pair.name, eshm::Role::slave};
    EXPECT_EQ(pair.slave.recv().text(), "third");
}

TEST(Lent, AMessageMayBeDestroyedByAnotherThread) {
    Pair pair;
    constexpr std::uint64_t messages = 200;
    std::thread peer{[&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
            pair.master.send({&i, sizeof i});
        }
    }};
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < messages; ++i) {
        auto message = pair.slave.recv();
        std::thread worker{[&sum, message = std::move(message)] {
            std::uint64_t number = 0;
            std::memcpy(&number, message.bytes().data(), sizeof number);
            sum += number;
        }};
        // Fails until the worker has destroyed the message.
        eshm::Result<Message> next = pair.slave.try_recv();
        while (!next && next.error().code() == Errc::invalid) {
            next = pair.slave.try_recv();
        }
        worker.join();
        if (next) {
            std::uint64_t number = 0;
            std::memcpy(&number, next->bytes().data(), sizeof number);
            EXPECT_EQ(number, ++i);
            sum += number;
        }
    }
    peer.join();
    EXPECT_EQ(sum, messages * (messages - 1) / 2);
}

TEST(Loans, AnySizeIsBuiltInPlace) {
    Pair pair;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{56}, std::size_t{57}, pair.master.max_message()}) {
        const auto bytes = pattern(size);
        auto loan = pair.master.loan(size);
        ASSERT_EQ(loan.size(), size);
        ASSERT_EQ(loan.bytes().size(), size);
        std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), size, loan.bytes().begin());
        EXPECT_FALSE(pair.slave.try_recv()) << "not before it is sent";
        loan.send();
        EXPECT_EQ(loan.size(), 0U);
        EXPECT_EQ(eshm::bytes_view{pair.slave.recv().bytes()}, eshm::bytes_view{bytes});
    }
}

TEST(Loans, AreAlignedForObjects) {
    struct alignas(64) Pose {
        double x, y, angle, time, more[8];
    };
    Pair pair;
    pair.master.send("x"); // so that the loan is not the first slot
    auto loan = pair.master.loan(sizeof(Pose));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(loan.bytes().data()) % alignof(Pose), 0U);
    new (loan.bytes().data()) Pose{1, 2, 3, 4, {}};
    loan.send();
    EXPECT_EQ(pair.slave.recv().size(), 1U);
    const auto message = pair.slave.recv();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(message.bytes().data()) % alignof(Pose), 0U);
    EXPECT_EQ(reinterpret_cast<const Pose*>(message.bytes().data())->time, 4);
}

TEST(Loans, AreReturnedWhenDestroyed) {
    Pair pair{with_capacity(4096)};
    for (int i = 0; i < 3; ++i) {
        auto loan = pair.master.try_loan(4096);
        ASSERT_TRUE(loan) << "all of the queue, each time";
        if (i == 1) {
            loan->release();
            loan->release();
        }
    }
    EXPECT_FALSE(pair.slave.try_recv()) << "nothing of them was sent";
    pair.master.send(pattern(4096), 0ms);
}

TEST(Loans, MakeOtherSendingCallsFail) {
    Pair pair;
    auto loan = pair.master.loan(4);
    std::memcpy(loan.bytes().data(), "loan", 4);
    const auto text = text_of([&] { pair.master.send("x"); });
    EXPECT_NE(text.find(pair.name), std::string::npos) << text;
    EXPECT_NE(text.find("a loan"), std::string::npos) << text;
    EXPECT_EQ(pair.master.try_send("x").error().code(), Errc::invalid);
    EXPECT_EQ(pair.master.try_write("x").error().code(), Errc::invalid);
    EXPECT_EQ(pair.master.try_send_many({"x"}).error().code(), Errc::invalid);
    EXPECT_EQ(pair.master.try_loan(1).error().code(), Errc::invalid);
    pair.slave.send("receiving goes on");
    EXPECT_EQ(pair.master.recv().text(), "receiving goes on");
    loan.send();
    pair.master.send("after it");
    EXPECT_EQ(pair.slave.recv().text(), "loan");
    EXPECT_EQ(pair.slave.recv().text(), "after it");
}

TEST(Loans, AreSentOnce) {
    Pair pair;
    auto loan = pair.master.loan(1);
    auto moved = std::move(loan);
    EXPECT_EQ(loan.size(), 0U);
    EXPECT_EQ(thrown([&] { loan.send(); }), Errc::invalid);
    moved.send();
    EXPECT_EQ(moved.try_send().error().code(), Errc::invalid);
    EXPECT_EQ(Loan{}.try_send().error().code(), Errc::invalid);
    EXPECT_EQ(pair.slave.recv().size(), 1U);
    EXPECT_FALSE(pair.slave.try_recv());

    moved = pair.master.loan(2);
    moved = Loan{};
    EXPECT_TRUE(pair.master.try_send("the assignment gave it back"));
}

TEST(Loans, WaitForSpaceAsSendDoes) {
    Pair pair;
    EXPECT_EQ(pair.master.try_loan(pair.master.max_message() + 1).error().code(), Errc::too_large);
    fill_up(pair.master);
    EXPECT_EQ(pair.master.try_loan(1).error().code(), Errc::full);
    EXPECT_EQ(thrown([&] { (void)pair.master.loan(1, 0ms); }), Errc::full);
    EXPECT_THROW((void)pair.master.loan(1, 1ms), eshm::TimeoutError);
    std::thread peer{[&] { (void)pair.slave.recv(); }};
    EXPECT_EQ(pair.master.loan(1).size(), 1U);
    peer.join();
    pair.master.close();
    EXPECT_EQ(pair.master.try_loan(1).error().code(), Errc::closed);
}

TEST(Loans, OutliveTheirEndpointAndKeepItOpen) {
    Pair pair;
    auto loan = pair.master.loan(4);
    pair.master.close();
    EXPECT_TRUE(segment_exists(pair.name));
    std::memcpy(loan.bytes().data(), "last", 4);
    loan.send();
    EXPECT_FALSE(segment_exists(pair.name));
    EXPECT_EQ(pair.slave.recv().text(), "last");
    EXPECT_EQ(thrown([&] { (void)pair.slave.recv(); }), Errc::peer_closed);
}

} // namespace
