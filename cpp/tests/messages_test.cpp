// The messages of an endpoint as a range.
#include "support.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#if __cplusplus >= 202002L
#include <ranges>
#endif

namespace {

using eshm::Errc;
using eshm::Message;
using eshm::Messages;
using support::long_wait;
using support::Pair;
using support::thrown;
using namespace std::chrono_literals;

using Texts = std::vector<std::string>;

static_assert(!std::is_copy_constructible_v<Messages>);
#if __cplusplus >= 202002L
static_assert(std::ranges::input_range<Messages>);
#endif

TEST(MessageRange, EndsWhenThePeerClosedAndEverythingWasReceived) {
    Pair pair;
    pair.slave.send_many({"one", "two", "three"});
    pair.slave.close();
    Texts texts;
    for (const Message& message : pair.master.messages()) {
        texts.push_back(message.text());
    }
    EXPECT_EQ(texts, (Texts{"one", "two", "three"}));
}

TEST(MessageRange, EndsWhenNothingComesInTime) {
    Pair pair;
    pair.master.send_many({"one", "two"});
    Texts texts;
    for (const Message& message : pair.slave.messages(5ms)) {
        texts.push_back(message.text());
    }
    EXPECT_EQ(texts, (Texts{"one", "two"}));
    for (const Message& message : pair.slave.messages(0ms)) {
        ADD_FAILURE() << message.text();
    }
}

TEST(MessageRange, EndsWhenTheEndpointIsStopped) {
    Pair pair;
    pair.master.send("one");
    std::thread stopper{[&master = pair.master, inspector = pair.slave.inspector()] {
        while (master.unreceived() != 0) {
            std::this_thread::yield();
        }
        inspector.stop();
    }};
    Texts texts;
    for (const Message& message : pair.slave.messages()) {
        texts.push_back(message.text());
    }
    stopper.join();
    EXPECT_EQ(texts, Texts{"one"});
    pair.slave.close();
    for (const Message& message : pair.slave.messages()) {
        ADD_FAILURE() << message.text();
    }
}

TEST(MessageRange, ReleasesEachMessageBeforeTheNextIsReceived) {
    Pair pair;
    pair.master.send_many({"one", "two"});
    std::uint64_t left = 2;
    for (const Message& message : pair.slave.messages(0ms)) {
        EXPECT_EQ(pair.master.unreceived(), left--) << message.text();
    }
    EXPECT_EQ(pair.master.unreceived(), 0U);
}

TEST(MessageRange, LosesNothingWhenALoopLeavesEarly) {
    Pair pair;
    pair.master.send_many({"one", "two"});
    for (const Message& message : pair.slave.messages()) {
        EXPECT_EQ(message.text(), "one");
        break;
    }
    EXPECT_EQ(pair.slave.recv(long_wait)->text(), "two");
}

TEST(MessageRange, ThrowsOtherErrors) {
    Pair pair;
    pair.master.send_many({"one", "two"});
    std::optional<Message> kept;
    EXPECT_EQ(thrown([&] {
                  for (Message& message : pair.slave.messages()) {
                      kept = std::move(message);
                  }
              }),
              Errc::invalid)
        << "a message that is moved out of the range stays lent";
    EXPECT_EQ(kept.value().text(), "one");
}

TEST(MessageRange, WorksWithAlgorithms) {
    Pair pair;
    pair.master.send_many({"one", "two", "three"});
    Messages messages = pair.slave.messages(0ms);
    EXPECT_EQ(std::count_if(messages.begin(), messages.end(),
                            [](const Message& message) { return message.size() == 3; }),
              2);
    EXPECT_EQ(Messages::Iterator{}, messages.end());
}

} // namespace
