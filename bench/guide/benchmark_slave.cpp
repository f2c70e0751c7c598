// The guide's benchmark, the slave's side: acknowledges each message, until the master leaves.
#include <cstdint>
#include <cstdio>
#include <exception>

#include <eshm/eshm.hpp>

#include "progress.hpp"

int main(int argc, char** argv) try {
    const Arguments args{argc, argv, "usage: benchmark_slave NAME [INTERVAL]"};
    eshm::Options options;
    options.role = eshm::Role::slave;
    options.connect_timeout = std::chrono::seconds{10};
    eshm::Endpoint slave{args.name, options};
    Progress progress{args.interval};
    std::uint64_t lost = 0;
    std::uint64_t expected = 0;
    try {
        for (;;) {
            const std::uint64_t received = number(slave.recv());
            slave.send({&received, sizeof received});
            lost += received - expected;
            expected = received + 1;
            progress.count();
        }
    } catch (const eshm::Error& error) {
        if (error.code() != eshm::Errc::peer_closed) {
            throw;
        }
    }
    progress.finish(lost);
} catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark_slave: %s\n", error.what());
    return 1;
}
