// The lines of the guide's benchmarks, with losses counted.
#ifndef ESHM_BENCH_PROGRESS_HPP
#define ESHM_BENCH_PROGRESS_HPP

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include <eshm/eshm.hpp>

struct Arguments {
    std::string name;
    std::uint64_t interval = 1000; // messages between two lines
    double seconds = 0;            // 0: as long as the peer stays

    Arguments(int argc, char** argv, const char* usage) {
        if (argc < 2 || argc > 4 || argv[1][0] == '-') {
            throw std::invalid_argument{usage};
        }
        name = argv[1];
        if (argc > 2) {
            interval = std::stoull(argv[2]);
        }
        if (argc > 3) {
            seconds = std::stod(argv[3]);
        }
        if (interval == 0) {
            throw std::invalid_argument{"the interval must be 1 message at least"};
        }
    }
};

class Progress {
  public:
    explicit Progress(std::uint64_t interval) : interval_{interval} {}

    void count() {
        if (++count_ % interval_ == 0) {
            const auto now = Clock::now();
            const double total = seconds(now - started_);
            const double since = seconds(now - line_);
            std::printf("[%6ju] Total: %6.1fs, %.1f msg/s | Interval: %.1f msg/s\n",
                        static_cast<std::uintmax_t>(count_), total, static_cast<double>(count_) / total,
                        static_cast<double>(interval_) / since);
            std::fflush(stdout);
            line_ = now;
        }
    }

    void finish(std::uint64_t lost) const {
        const double total = seconds(Clock::now() - started_);
        std::printf("Average: %.1f msg/s, lost: %ju\n", static_cast<double>(count_) / total,
                    static_cast<std::uintmax_t>(lost));
    }

    [[nodiscard]] double elapsed() const { return seconds(Clock::now() - started_); }
    [[nodiscard]] std::uint64_t messages() const { return count_; }

  private:
    using Clock = std::chrono::steady_clock;
    static double seconds(Clock::duration time) { return std::chrono::duration<double>{time}.count(); }

    std::uint64_t interval_;
    std::uint64_t count_ = 0;
    Clock::time_point started_ = Clock::now();
    Clock::time_point line_ = started_;
};

// A message is its number.
inline std::uint64_t number(const eshm::Message& message) {
    std::uint64_t number = 0;
    if (message.size() != sizeof number) {
        throw std::runtime_error{"a message of " + std::to_string(message.size()) + " bytes, expected 8"};
    }
    std::memcpy(&number, message.bytes().data(), sizeof number);
    return number;
}

#endif
