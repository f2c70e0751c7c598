// Both ends of a segment in one process: enough to need every part of the package.
#include <eshm/eshm.hpp>

#include <chrono>
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
        const bool answered = master.recv().text() == "ack";

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
