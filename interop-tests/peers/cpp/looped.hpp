// The endpoint of the scenarios: its waits block the thread, or are operations of Asio.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <eshm/eshm.hpp>

#ifdef PEER_ASIO

#include <functional>
#include <memory>
#include <system_error>
#include <vector>

#include <asio/io_context.hpp>
#include <eshm/asio.hpp>

// An endpoint whose waits are operations of Asio, which are cancelled when their time is over.
//
// An operation that was cancelled is followed by the call that does not wait. One that has failed is followed
// by the call that blocks, which fails at once in the same way, with the error's text.
class Endpoint {
  public:
    Endpoint(std::string_view name, const eshm::Options& options)
        : loop_{std::make_unique<Loop>(eshm::Endpoint{name, options})} {}

    std::uint64_t close() { return now().close(); }

    [[nodiscard]] eshm::Role role() const { return now().role(); }
    [[nodiscard]] std::size_t data_size() const { return now().data_size(); }
    [[nodiscard]] std::size_t max_message() const { return now().max_message(); }
    [[nodiscard]] eshm::PeerState peer_state() const { return now().peer_state(); }
    [[nodiscard]] std::uint64_t generation() const { return now().generation(); }
    [[nodiscard]] eshm::Stats stats() const { return now().stats(); }

    void wait_for_peer(eshm::Duration wait) {
        if (const auto error = within(wait, [this](auto done) { async().async_wait_for_peer(done); })) {
            now().wait_for_peer(rest(wait, error));
        }
    }

    void write(eshm::bytes_view bytes) { now().write(bytes); }
    eshm::Result<void> try_write(eshm::bytes_view bytes) { return now().try_write(bytes); }

    void send(eshm::bytes_view bytes, eshm::Duration wait = eshm::forever) { try_send(bytes, wait).value(); }
    eshm::Result<void> try_send(eshm::bytes_view bytes, eshm::Duration wait = none) {
        if (wait != none) {
            if (auto sent = cancel_send(bytes, wait)) {
                return std::move(*sent);
            }
        }
        return now().try_send(bytes);
    }

    // Returns nothing if it was cancelled.
    std::optional<eshm::Result<void>> cancel_send(eshm::bytes_view bytes, eshm::Duration wait) {
        const auto error = within(wait, [&](auto done) { async().async_send(bytes, done); });
        if (error == asio::error::operation_aborted) {
            return std::nullopt;
        }
        return error ? now().try_send(bytes, wait) : eshm::Result<void>{};
    }

    template <class Range>
    void send_many(const Range& messages) {
        try_send_many(messages, eshm::forever).value();
    }
    template <class Range>
    eshm::BatchResult try_send_many(const Range& messages, eshm::Duration wait = none) {
        std::vector<eshm::bytes_view> views(messages.begin(), messages.end());
        std::size_t sent = 0;
        std::error_code error;
        if (wait != none) {
            error = within(wait, [&](auto done) {
                async().async_send_many(views.data(), views.size(),
                                        [&sent, done](std::error_code error, std::size_t count) mutable {
                                            sent = count;
                                            done(error);
                                        });
            });
        }
        views.erase(views.begin(), views.begin() + static_cast<std::ptrdiff_t>(sent));
        const auto last = now().try_send_many(views, rest(wait, error));
        sent += last.sent();
        return last ? eshm::BatchResult{sent} : eshm::BatchResult{sent, last.error()};
    }

    eshm::Loan loan(std::size_t size, eshm::Duration wait) {
        std::optional<eshm::Loan> lent;
        std::error_code error;
        if (wait != none) {
            error = take(wait, lent, [&](auto done) { async().async_loan(size, done); });
        }
        return lent ? std::move(*lent) : now().loan(size, rest(wait, error));
    }
    eshm::Result<eshm::Loan> try_loan(std::size_t size) { return now().try_loan(size); }

    eshm::Message recv() { return try_recv(eshm::forever).value(); }
    std::optional<eshm::Message> recv(eshm::Duration wait) { return in_time(try_recv(wait)); }
    eshm::Result<eshm::Message> try_recv(eshm::Duration wait = none) {
        if (wait != none) {
            if (auto received = cancel_recv(wait)) {
                return std::move(*received);
            }
        }
        return now().try_recv();
    }

    // Returns nothing if it was cancelled.
    std::optional<eshm::Result<eshm::Message>> cancel_recv(eshm::Duration wait) {
        std::optional<eshm::Message> received;
        const auto error = take(wait, received, [this](auto done) { async().async_recv(done); });
        if (error == asio::error::operation_aborted) {
            return std::nullopt;
        }
        return received ? eshm::Result<eshm::Message>{std::move(*received)} : now().try_recv(wait);
    }

    std::optional<eshm::Message> read(eshm::Duration wait) { return in_time(try_read(wait)); }
    eshm::Result<eshm::Message> try_read(eshm::Duration wait = none) {
        std::optional<eshm::Message> value;
        std::error_code error;
        if (wait != none) {
            error = take(wait, value, [this](auto done) { async().async_read(done); });
        }
        return value ? eshm::Result<eshm::Message>{std::move(*value)} : now().try_read(rest(wait, error));
    }

    template <class Function>
    std::size_t recv_many(std::size_t most, Function&& each, eshm::Duration wait) {
        std::size_t count = 0;
        const auto begin = [&](auto done) {
            async().async_recv_many(most, std::ref(each),
                                    [&count, done](std::error_code error, std::size_t received) mutable {
                                        count = received;
                                        done(error);
                                    });
        };
        std::error_code error;
        if (wait != none) {
            error = within(wait, begin);
            if (!error) {
                return count;
            }
        }
        return now().recv_many(most, each, rest(wait, error));
    }

  private:
    static constexpr eshm::Duration none{std::chrono::nanoseconds{0}};

    struct Loop {
        explicit Loop(eshm::Endpoint opened) : endpoint{context, std::move(opened)} {}

        asio::io_context context;
        eshm::asio::AsyncEndpoint endpoint;
    };

    [[nodiscard]] eshm::asio::AsyncEndpoint& async() const { return loop_->endpoint; }
    // The endpoint itself, for calls that do not wait.
    [[nodiscard]] eshm::Endpoint& now() const { return loop_->endpoint.endpoint(); }

    // Begins an operation, and cancels it when the time is over. Returns how it has ended.
    template <class Begin>
    std::error_code within(eshm::Duration wait, Begin begin) {
        std::optional<std::error_code> outcome;
        loop_->context.restart();
        begin([&outcome](std::error_code error) { outcome = error; });
        if (wait != eshm::forever) {
            const auto deadline = std::chrono::steady_clock::now() + wait.count();
            while (!outcome && loop_->context.run_one_until(deadline) > 0) {
            }
            if (!outcome) {
                async().cancel();
            }
        }
        while (!outcome) {
            loop_->context.run_one();
        }
        return *outcome;
    }

    // As `within`, for an operation that completes with a value.
    template <class Value, class Begin>
    std::error_code take(eshm::Duration wait, std::optional<Value>& value, Begin begin) {
        return within(wait, [&](auto done) {
            begin([&value, done](std::error_code error, Value taken) mutable {
                if (!error) {
                    value = std::move(taken);
                }
                done(error);
            });
        });
    }

    // How long the call that follows an operation may wait.
    static eshm::Duration rest(eshm::Duration wait, std::error_code error) {
        return error && error != asio::error::operation_aborted ? wait : none;
    }

    static std::optional<eshm::Message> in_time(eshm::Result<eshm::Message> result) {
        if (result) {
            return std::move(*result);
        }
        if (result.error().code() != eshm::Errc::no_data && result.error().code() != eshm::Errc::timeout) {
            result.error().raise();
        }
        return std::nullopt;
    }

    std::unique_ptr<Loop> loop_;
};

#else

// An endpoint whose waits block the thread. They end only by their time-out.
class Endpoint : public eshm::Endpoint {
  public:
    using eshm::Endpoint::Endpoint;

    std::optional<eshm::Result<void>> cancel_send(eshm::bytes_view bytes, eshm::Duration wait) {
        return try_send(bytes, wait);
    }
    std::optional<eshm::Result<eshm::Message>> cancel_recv(eshm::Duration wait) { return try_recv(wait); }
};

#endif
