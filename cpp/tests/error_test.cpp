// Errors as exceptions, as std::error_code and as values.
#include "support.hpp"

#include <sstream>
#include <system_error>
#include <type_traits>

namespace {

using eshm::Errc;

static_assert(std::is_base_of_v<std::runtime_error, eshm::Error>);
static_assert(std::is_base_of_v<eshm::Error, eshm::TimeoutError>);

TEST(Error, HasItsCodeAndText) {
    const eshm::Failure failure{Errc::seat_taken, "somebody sits there"};
    try {
        failure.raise();
    } catch (const eshm::Error& error) {
        EXPECT_EQ(error.code(), Errc::seat_taken);
        EXPECT_STREQ(error.what(), "somebody sits there");
    }
}

TEST(Error, ATimeoutHasItsOwnType) {
    EXPECT_THROW(eshm::Failure{Errc::timeout}.raise(), eshm::TimeoutError);
    EXPECT_EQ(support::thrown([] { eshm::Failure{Errc::timeout}.raise(); }), Errc::timeout);
}

TEST(Error, NumbersAreTheSameInEveryLanguage) {
    EXPECT_EQ(static_cast<int>(Errc::invalid), -1);
    EXPECT_EQ(static_cast<int>(Errc::remove), -5);
    EXPECT_EQ(static_cast<int>(Errc::no_data), -9);
    EXPECT_EQ(static_cast<int>(Errc::timeout), -10);
    EXPECT_EQ(static_cast<int>(Errc::too_large), -13);
    EXPECT_EQ(static_cast<int>(Errc::forked), -18);
    EXPECT_EQ(static_cast<int>(Errc::displaced), -19);
    static_assert(number(Errc::displaced) == -19);
}

TEST(Error, KindsThatShareANumberDiffer) {
    static_assert(number(Errc::attach) == -3 && number(Errc::not_found) == -3 && number(Errc::foreign) == -3);
    static_assert(number(Errc::timeout) == -10 && number(Errc::reconnecting) == -10);
    EXPECT_NE(std::error_code{Errc::attach}, Errc::not_found);
    EXPECT_NE(std::error_code{Errc::attach}, Errc::foreign);
    EXPECT_NE(std::error_code{Errc::timeout}, Errc::reconnecting);
    EXPECT_EQ(std::error_code{Errc::not_found}, std::errc::no_such_file_or_directory);
    EXPECT_EQ(std::error_code{Errc::reconnecting}, std::errc::timed_out);
    try {
        eshm::Failure{Errc::reconnecting}.raise();
    } catch (const eshm::TimeoutError& error) {
        EXPECT_EQ(error.code(), Errc::reconnecting);
        EXPECT_EQ(error.number(), -10);
    }
    EXPECT_EQ(eshm::Failure{Errc::foreign}.number(), -3);
}

TEST(Error, CallsThatFailTransientlyMaySucceedLater) {
    for (const Errc code : {Errc::no_data, Errc::timeout, Errc::reconnecting, Errc::full}) {
        EXPECT_TRUE(is_transient(code)) << code;
    }
    for (const Errc code :
         {Errc::invalid, Errc::not_found, Errc::peer_stale, Errc::peer_closed, Errc::closed}) {
        EXPECT_FALSE(is_transient(code)) << code;
    }
}

TEST(Error, KindsArePrintedByName) {
    std::ostringstream out;
    out << Errc::not_found << ' ' << Errc::seat_taken << ' ' << static_cast<Errc>(-99);
    EXPECT_EQ(out.str(), "not_found seat_taken unknown");
}

TEST(Error, EveryKindHasANameAndAText) {
    for (const int number :
         {-1, -2, -3, -103, -203, -5, -9, -10, -110, -11, -12, -13, -14, -15, -16, -17, -18, -19}) {
        const auto code = static_cast<Errc>(number);
        EXPECT_NE(to_string(code), "unknown") << number;
        EXPECT_EQ(eshm::Failure{code}.message().find("unknown"), std::string::npos) << number;
    }
}

TEST(Error, OfABatchCountsTheSentMessages) {
    static_assert(std::is_base_of_v<eshm::Error, eshm::BatchError>);
    EXPECT_NO_THROW(eshm::BatchResult{3}.value());
    const eshm::BatchResult stopped{3, eshm::Failure{Errc::full, "no room"}};
    EXPECT_FALSE(stopped);
    EXPECT_EQ(stopped.sent(), 3U);
    try {
        stopped.value();
        ADD_FAILURE() << "nothing was thrown";
    } catch (const eshm::BatchError& error) {
        EXPECT_EQ(error.code(), Errc::full);
        EXPECT_EQ(error.sent(), 3U);
        EXPECT_STREQ(error.what(), "no room");
    }
}

TEST(Error, IsAnErrorCode) {
    const std::error_code code = Errc::timeout;
    EXPECT_EQ(code, Errc::timeout);
    EXPECT_EQ(code, std::errc::timed_out);
    EXPECT_NE(code, std::errc::message_size);
    EXPECT_STREQ(code.category().name(), "eshm");
    EXPECT_EQ(code.message(), eshm::Failure{Errc::timeout}.message());
    EXPECT_EQ(std::error_code{Errc::too_large}, std::errc::message_size);
    EXPECT_EQ(std::error_code(-99, eshm::error_category()).message(), "unknown error -99");
}

TEST(Result, IsAValueOrAFailure) {
    eshm::Result<std::string> value{"here"};
    ASSERT_TRUE(value);
    EXPECT_EQ(value.value(), "here");
    EXPECT_EQ(value->size(), 4U);

    eshm::Result<std::string> failure{eshm::Failure{Errc::full, "no room"}};
    ASSERT_FALSE(failure);
    EXPECT_EQ(failure.error().code(), Errc::full);
    EXPECT_EQ(failure.error().message(), "no room");
    EXPECT_EQ(support::thrown([&] { failure.value(); }), Errc::full);
}

TEST(Result, OfVoidIsSuccessOrAFailure) {
    EXPECT_TRUE(eshm::Result<void>{});
    EXPECT_NO_THROW(eshm::Result<void>{}.value());
    EXPECT_EQ(support::thrown([] { eshm::Result<void>{eshm::Failure{Errc::closed}}.value(); }), Errc::closed);
}

TEST(Text, EncodingAddsOneTerminator) {
    const std::string encoded = eshm::text::encode("Hello from master #0");
    EXPECT_EQ(encoded.size(), 21U);
    EXPECT_EQ(encoded.back(), '\0');
    EXPECT_EQ(eshm::text::encode("").size(), 1U);
    EXPECT_EQ(eshm::text::encode("größe").size(), 8U);
}

TEST(Text, DecodingRemovesTheTerminator) {
    using namespace std::string_literals;
    EXPECT_EQ(eshm::text::decode("ACK\0"s), "ACK");
    EXPECT_EQ(eshm::text::decode("ACK"s), "ACK") << "some senders leave the terminator out";
    EXPECT_EQ(eshm::text::decode({}), "");
}

TEST(Text, InvalidTextIsAnErrorWithItsPosition) {
    using namespace std::string_literals;
    for (const auto& text : {"a\0b"s, "a\xFF"s}) {
        const auto encoded = eshm::text::try_encode(text);
        ASSERT_FALSE(encoded);
        EXPECT_EQ(encoded.error().code(), Errc::invalid);
        EXPECT_NE(encoded.error().message().find("at byte 1"), std::string::npos)
            << encoded.error().message();

        EXPECT_EQ(support::thrown([&] { (void)eshm::text::decode(text); }), Errc::invalid);
    }
}

} // namespace
