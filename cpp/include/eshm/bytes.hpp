/// @file
/// `eshm::bytes_view`: the bytes that an endpoint is given, the same type in C++17 and C++20;
/// `eshm::mutable_bytes`: memory to write a message to.
#ifndef ESHM_BYTES_HPP
#define ESHM_BYTES_HPP

#include <cstddef>
#include <cstring>
#include <iterator>
#include <string_view>
#include <type_traits>

#if __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_span
#include <span>
#endif

namespace eshm {

namespace detail {

template <class T>
inline constexpr bool is_byte_like = std::is_same_v<std::remove_cv_t<T>, std::byte> ||
                                     (sizeof(T) == 1 && std::is_integral_v<T> &&
                                      !std::is_same_v<std::remove_cv_t<T>, bool>);

/// The elements of string literals.
template <class T>
inline constexpr bool is_character = std::is_same_v<std::remove_cv_t<T>, char>;
#ifdef __cpp_char8_t
template <>
inline constexpr bool is_character<char8_t> = true;
template <>
inline constexpr bool is_character<const char8_t> = true;
#endif

/// True for contiguous containers of bytes. Character arrays are excluded: a literal is text, and its
/// terminating NUL is not part of the text.
template <class C, class = void>
inline constexpr bool is_byte_container = false;
template <class C>
inline constexpr bool is_byte_container<
    C, std::void_t<decltype(std::data(std::declval<const C&>()), std::size(std::declval<const C&>()))>> =
    is_byte_like<std::remove_pointer_t<decltype(std::data(std::declval<const C&>()))>> &&
    !(std::is_array_v<C> && is_character<std::remove_extent_t<C>>);

} // namespace detail

/// A view of bytes: a pointer and a length. It owns nothing and must not outlive the bytes. A temporary is
/// safe as the argument of a call.
///
/// It is constructed, without a copy, from
/// - text: `"ack"`, `u8"ack"`, `const char*`, `std::string_view`, `std::string`: the characters, *without* a
/// NUL
///   (`eshm::text::encode` adds the NUL that programs of other languages expect);
/// - contiguous containers of `std::byte`, `unsigned char`, `char`, `char8_t` …: `std::vector`, `std::array`,
///   `std::span`, C arrays;
/// - a pointer and a size in bytes: `{&pose, sizeof pose}`.
class bytes_view {
  public:
    using value_type = std::byte;
    using iterator = const std::byte*;

    /// No bytes. An empty message is legal.
    constexpr bytes_view() noexcept = default;

    /// The `size` bytes that start at `data`, which may be null when `size` is 0.
    bytes_view(const void* data, std::size_t size) noexcept
        : data_{static_cast<const std::byte*>(data)}, size_{size} {}

    /// The characters of a string literal or C string, up to its NUL.
    bytes_view(const char* text) noexcept : bytes_view{text, std::strlen(text)} {}

#ifdef __cpp_char8_t
    bytes_view(const char8_t* text) noexcept : bytes_view{reinterpret_cast<const char*>(text)} {}
#endif

    /// The elements of a contiguous container of bytes or characters.
    template <class C, class = std::enable_if_t<detail::is_byte_container<C>>>
    bytes_view(const C& container) noexcept : bytes_view{std::data(container), std::size(container)} {}

    bytes_view(std::nullptr_t) = delete;

    [[nodiscard]] constexpr const std::byte* data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] constexpr iterator begin() const noexcept { return data_; }
    [[nodiscard]] constexpr iterator end() const noexcept { return data_ + size_; }

    /// The byte at `index`, which must be less than `size()`.
    constexpr const std::byte& operator[](std::size_t index) const noexcept { return data_[index]; }

    /// The same bytes as characters, including a terminating NUL if there is one.
    [[nodiscard]] std::string_view chars() const noexcept {
        return {reinterpret_cast<const char*>(data_), size_};
    }

    /// Returns whether both hold the same bytes.
    friend bool operator==(bytes_view a, bytes_view b) noexcept { return a.chars() == b.chars(); }
    friend bool operator!=(bytes_view a, bytes_view b) noexcept { return !(a == b); }

  private:
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

/// A view of bytes that can be written: `std::span<std::byte>` for C++17.
class mutable_bytes {
  public:
    using value_type = std::byte;
    using iterator = std::byte*;

    constexpr mutable_bytes() noexcept = default;
    constexpr mutable_bytes(std::byte* data, std::size_t size) noexcept : data_{data}, size_{size} {}

    [[nodiscard]] constexpr std::byte* data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] constexpr iterator begin() const noexcept { return data_; }
    [[nodiscard]] constexpr iterator end() const noexcept { return data_ + size_; }

    /// The byte at `index`, which must be less than `size()`.
    constexpr std::byte& operator[](std::size_t index) const noexcept { return data_[index]; }

  private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace eshm

#endif
