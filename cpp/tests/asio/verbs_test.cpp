// Each verb with each kind of completion token.
#include "support.hpp"

#include <cstring>

namespace {

using namespace support;

template <class Kind>
class AsioVerbs : public ::testing::Test {
  protected:
    template <class T, class Start>
    Outcome<T> run(Start start) {
        return Kind::template run<T>(both_.context, start);
    }

    AsyncPair both_{small_queue()};
    const std::string large_ = std::string(600, 'x');
};
TYPED_TEST_SUITE(AsioVerbs, Kinds);

TYPED_TEST(AsioVerbs, Receive) {
    auto& both = this->both_;
    const auto recv = [&](auto&& token) {
        return both.robot.async_recv(std::forward<decltype(token)>(token));
    };
    for (const char* text : {"there already", ""}) {
        both.master.send(text);
        const auto outcome = this->template run<eshm::Message>(recv);
        ASSERT_FALSE(outcome.error) << outcome.error.message();
        EXPECT_EQ(outcome.value->text(), text);
    }
    both.later([&] { both.master.send("comes later"); });
    const auto outcome = this->template run<eshm::Message>(recv);
    ASSERT_FALSE(outcome.error);
    EXPECT_EQ(outcome.value->text(), "comes later");
    // The message is lent.
    both.master.send("next");
    EXPECT_TRUE(this->template run<eshm::Message>(recv).error == eshm::Errc::invalid);
}

TYPED_TEST(AsioVerbs, Read) {
    auto& both = this->both_;
    const auto read = [&](auto&& token) {
        return both.robot.async_read(std::forward<decltype(token)>(token));
    };
    both.master.write("first");
    EXPECT_EQ(this->template run<eshm::Message>(read).value->text(), "first");
    both.later([&] {
        both.master.write("overwritten");
        both.master.write(this->large_);
    });
    const auto outcome = this->template run<eshm::Message>(read);
    ASSERT_FALSE(outcome.error);
    EXPECT_EQ(outcome.value->text(), this->large_);
    EXPECT_EQ(outcome.value->skipped(), 1U);
}

TYPED_TEST(AsioVerbs, Send) {
    auto& both = this->both_;
    const auto send = [&](auto&& token) {
        return both.robot.async_send(this->large_, std::forward<decltype(token)>(token));
    };
    EXPECT_FALSE(this->template run<Nothing>(send).error);
    std::size_t count = 2 + fill(both.robot.endpoint(), this->large_);
    both.later([&] { both.master.recv().release(); });
    EXPECT_FALSE(this->template run<Nothing>(send).error);
    while (--count > 0) {
        EXPECT_EQ(both.master.recv().size(), this->large_.size());
    }
    EXPECT_FALSE(both.master.try_recv());
    const std::string too_large(5000, 'x');
    const auto send_too_large = [&](auto&& token) {
        return both.robot.async_send(too_large, std::forward<decltype(token)>(token));
    };
    EXPECT_TRUE(this->template run<Nothing>(send_too_large).error == eshm::Errc::too_large);
}

TYPED_TEST(AsioVerbs, Loan) {
    auto& both = this->both_;
    const auto lend = [&](auto&& token) {
        return both.robot.async_loan(600, std::forward<decltype(token)>(token));
    };
    std::size_t count = fill(both.robot.endpoint(), this->large_);
    both.later([&] { both.master.recv().release(); });
    auto outcome = this->template run<eshm::Loan>(lend);
    ASSERT_FALSE(outcome.error);
    ASSERT_EQ(outcome.value->size(), 600U);
    std::memset(outcome.value->bytes().data(), 'y', 600);
    outcome.value->send();
    while (--count > 0) {
        EXPECT_EQ(both.master.recv().text(), this->large_);
    }
    EXPECT_EQ(both.master.recv().text(), std::string(600, 'y'));
}

TYPED_TEST(AsioVerbs, ReceiveMany) {
    auto& both = this->both_;
    std::vector<std::string> seen;
    const auto recv = [&](auto&& token) {
        const auto each = [&seen](eshm::bytes_view bytes) { seen.emplace_back(bytes.chars()); };
        return both.robot.async_recv_many(2, each, std::forward<decltype(token)>(token));
    };
    both.later([&] { both.master.send_many({"one", "two", "three"}); });
    EXPECT_EQ(this->template run<std::size_t>(recv).value, 2U);
    EXPECT_EQ(this->template run<std::size_t>(recv).value, 1U);
    EXPECT_EQ(seen, (std::vector<std::string>{"one", "two", "three"}));
}

TYPED_TEST(AsioVerbs, SendMany) {
    auto& both = this->both_;
    const std::vector<eshm::bytes_view> messages(20, eshm::bytes_view{this->large_});
    const auto send = [&](auto&& token) {
        return both.robot.async_send_many(messages.data(), messages.size(),
                                          std::forward<decltype(token)>(token));
    };
    std::size_t received = 0;
    std::function<void()> take = [&] {
        while (both.master.try_recv()) {
            ++received;
        }
        if (received < messages.size()) {
            net::post(both.context, take);
        }
    };
    both.later(take);
    const auto outcome = this->template run<std::size_t>(send);
    EXPECT_FALSE(outcome.error) << outcome.error.message();
    EXPECT_EQ(outcome.value, messages.size());
    drive(both.context, [&] { return received == messages.size(); });
}

TYPED_TEST(AsioVerbs, WaitForPeer) {
    net::io_context context;
    const std::string name = unique_name();
    AsyncEndpoint master{context, eshm::Endpoint{name, eshm::Role::master}};
    const auto wait = [&](auto&& token) {
        return master.async_wait_for_peer(std::forward<decltype(token)>(token));
    };
    std::optional<eshm::Endpoint> slave;
    net::post(context, [&] { net::post(context, [&] { slave.emplace(name, eshm::Role::slave); }); });
    EXPECT_FALSE(TypeParam::template run<Nothing>(context, wait).error);
    EXPECT_TRUE(slave);
    EXPECT_FALSE(TypeParam::template run<Nothing>(context, wait).error);
    settle(context);
}

TYPED_TEST(AsioVerbs, EndWithThePeer) {
    auto& both = this->both_;
    both.master.send("last");
    both.master.close();
    const auto recv = [&](auto&& token) {
        return both.robot.async_recv(std::forward<decltype(token)>(token));
    };
    EXPECT_EQ(this->template run<eshm::Message>(recv).value->text(), "last");
    const error_code error = this->template run<eshm::Message>(recv).error;
    EXPECT_TRUE(error == eshm::Errc::peer_closed) << error.message();
    EXPECT_STREQ(error.category().name(), "eshm");
    EXPECT_EQ(error.message(), "the peer closed its endpoint");
}

} // namespace
