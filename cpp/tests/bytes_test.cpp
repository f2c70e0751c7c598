// Conversions to eshm::bytes_view.
#include "support.hpp"

#include <array>
#include <deque>
#include <type_traits>
#include <vector>

namespace {

using eshm::bytes_view;

static_assert(std::is_trivially_copyable_v<bytes_view>);
static_assert(std::is_convertible_v<std::vector<std::byte>, bytes_view>);
static_assert(std::is_convertible_v<std::vector<unsigned char>, bytes_view>);
static_assert(std::is_convertible_v<std::string, bytes_view>);
static_assert(!std::is_convertible_v<std::vector<int>, bytes_view>, "elements that are no bytes");
static_assert(!std::is_convertible_v<std::vector<bool>, bytes_view>);
static_assert(!std::is_convertible_v<std::deque<char>, bytes_view>, "not contiguous");
static_assert(!std::is_convertible_v<std::nullptr_t, bytes_view>);
static_assert(!std::is_convertible_v<int, bytes_view>);

// A parameter, as a user passes it: the temporary lives until the call returns.
std::string chars(bytes_view bytes) { return std::string{bytes.chars()}; }

TEST(BytesView, TextHasNoTerminator) {
    using namespace std::string_literals;
    using namespace std::string_view_literals;
    const char* pointer = "ack";
    EXPECT_EQ(chars("ack"), "ack");
    EXPECT_EQ(chars(pointer), "ack");
    EXPECT_EQ(chars("ack"s), "ack");
    EXPECT_EQ(chars("ack"sv), "ack");
    EXPECT_EQ(chars("a\0k"s), "a\0k"s) << "only C strings end at a NUL";
    EXPECT_EQ(chars("größe"), "größe");
}

TEST(BytesView, ContainersAreViewedWhole) {
    const unsigned char array[] = {'a', 'c', 'k', 0};
    EXPECT_EQ(chars(array).size(), 4U);
    EXPECT_EQ(chars(std::array<std::byte, 2>{std::byte{'o'}, std::byte{'k'}}), "ok");
    EXPECT_EQ(chars(std::vector<char>{'o', 'k'}), "ok");
    EXPECT_EQ(chars(std::vector<std::byte>{}), "");
}

TEST(BytesView, PointerAndSizeAreViewedAsTheyAreInMemory) {
    const struct { float x, y; } pose{1, 2};
    const bytes_view view{&pose, sizeof pose};
    EXPECT_EQ(view.size(), sizeof pose);
    EXPECT_EQ(static_cast<const void*>(view.data()), &pose);
    EXPECT_TRUE(bytes_view(nullptr, 0).empty());
}

TEST(BytesView, IsAComparableRange) {
    const bytes_view view{"ack"};
    EXPECT_EQ(std::vector<std::byte>(view.begin(), view.end()).size(), 3U);
    EXPECT_EQ(view[1], std::byte{'c'});
    EXPECT_EQ(view, bytes_view{std::string{"ack"}});
    EXPECT_NE(view, bytes_view{});
}

TEST(MutableBytes, WriteToTheViewedMemory) {
    std::array<std::byte, 2> memory{};
    const eshm::mutable_bytes bytes{memory.data(), memory.size()};
    bytes[0] = std::byte{'o'};
    *(bytes.begin() + 1) = std::byte{'k'};
    EXPECT_EQ(chars(memory), "ok");
    EXPECT_EQ(chars(bytes), "ok") << "it can be sent itself";
    EXPECT_TRUE(eshm::mutable_bytes{}.empty());
}

#ifdef __cpp_lib_span
TEST(BytesView, SpansConvertBothWays) {
    const std::vector<std::byte> bytes{std::byte{1}, std::byte{2}};
    const bytes_view view = std::span{bytes};
    EXPECT_EQ(view.data(), bytes.data());
    const std::span<const std::byte> span = view;
    EXPECT_EQ(span.size(), 2U);
    EXPECT_EQ(bytes_view{std::as_bytes(std::span<const int>{})}.size(), 0U);
    EXPECT_EQ(chars(u8"ok"), "ok");
}
#endif

} // namespace
