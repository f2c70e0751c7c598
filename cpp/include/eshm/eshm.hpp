/// @file
/// ESHM for C++17 and C++20: messages through shared memory between C++, Rust, Python, C and Go processes on
/// one Linux machine. Include this header; it includes all others, except that for Asio (eshm/asio.hpp).
///
/// ```cmake
/// find_package(eshm 2 REQUIRED)
/// target_link_libraries(app PRIVATE eshm::eshm)
/// ```
///
/// A master that answers every message of its slave, which may be of any language:
///
/// ```cpp
/// #include <eshm/eshm.hpp>
/// #include <iostream>
///
/// int main() {
///     try {
///         eshm::Endpoint robot{"robot", eshm::Role::master};
///         for (;;) {
///             eshm::Message message = robot.recv();
///             std::cout << message.text() << '\n';
///             robot.send(eshm::text::encode("ack"));
///         }
///     } catch (const eshm::Error& error) {
///         std::cerr << error.what() << '\n';
///         return error.code() == eshm::Errc::peer_closed ? 0 : 1;
///     }
/// }
/// ```
#ifndef ESHM_ESHM_HPP
#define ESHM_ESHM_HPP

#include "eshm/bytes.hpp"
#include "eshm/endpoint.hpp"
#include "eshm/error.hpp"
#include "eshm/events.hpp"
#include "eshm/inspector.hpp"
#include "eshm/loan.hpp"
#include "eshm/message.hpp"
#include "eshm/messages.hpp"
#include "eshm/monitor.hpp"
#include "eshm/observer.hpp"
#include "eshm/options.hpp"
#include "eshm/segments.hpp"
#include "eshm/text.hpp"
#include "eshm/wait_set.hpp"

#endif
