// The guide's benchmark, the master's side: sends numbered messages, waits for the acknowledgement of each.
#include <cstdint>
#include <cstdio>
#include <exception>

#include <eshm/eshm.hpp>

#include "progress.hpp"

int main(int argc, char** argv) try {
    using namespace std::chrono_literals;
    const Arguments args{argc, argv, "usage: benchmark_master NAME [INTERVAL [SECONDS]]"};
    eshm::Endpoint master{args.name, eshm::Role::master};
    master.wait_for_peer(10s);
    Progress progress{args.interval};
    std::uint64_t lost = 0;
    // Looking at the clock once in 16 messages does not show.
    while (args.seconds == 0 || progress.messages() % 16 != 0 || progress.elapsed() < args.seconds) {
        const std::uint64_t sent = progress.messages();
        master.send({&sent, sizeof sent});
        lost += number(master.recv()) == sent ? 0 : 1;
        progress.count();
    }
    progress.finish(lost);
} catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark_master: %s\n", error.what());
    return 1;
}
