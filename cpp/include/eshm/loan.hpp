/// @file
/// `eshm::Loan`: memory for a message that is built in place.
#ifndef ESHM_LOAN_HPP
#define ESHM_LOAN_HPP

#include <cstddef>
#include <utility>

#include "eshm/bytes.hpp"
#include "eshm/error.hpp"

namespace eshm {

namespace detail {
struct Attempt;  // for event loops: attempt.hpp
struct Outgoing; // the sending direction of an endpoint; in the library

/// Returns the memory of the loan of `outgoing` without sending it.
ESHM_CPP_API void forget(Outgoing& outgoing) noexcept;
} // namespace detail

/// Memory for a message in the queue, from `Endpoint::loan`. Fill it and send it, without a copy.
///
/// ```cpp
/// eshm::Loan loan = robot.loan(sizeof(Image));
/// auto* image = new (loan.bytes().data()) Image;
/// camera.expose(*image);
/// loan.send();
/// ```
///
/// The destructor and `release()` return the memory without sending anything. A loan can be moved but not
/// copied. While it exists, the other sending calls of the endpoint fail with `Errc::invalid`. A loan may
/// outlive its endpoint and keeps the segment open until it is gone. Any thread may use and destroy it, but
/// not while another thread closes, moves or destroys the endpoint.
class ESHM_CPP_API Loan {
  public:
    /// No memory, as after `send()`.
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

    /// Returns the memory without sending anything.
    void release() noexcept {
        if (lender_) {
            detail::forget(*std::exchange(lender_, nullptr));
        }
        data_ = nullptr;
        size_ = 0;
    }

    /// The memory: `std::span<std::byte>` in C++20, `eshm::mutable_bytes` in C++17. Its initial content is
    /// arbitrary. It is aligned to 8 bytes; in a queue and longer than 56 bytes, to 64.
#ifdef __cpp_lib_span
    // The tag keeps the two apart for the linker when a program mixes both standards.
    [[nodiscard]] __attribute__((abi_tag("span"))) std::span<std::byte> bytes() const noexcept {
        return {data_, size_};
    }
#else
    [[nodiscard]] mutable_bytes bytes() const noexcept { return {data_, size_}; }
#endif

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Sends the message. The loan ends, even if this fails.
    /// @throws Error `Errc::invalid` if the loan was sent, released or moved from; `Errc::forked`.
    void send() { try_send().value(); }
    Result<void> try_send() noexcept;

  private:
    friend class Endpoint;
    friend struct detail::Attempt;

    detail::Outgoing* lender_ = nullptr;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace eshm

#endif
