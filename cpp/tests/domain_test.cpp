// Domains select the directory and the prefix. core/tests/domain.rs tests their effect.
#include "support.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using eshm::Domain;
using eshm::Endpoint;
using eshm::Errc;
using eshm::Options;
using eshm::Role;
using support::unique_name;

/// A directory for one test, which removes it.
class Directory {
  public:
    Directory() { std::filesystem::create_directory(path); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() { std::filesystem::remove_all(path); }

    [[nodiscard]] std::vector<std::string> files() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator{path}) {
            names.push_back(entry.path().filename().string());
        }
        std::sort(names.begin(), names.end());
        return names;
    }

    const std::string path = "/dev/shm/" + unique_name();
};

using Names = std::vector<std::string>;

Options options(Role role, Domain domain) {
    Options options;
    options.role = role;
    options.domain = std::move(domain);
    return options;
}

TEST(Domains, SeparateSegmentsOfTheSameName) {
    const Directory directory;
    const Domain first{directory.path, "a_"};
    const Domain second{directory.path, ""};
    Endpoint one{"robot", options(Role::master, first)};
    Endpoint two{"robot", options(Role::master, second)};
    EXPECT_EQ(directory.files(), (Names{"a_robot", "robot"}));
    Endpoint slave{"robot", options(Role::slave, second)};
    two.send("to the second");
    EXPECT_EQ(slave.recv().text(), "to the second");
    one.send("to nobody yet");
    EXPECT_EQ(eshm::Observer("robot", false, first).look().master_to_slave.waiting, 1U);
    EXPECT_EQ(eshm::Observer("robot", false, second).look().master_to_slave.waiting, 0U);
    one.close();
    EXPECT_EQ(directory.files(), (Names{"robot"}));
}

TEST(Domains, TakeUnsetPartsFromTheEnvironment) {
    const Directory directory;
    setenv("ESHM_DIRECTORY", directory.path.c_str(), 1);
    setenv("ESHM_PREFIX", "env_", 1);
    {
        const Endpoint one{"robot", Role::master};
        const Endpoint two{"robot", options(Role::master, {std::nullopt, "mine_"})};
        EXPECT_EQ(directory.files(), (Names{"env_robot", "mine_robot"}));
        EXPECT_TRUE(eshm::Observer{"robot"}.is_current());
    }
    setenv("ESHM_DIRECTORY", "here", 1);
    const auto refused = Endpoint::try_open("robot", Options{});
    EXPECT_EQ(refused.error().code(), Errc::invalid);
    EXPECT_NE(refused.error().message().find("ESHM_DIRECTORY is \"here\"; expected an absolute path"),
              std::string::npos);
    unsetenv("ESHM_DIRECTORY");
    setenv("ESHM_PREFIX", "", 1);
    const auto name = unique_name();
    const Endpoint usual{name, Role::master};
    EXPECT_TRUE(support::segment_exists(name));
}

TEST(Domains, AreRejectedIfInvalid) {
    const Directory directory;
    const auto refuses = [](const Domain& domain, const std::string& name, const std::string& text) {
        for (const auto& failure : {Endpoint::try_open(name, options(Role::master, domain)).error(),
                                    eshm::Observer::try_open(name, false, domain).error()}) {
            EXPECT_EQ(failure.code(), Errc::invalid);
            EXPECT_NE(failure.message().find(text), std::string::npos) << failure.message();
        }
    };
    refuses({"here", "a_"}, "robot", "the directory is \"here\"; expected an absolute path");
    refuses({directory.path, "a/b"}, "robot", "the prefix is \"a/b\"; expected 0 to 64 bytes");
    refuses({directory.path, "\xff"}, "robot", "expected UTF-8");
    refuses({directory.path, std::string(64, 'p')}, std::string(192, 'n'), "expected 1 to 191 bytes");
    EXPECT_EQ(directory.files(), Names{});
}

} // namespace
