/// @file
/// `eshm::Message`: a message that was received or a value that was read.
#ifndef ESHM_MESSAGE_HPP
#define ESHM_MESSAGE_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "eshm/bytes.hpp"
#include "eshm/error.hpp"

namespace eshm {

namespace detail {
struct Attempt;  // for event loops: attempt.hpp
struct Incoming; // the receiving direction of an endpoint; in the library

/// The core's description of a message. The core fills it in: `Received` in handles.rs.
struct Received {
    const std::byte* data = nullptr;
    std::size_t size = 0;
    std::uint64_t skipped = 0;
    std::uint64_t generation = 0;
};

/// Releases the message that `incoming` has lent.
ESHM_CPP_API void release(Incoming& incoming) noexcept;
} // namespace detail

/// A received message or a value that was read. It can be moved but not copied; a message that was moved from
/// is empty.
///
/// **A received message is lent**: `bytes()` views it in the queue, without a copy. While it is lent, the
/// queue does not reuse its memory, and the other receiving calls of the endpoint fail with `Errc::invalid`.
/// A process that is killed meanwhile receives it again after its restart. So release it soon, at the end of
/// a scope or with `release()`, and copy what you keep:
///
/// ```cpp
/// while (auto message = robot.recv(5ms)) { // released at the end of each turn
///     log.emplace_back(message->text());
/// }
/// ```
///
/// A message may outlive its endpoint and keeps the segment open until it is gone. Any thread may use and
/// destroy it, but not while another thread closes, moves or destroys the endpoint. A faulty or hostile peer
/// can change the bytes while you look at them: copy them first if you must check them.
///
/// A value that was read from the mailbox owns its bytes. Any number of values may exist.
class ESHM_CPP_API Message {
  public:
    /// An empty message, as after `release()`.
    Message() noexcept = default;
    Message(Message&& other) noexcept { take(other); }
    Message& operator=(Message&& other) noexcept {
        if (this != &other) {
            release();
            take(other);
        }
        return *this;
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    ~Message() {
        if (lender_) {
            detail::release(*lender_);
        }
    }

    /// Releases the message before it is destroyed. It is empty then.
    void release() noexcept {
        if (lender_) {
            detail::release(*std::exchange(lender_, nullptr));
        }
        heap_.reset();
        content_ = {};
    }

    /// The bytes: `std::span<const std::byte>` in C++20, `eshm::bytes_view` in C++17. They are valid until
    /// the message is destroyed, released or moved from. Those of a received message are aligned to 8 bytes,
    /// if longer than 56 to 64.
#ifdef __cpp_lib_span
    // The tag keeps the two apart for the linker when a program mixes both standards.
    [[nodiscard]] __attribute__((abi_tag("span"))) std::span<const std::byte> bytes() const noexcept {
        return {content_.data, content_.size};
    }
#else
    [[nodiscard]] bytes_view bytes() const noexcept { return {content_.data, content_.size}; }
#endif

    /// The number of bytes. An empty message is legal.
    [[nodiscard]] std::size_t size() const noexcept { return content_.size; }

    /// Returns a copy of the text without the NULs at its end; there need not be any. The copy is made before
    /// the check, so that the peer cannot change the text in between.
    /// @throws Error `Errc::invalid` if it is not UTF-8, or has a NUL before its end.
    [[nodiscard]] std::string text() const { return try_text().value(); }

    /// The same, without throwing.
    [[nodiscard]] Result<std::string> try_text() const noexcept;

    /// The number of values that were overwritten unread since the last read; 0 for a received message.
    [[nodiscard]] std::uint64_t skipped() const noexcept { return content_.skipped; }

    /// The generation of the peer when the message was received or read. A change means that the peer
    /// restarted.
    [[nodiscard]] std::uint64_t generation() const noexcept { return content_.generation; }

  private:
    friend class Endpoint;
    friend struct detail::Attempt;

    /// Moves `other` into this message, which is empty.
    void take(Message& other) noexcept;

    /// Copies a value that was read, since it is in a buffer of the endpoint until the next call.
    void own_value() noexcept;

    detail::Received content_;
    /// The lender of a received message.
    detail::Incoming* lender_ = nullptr;
    // A value that was read: `short_` holds a short one, so that reading it allocates nothing, `heap_` a long
    // one.
    std::byte short_[64];
    std::unique_ptr<std::byte[]> heap_;
};

inline void Message::own_value() noexcept {
    std::byte* own = short_;
    if (content_.size > sizeof short_) {
        // Not make_unique, which would zero the memory first.
        heap_.reset(own = new std::byte[content_.size]);
    }
    content_.data = std::copy_n(content_.data, content_.size, own) - content_.size;
}

inline void Message::take(Message& other) noexcept {
    content_ = std::exchange(other.content_, {});
    lender_ = std::exchange(other.lender_, nullptr);
    heap_ = std::move(other.heap_);
    if (content_.data == other.short_) {
        content_.data = static_cast<const std::byte*>(std::memcpy(short_, other.short_, content_.size));
    }
}

} // namespace eshm

#endif
