/// @file
/// `eshm::Loan`: room for a message that is built in place.
#ifndef ESHM_LOAN_HPP
#define ESHM_LOAN_HPP

#include <cstddef>
#include <utility>

#include "eshm/bytes.hpp"
#include "eshm/error.hpp"

namespace eshm {

namespace detail {
struct Outgoing; // the sending direction of an endpoint; in the library

/// Gives the room that lies in `outgoing` back, unsent.
ESHM_CPP_API void forget(Outgoing& outgoing) noexcept;
} // namespace detail

/// Room for a message in the queue, from `Endpoint::loan`: to be filled and sent, without a copy.
///
/// ```cpp
/// eshm::Loan loan = robot.loan(sizeof(Image));
/// auto* image = new (loan.bytes().data()) Image;
/// camera.expose(*image);
/// loan.send();
/// ```
///
/// Destroying it, or `release()`, gives the room back; nothing is sent. It can be moved but not copied. As
/// long as it exists the endpoint sends and writes nothing else (`Errc::invalid`). It may outlive its
/// endpoint, which keeps the segment open until then, and be used and destroyed by any thread, but not while
/// another closes, moves or destroys that endpoint.
class ESHM_CPP_API Loan {
  public:
    /// No room, as after `send()`.
    Loan() noexcept = default;
    Loan(Loan&& other) noexcept
        : lender_{std::exchange(other.lender_, nullptr)}, data_{std::exchange(other.data_, nullptr)},
          size_{std::exchange(other.size_, 0)} {}
    Loan& operator=(Loan&& other) noexcept {
        if (this != &other) {
            release();
            lender_ = std::exchange(other.lender_, nullptr);
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { release(); }

    /// Gives the room back, unsent.
    void release() noexcept {
        if (lender_) {
            detail::forget(*std::exchange(lender_, nullptr));
        }
        data_ = nullptr;
        size_ = 0;
    }

    /// The room: `std::span<std::byte>` in C++20, `eshm::mutable_bytes` before. Its content is arbitrary at
    /// first. It starts at a multiple of 8, in a queue and longer than 56 bytes of 64.
#ifdef __cpp_lib_span
    // The tag keeps the two apart for the linker when a program mixes both standards.
    [[nodiscard]] __attribute__((abi_tag("span"))) std::span<std::byte> bytes() const noexcept {
        return {data_, size_};
    }
#else
    [[nodiscard]] mutable_bytes bytes() const noexcept { return {data_, size_}; }
#endif

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Publishes the message. The loan is over then, even if that failed.
    /// @throws Error `Errc::invalid` when there is no room: it was sent, released or moved from;
    /// `Errc::forked`.
    void send() { try_send().value(); }
    Result<void> try_send() noexcept;

  private:
    friend class Endpoint;

    detail::Outgoing* lender_ = nullptr;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace eshm

#endif
