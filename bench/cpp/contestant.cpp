// ESHM from C++, as one process of a measurement: see src/contestants/mod.rs for the command line.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <eshm/eshm.hpp>

#include "measurement.hpp"

namespace {

using bench::Args;
using bench::Number;
using bench::Observation;
using namespace std::chrono_literals;

constexpr std::size_t batch_size = 64;

eshm::Endpoint open(const Args& args) {
    eshm::Options options;
    options.role = args.follows() ? eshm::Role::master : eshm::Role::slave;
    if (args.follows()) {
        options.data_size = std::max<std::size_t>(args.size, 4096);
        options.queue_capacity = std::max<std::size_t>(args.size, 256 << 10);
    }
    eshm::Endpoint endpoint{args.name, options};
    if (args.follows()) {
        std::puts("READY");
        std::fflush(stdout);
    }
    endpoint.wait_for_peer(5s);
    return endpoint;
}

// `send` from a private buffer; `recv` shows the message where it lies.
class Queue {
  public:
    explicit Queue(const Args& args) : endpoint_{open(args)}, buffer_(args.size) {}

    template <class Fill>
    void send(Fill&& fill) {
        fill(buffer_.data(), buffer_.size());
        endpoint_.send({buffer_.data(), buffer_.size()});
    }
    template <class Look>
    auto recv(Look&& look) {
        const eshm::Message message = endpoint_.recv();
        return look(message.bytes().data(), message.size());
    }
    template <class Each>
    void recv_some(Each&& each) {
        recv(each);
    }
    void flush() {}
    [[nodiscard]] std::uint64_t wakeups() const { return endpoint_.stats().wakeups; }

  protected:
    eshm::Endpoint endpoint_;
    std::vector<std::byte> buffer_;
};

// `write` and `read`: the latest value.
class Mailbox : public Queue {
  public:
    using Queue::Queue;

    template <class Fill>
    void send(Fill&& fill) {
        fill(buffer_.data(), buffer_.size());
        endpoint_.write({buffer_.data(), buffer_.size()});
    }
    template <class Look>
    auto recv(Look&& look) {
        const eshm::Message message = endpoint_.read();
        return look(message.bytes().data(), message.size());
    }
    template <class Each>
    void recv_some(Each&& each) {
        recv(each);
    }
};

// `loan` is filled in place; `recv` shows the message where it lies.
class Loans : public Queue {
  public:
    using Queue::Queue;

    template <class Fill>
    void send(Fill&& fill) {
        eshm::Loan loan = endpoint_.loan(buffer_.size());
        fill(loan.bytes().data(), loan.size());
        loan.send();
    }
};

// `send_many` and `recv_many`.
class Batches : public Queue {
  public:
    explicit Batches(const Args& args) : Queue{args}, room_(args.size * batch_size) {
        views_.reserve(batch_size);
    }

    template <class Fill>
    void send(Fill&& fill) {
        std::byte* message = room_.data() + views_.size() * buffer_.size();
        fill(message, buffer_.size());
        views_.emplace_back(message, buffer_.size());
        if (views_.size() == batch_size) {
            flush();
        }
    }
    template <class Each>
    void recv_some(Each&& each) {
        endpoint_.recv_many(batch_size, [&](eshm::bytes_view bytes) { each(bytes.data(), bytes.size()); });
    }
    void flush() {
        endpoint_.send_many(views_);
        views_.clear();
    }

  private:
    std::vector<std::byte> room_;
    std::vector<eshm::bytes_view> views_;
};

// One end of a measurement: src/duplex.rs in C++.
template <class Link>
class End {
  public:
    explicit End(const Args& args) : args_{args}, link_{args} {}

    Observation run() {
        if (args_.role == "drive") {
            return drive();
        }
        if (args_.role == "echo") {
            return echo();
        }
        return args_.role == "source" ? source() : sink();
    }

  private:
    Observation drive() {
        ask();
        const std::uint64_t before = link_.wakeups();
        Observation observed = bench::round_trips(args_.budget, [&](std::uint64_t seq) {
            send(seq);
            const Number number = recv();
            return number.whole && number.seq == seq;
        });
        observed.wakeups = link_.wakeups() - before;
        send(bench::stop);
        return observed;
    }

    Observation echo() {
        answer();
        Observation observed;
        const std::uint64_t before = link_.wakeups();
        bench::Arrivals arrivals;
        for (Number number = recv(); arrivals.next(number); number = recv()) {
            send(number.seq);
        }
        observed.lost = arrivals.lost;
        observed.wakeups = link_.wakeups() - before;
        return observed;
    }

    Observation source() {
        ask();
        const std::uint64_t stride = std::max<std::uint64_t>((64 << 10) / args_.size, 1);
        std::uint64_t seq = 0;
        for (const auto started = bench::Clock::now(); bench::Clock::now() - started < args_.budget;) {
            for (const std::uint64_t end = seq + stride; seq < end; ++seq) {
                send(seq);
            }
        }
        send(bench::stop);
        link_.flush();
        Observation observed;
        observed.wakeups = link_.wakeups();
        return observed;
    }

    Observation sink() {
        answer();
        bench::Arrivals arrivals;
        bool more = true;
        const auto recv_some = [&] {
            link_.recv_some([&](const std::byte* bytes, std::size_t size) {
                more = arrivals.next(bench::read(bytes, size, args_.touched)) && more;
            });
            return more;
        };
        // What came before the clock was started is not counted.
        recv_some();
        const std::uint64_t before = arrivals.count;
        const auto started = bench::Clock::now();
        while (recv_some()) {
        }
        const bench::Ns elapsed = bench::Clock::now() - started;
        Observation observed;
        observed.messages = arrivals.count;
        observed.lost = arrivals.lost;
        observed.ns = elapsed.count() / static_cast<double>(arrivals.count - before);
        return observed;
    }

    // Has both directions checked for content, and tells either side that the other is there.
    void ask() {
        for (std::uint64_t seq = 0; seq < args_.verify; ++seq) {
            send_ramp(seq);
            expect_ramp(seq + bench::reply);
        }
    }
    void answer() {
        for (std::uint64_t seq = 0; seq < args_.verify; ++seq) {
            expect_ramp(seq);
            send_ramp(seq + bench::reply);
        }
    }

    void send_ramp(std::uint64_t seq) {
        link_.send([&](std::byte* bytes, std::size_t size) { bench::write_ramp(bytes, size, seq); });
        link_.flush();
    }
    void expect_ramp(std::uint64_t seq) {
        const bool right = link_.recv([&](const std::byte* bytes, std::size_t size) {
            return size == args_.size && bench::is_ramp(bytes, size, seq);
        });
        if (!right) {
            throw std::runtime_error{"message " + std::to_string(seq) +
                                     " of the check does not have the content that was sent"};
        }
    }
    void send(std::uint64_t seq) {
        link_.send(
            [&](std::byte* bytes, std::size_t size) { bench::write(bytes, size, seq, args_.touched); });
    }
    Number recv() {
        return link_.recv([&](const std::byte* bytes, std::size_t size) {
            return bench::read(bytes, size, args_.touched);
        });
    }

    const Args& args_;
    Link link_;
};

template <class Link>
void act(const Args& args) {
    End<Link> end{args};
    const Observation observed = end.run();
    if (!args.follows()) {
        bench::stay();
    }
    observed.print();
}

void run(const Args& args) {
    if (args.what == "queue") {
        act<Queue>(args);
    } else if (args.what == "mailbox") {
        act<Mailbox>(args);
    } else if (args.what == "loan") {
        act<Loans>(args);
    } else if (args.what == "batch") {
        act<Batches>(args);
    } else {
        throw std::invalid_argument{"this program measures queue, mailbox, loan and batch, not " + args.what};
    }
}

} // namespace

int main(int argc, char** argv) try { run(Args{argc, argv}); } catch (const std::exception& error) {
    std::fprintf(stderr, "Error: %s\n", error.what());
    return 1;
}
