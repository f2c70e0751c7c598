/// @file
/// `eshm::detail::Attempt`: what the integrations of event loops are made of. Not for programs.
#ifndef ESHM_ATTEMPT_HPP
#define ESHM_ATTEMPT_HPP

#include <cstddef>
#include <cstdint>

#include "eshm/endpoint.hpp"

namespace eshm::detail {

/// The verbs as a wait without limit does them first. None of them waits.
///
/// Each returns 0, an `Errc`, or `would_wait`: a wait would go on, and the event descriptor is armed if the
/// endpoint has one with the interest. A call that returns another number than 0 has taken or sent nothing,
/// except for what `sent` says.
struct ESHM_CPP_API Attempt {
    static constexpr std::int32_t would_wait = 1;

    static std::int32_t recv(Endpoint& endpoint, Message& message) noexcept;
    static std::int32_t read(Endpoint& endpoint, Message& value) noexcept;
    static std::int32_t recv_many(Endpoint& endpoint, std::size_t most, Each& each,
                                  std::size_t& received) noexcept;
    static std::int32_t send(Endpoint& endpoint, bytes_view bytes) noexcept;
    static std::int32_t send_many(Endpoint& endpoint, const bytes_view* messages, std::size_t count,
                                  std::size_t& sent) noexcept;
    static std::int32_t loan(Endpoint& endpoint, std::size_t size, Loan& loan) noexcept;
};

} // namespace eshm::detail

#endif
