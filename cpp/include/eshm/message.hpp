/// @file
/// `eshm::Message`: what was read or received.
#ifndef ESHM_MESSAGE_HPP
#define ESHM_MESSAGE_HPP

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
struct Incoming; // the receiving direction of an endpoint; in the library

/// What the core says of a message: it fills this itself, as `Received` in handles.rs.
struct Received {
    const std::byte* data = nullptr;
    std::size_t size = 0;
    std::uint64_t skipped = 0;
    std::uint64_t generation = 0;
};

/// Gives the message that lies in `incoming` back.
ESHM_CPP_API void release(Incoming& incoming) noexcept;
} // namespace detail

/// A message, with what the channel knows of it. It can be moved but not copied; one that was moved from is
/// empty.
///
/// **One that was received is lent**: `bytes()` shows it where it lies, in the queue, without a copy. As long
/// as it is, its room is not used again, a process that is killed receives it again when it is back, and the
/// endpoint receives and reads nothing else (`Errc::invalid`). So let it go soon, at the end of a scope or by
/// `release()`, and copy what is to be kept:
///
/// ```cpp
/// while (auto message = robot.recv(5ms)) { // released at the end of each turn
///     log.emplace_back(message->text());
/// }
/// ```
///
/// It may outlive its endpoint, which keeps the segment open until then, and be used and destroyed by any
/// thread, but not while another closes, moves or destroys that endpoint. Who must be safe from a peer that
/// changes the bytes meanwhile copies them before checking them.
///
/// One that was read, a value of the mailbox, owns its bytes, and any number of them may exist.
class ESHM_CPP_API Message {
  public:
    /// No message: of size 0, as after `release()`.
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

    /// Gives the message's room back before the end of its life; it is empty from then on.
    void release() noexcept {
        if (lender_) {
            detail::release(*std::exchange(lender_, nullptr));
        }
        heap_.reset();
        content_ = {};
    }

    /// The bytes: `std::span<const std::byte>` in C++20, `eshm::bytes_view` before. Valid while the message
    /// lives and is not moved from. Received ones start at a multiple of 8, longer ones than 56 of 64.
#ifdef __cpp_lib_span
    // The tag keeps the two apart for the linker when a program mixes both standards.
    [[nodiscard]] __attribute__((abi_tag("span"))) std::span<const std::byte> bytes() const noexcept {
        return {content_.data, content_.size};
    }
#else
    [[nodiscard]] bytes_view bytes() const noexcept { return {content_.data, content_.size}; }
#endif

    /// How many bytes there are; 0 is a legal message, an event.
    [[nodiscard]] std::size_t size() const noexcept { return content_.size; }

    /// A copy of the text, without the NULs at its end; text that came without any is accepted too. Copied,
    /// then checked: a peer cannot change it any more.
    /// @throws Error `Errc::invalid` when it is not UTF-8, or has a NUL before its end.
    [[nodiscard]] std::string text() const { return try_text().value(); }

    /// The same, without throwing.
    [[nodiscard]] Result<std::string> try_text() const noexcept;

    /// How many values of the mailbox were overwritten unread since the last read; 0 for `recv`.
    [[nodiscard]] std::uint64_t skipped() const noexcept { return content_.skipped; }

    /// The generation of the peer when the message was taken: a change tells that the peer was restarted.
    [[nodiscard]] std::uint64_t generation() const noexcept { return content_.generation; }

  private:
    friend class Endpoint;

    /// Makes this, which is empty, what `other` was.
    void take(Message& other) noexcept;

    detail::Received content_;
    /// To whom the message is to be given back, if it is lent.
    detail::Incoming* lender_ = nullptr;
    /// A value of the mailbox: here if it is short, so that reading it allocates nothing, there otherwise.
    std::byte short_[64];
    std::unique_ptr<std::byte[]> heap_;
};

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
