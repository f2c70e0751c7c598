// One thread waits for an endpoint, a timer and a socket, with the coroutines of Asio.
//
//   c++ -std=c++20 event_loop.cpp $(pkg-config --cflags --libs eshm-cpp) -pthread -o event_loop &&
//   ./event_loop
//
// A child process is the other end of the endpoint and of the socket.

#include <eshm/asio.hpp>
#include <eshm/eshm.hpp>

#include <asio.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using asio::use_awaitable;
using Socket = asio::local::stream_protocol::socket;

/// The other process: sends three messages, says good-bye on the socket, and closes.
void run_robot(const std::string& name, int line) {
    eshm::Endpoint robot{name, eshm::Role::slave};
    for (int number = 0; number < 3; ++number) {
        robot.send("pose " + std::to_string(number));
        std::this_thread::sleep_for(30ms);
    }
    constexpr std::string_view text = "good-bye";
    if (write(line, text.data(), text.size()) < 0) {
        std::perror("write");
    }
}

/// Answers each message, until the robot closes.
asio::awaitable<void> serve(eshm::asio::AsyncEndpoint& master) {
    try {
        for (;;) {
            const eshm::Message message = co_await master.async_recv(use_awaitable);
            std::cout << "message: " << message.text() << '\n';
            co_await master.async_send("ack", use_awaitable);
        }
    } catch (const std::system_error& error) {
        if (error.code() != eshm::Errc::peer_closed) {
            throw;
        }
        std::cout << "the robot has closed\n";
    }
}

/// Prints what comes through the socket, until its end.
asio::awaitable<void> listen(Socket& socket) {
    std::array<char, 64> text{};
    for (;;) {
        asio::error_code error;
        const std::size_t size =
            co_await socket.async_read_some(asio::buffer(text), asio::redirect_error(use_awaitable, error));
        if (error) {
            break;
        }
        std::cout << "socket: " << std::string_view{text.data(), size} << '\n';
    }
}

/// Counts, until it is cancelled.
asio::awaitable<void> tick(asio::steady_timer& timer, int& ticks) {
    for (asio::error_code error;; ++ticks) {
        timer.expires_after(20ms);
        co_await timer.async_wait(asio::redirect_error(use_awaitable, error));
        if (error) {
            break;
        }
    }
}

int run_loop(const std::string& name, int line) {
    asio::io_context context;
    eshm::asio::AsyncEndpoint master{context, eshm::Endpoint{name, eshm::Role::master}};
    Socket socket{context, asio::local::stream_protocol{}, line};
    asio::steady_timer timer{context};
    int ticks = 0;
    int result = EXIT_SUCCESS;
    asio::co_spawn(context, serve(master), [&](std::exception_ptr failure) {
        timer.cancel();
        result = failure ? EXIT_FAILURE : EXIT_SUCCESS;
    });
    asio::co_spawn(context, listen(socket), asio::detached);
    asio::co_spawn(context, tick(timer, ticks), asio::detached);
    context.run();
    std::cout << "the timer has expired " << (ticks > 0 ? "meanwhile" : "never") << '\n';
    return result;
}

} // namespace

int main() {
    const std::string name = "event-loop-cpp-" + std::to_string(getpid());
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        std::perror("socketpair");
        return EXIT_FAILURE;
    }
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_robot(name, ends[1]);
        _exit(EXIT_SUCCESS);
    }
    close(ends[1]);
    try {
        const int result = run_loop(name, ends[0]);
        int status = 1;
        waitpid(child, &status, 0);
        return status == 0 ? result : EXIT_FAILURE;
    } catch (const std::exception& error) {
        std::cerr << "event_loop: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
