/// @file
/// `eshm::Message`: what was read or received.
#ifndef ESHM_MESSAGE_HPP
#define ESHM_MESSAGE_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "eshm/bytes.hpp"
#include "eshm/error.hpp"

namespace eshm {

namespace detail {
struct MessageAccess; // fills a Message; in the library
}

/// A message, with what the channel knows of it. It owns its bytes, and can be moved but not copied. One that
/// was moved from is empty.
class ESHM_CPP_API Message {
  public:
    Message(Message&& other) noexcept { *this = std::move(other); }
    Message& operator=(Message&& other) noexcept {
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
        skipped_ = other.skipped_;
        generation_ = other.generation_;
        return *this;
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    ~Message() = default;

    /// The bytes: `std::span<const std::byte>` in C++20, `eshm::bytes_view` before. Valid while the message
    /// lives and is not moved from.
#ifdef __cpp_lib_span
    // The tag keeps the two apart for the linker when a program mixes both standards.
    [[nodiscard]] __attribute__((abi_tag("span"))) std::span<const std::byte> bytes() const noexcept {
        return {data_.get(), size_};
    }
#else
    [[nodiscard]] bytes_view bytes() const noexcept { return {data_.get(), size_}; }
#endif

    /// How many bytes there are; 0 is a legal message, an event.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// The text, without the NULs at its end; text that came without any is accepted too.
    /// @throws Error `Errc::invalid` when it is not UTF-8, or has a NUL before its end.
    [[nodiscard]] std::string_view text() const { return try_text().value(); }

    /// The same, without throwing.
    [[nodiscard]] Result<std::string_view> try_text() const noexcept;

    /// How many values of the mailbox were overwritten unread since the last read; 0 for `recv`.
    [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }

    /// The generation of the peer that wrote it: a change tells that the peer was restarted.
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

  private:
    friend struct detail::MessageAccess;
    Message() noexcept = default;

    std::unique_ptr<std::byte[]> data_;
    std::size_t size_ = 0;
    std::uint64_t skipped_ = 0;
    std::uint64_t generation_ = 0;
};

} // namespace eshm

#endif
