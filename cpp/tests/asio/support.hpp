// Helpers of the tests with Asio: standalone, or Boost's.
#ifndef ESHM_TESTS_ASIO_SUPPORT_HPP
#define ESHM_TESTS_ASIO_SUPPORT_HPP

#include "../support.hpp"

#include <eshm/asio.hpp>

#ifdef ESHM_ASIO_BOOST
#include <boost/asio.hpp>
#include <boost/system/system_error.hpp>
#else
#include <asio.hpp>
#endif

#include <optional>
#include <utility>

namespace support {

namespace net = eshm::asio::net;
using eshm::asio::AsyncEndpoint;
using eshm::asio::error_code;

#ifdef ESHM_ASIO_BOOST
using boost::system::system_error;
#else
using std::system_error;
#endif

/// Runs the context until `is_done()`.
template <class Condition>
void drive(net::io_context& context, Condition is_done) {
    while (!is_done()) {
        context.restart();
        if (context.run_one_for(long_wait) == 0) {
            FAIL() << "nothing happens";
        }
    }
}

/// Runs what is ready, until nothing is.
inline void settle(net::io_context& context) {
    for (int turns = 0; turns < 10'000; ++turns) {
        context.restart();
        if (context.poll() == 0) {
            return;
        }
    }
    FAIL() << "an operation that waits is called again and again";
}

/// What an operation completes with.
template <class T>
struct Outcome {
    error_code error;
    std::optional<T> value;
};
struct Nothing {};

/// An operation with a callback.
struct Callback {
    template <class T, class Start>
    static Outcome<T> run(net::io_context& context, Start start) {
        Outcome<T> outcome;
        bool done = false;
        start([&](error_code error, auto... value) {
            outcome.error = error;
            (outcome.value.emplace(std::move(value)), ...);
            done = true;
        });
        EXPECT_FALSE(done) << "the initiating call called the handler";
        drive(context, [&] { return done; });
        return outcome;
    }
};

/// An operation whose result is a future.
struct Future {
    template <class T, class Start>
    static Outcome<T> run(net::io_context& context, Start start) {
        Outcome<T> outcome;
        auto future = start(net::use_future);
        drive(context, [&] { return future.wait_for(0s) == std::future_status::ready; });
        try {
            if constexpr (std::is_same_v<T, Nothing>) {
                future.get();
            } else {
                outcome.value.emplace(future.get());
            }
        } catch (const system_error& error) {
            outcome.error = error.code();
        }
        return outcome;
    }
};

#if defined(ASIO_HAS_CO_AWAIT) || defined(BOOST_ASIO_HAS_CO_AWAIT)
#define HAS_COROUTINES

/// An operation that a coroutine awaits.
struct Coroutine {
    template <class T, class Start>
    static Outcome<T> run(net::io_context& context, Start start) {
        Outcome<T> outcome;
        bool done = false;
        const auto body = [&]() -> net::awaitable<void> {
            try {
                if constexpr (std::is_same_v<T, Nothing>) {
                    co_await start(net::use_awaitable);
                } else {
                    outcome.value.emplace(co_await start(net::use_awaitable));
                }
            } catch (const system_error& error) {
                outcome.error = error.code();
            }
            done = true;
        };
        net::co_spawn(context, body, net::detached);
        drive(context, [&] { return done; });
        return outcome;
    }
};

using Kinds = ::testing::Types<Callback, Future, Coroutine>;
#else
using Kinds = ::testing::Types<Callback, Future>;
#endif

/// A slave that is used asynchronously, and its master.
struct AsyncPair {
    explicit AsyncPair(const eshm::Options& options = {})
        : pair{options}, robot{context, std::move(pair.slave)} {}

    /// Does something after what is ready now.
    template <class Action>
    void later(Action action) {
        net::post(context, [this, action]() mutable { net::post(context, action); });
    }

    net::io_context context;
    Pair pair;
    eshm::Endpoint& master = pair.master;
    AsyncEndpoint robot;
};

/// Options of a queue that is soon full.
inline eshm::Options small_queue() {
    eshm::Options options;
    options.queue_capacity = 4096;
    return options;
}

/// Sends until there is no room.
inline std::size_t fill(eshm::Endpoint& endpoint, const std::string& bytes) {
    std::size_t count = 0;
    while (endpoint.try_send(bytes)) {
        ++count;
    }
    return count;
}

} // namespace support

#endif
