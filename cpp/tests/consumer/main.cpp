// Both ends of a segment in one process: enough to need every part of the package.
#include <eshm/eshm.hpp>

#include <chrono>
#include <cstring>
#include <iostream>
#include <string>
#include <unistd.h>

int main() {
    using namespace std::chrono_literals;
    try {
        const std::string name = "cpp-consumer-" + std::to_string(getpid());
        eshm::Endpoint master{name, eshm::Role::master};
        eshm::Endpoint robot{name, eshm::Role::slave};

        master.send(eshm::text::encode("pose 1 2 3"));
        if (auto message = robot.recv(5s)) {
            robot.send("ack");
            std::cout << message->text() << ' ' << message->bytes().size() << '\n';
        }
        bool answered = master.recv().text() == "ack";

        auto loan = master.loan(3);
        std::memcpy(loan.bytes().data(), "one", loan.size());
        loan.send();
        master.send_many({"two", "three"});
        robot.recv_many(3, [&](eshm::bytes_view bytes) { std::cout << bytes.chars() << '\n'; });
        answered = answered && master.inspector().role() == eshm::Role::master;

        try {
            for (;;) {
                robot.send("nobody reads this, so the channel fills", 1ms);
            }
        } catch (const eshm::TimeoutError& error) {
            std::cout << error.what() << '\n';
            return answered ? 0 : 1;
        }
    } catch (const eshm::Error& error) {
        std::cerr << error.what() << '\n';
    }
    return 1;
}
