/// @file
/// Standalone Asio or Boost's, under one name. Part of eshm/asio.hpp.
#ifndef ESHM_ASIO_PLATFORM_HPP
#define ESHM_ASIO_PLATFORM_HPP

#include <cstdint>

#include "eshm/error.hpp"

#ifdef ESHM_ASIO_BOOST

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/version.hpp>

#define ESHM_ASIO_FLAVOUR of_boost
// Per-operation cancellation came with 1.19.
#define ESHM_ASIO_HAS_SLOTS (BOOST_ASIO_VERSION >= 101900)

#else

#include <asio/any_io_executor.hpp>
#include <asio/compose.hpp>
#include <asio/error.hpp>
#include <asio/execution_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/version.hpp>

#define ESHM_ASIO_FLAVOUR standalone
#define ESHM_ASIO_HAS_SLOTS (ASIO_VERSION >= 101900)

#endif

namespace eshm {

namespace asio {

// The two may meet in one program.
inline namespace ESHM_ASIO_FLAVOUR {

#ifdef ESHM_ASIO_BOOST

namespace net = ::boost::asio;
using error_code = ::boost::system::error_code;

namespace detail {

/// The category of ESHM's errors, for `boost::system::error_code`.
class Category final : public ::boost::system::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return eshm::error_category().name(); }
    [[nodiscard]] std::string message(int code) const override {
        return eshm::error_category().message(code);
    }
};

} // namespace detail

/// The `error_code` of an `Errc`.
[[nodiscard]] inline error_code make_error(Errc code) noexcept {
    static const detail::Category category;
    return {static_cast<int>(code), category};
}

#else

namespace net = ::asio;
using error_code = std::error_code;

/// The `error_code` of an `Errc`.
[[nodiscard]] inline error_code make_error(Errc code) noexcept { return make_error_code(code); }

#endif

} // namespace ESHM_ASIO_FLAVOUR

} // namespace asio

#ifdef ESHM_ASIO_BOOST
[[nodiscard]] inline bool operator==(const asio::error_code& error, Errc code) noexcept {
    return error == asio::make_error(code);
}
[[nodiscard]] inline bool operator!=(const asio::error_code& error, Errc code) noexcept {
    return !(error == code);
}
#endif

} // namespace eshm

#endif
