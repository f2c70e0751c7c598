// Listing and removing the segments of a domain. core/tests/segments.rs tests all cases.
#include "support.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/wait.h>

namespace {

using eshm::Domain;
using eshm::Endpoint;
using eshm::Errc;
using eshm::PeerState;
using eshm::Role;
using eshm::SegmentKind;
using support::thrown;

eshm::Options master(const Domain& domain, bool auto_cleanup) {
    eshm::Options options;
    options.role = Role::master;
    options.domain = domain;
    options.auto_cleanup = auto_cleanup;
    return options;
}

TEST(Segments, AreListedAndTheDeadAreRemoved) {
    const std::string directory = "/dev/shm/" + support::unique_name();
    std::filesystem::create_directory(directory);
    const Domain domain{directory, "t_"};
    {
        Endpoint closed{"closed", master(domain, false)};
        closed.send("unread");
    }
    std::ofstream{directory + "/t_text"} << "a text";
    Endpoint living{"living", master(domain, true)};

    const auto found = eshm::segments(domain);
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].name, "closed");
    ASSERT_TRUE(found[0].view);
    EXPECT_EQ(found[0].view->master.state, PeerState::closed);
    EXPECT_EQ(found[0].view->master_to_slave.waiting, 1U);
    EXPECT_EQ(found[1].path, directory + "/t_living");
    EXPECT_EQ(found[1].kind, SegmentKind::current);
    EXPECT_EQ(found[1].size, std::filesystem::file_size(found[1].path));
    EXPECT_EQ(found[1].owner, geteuid());
    EXPECT_EQ(found[1].mode, 0600U);
    EXPECT_TRUE(found[1].since);
    EXPECT_EQ(found[1].view->master.state, PeerState::alive);
    EXPECT_EQ(found[2].kind, SegmentKind::foreign);
    EXPECT_EQ(to_string(found[2].kind), "foreign");
    EXPECT_FALSE(found[2].view);
    EXPECT_NE(found[2].reason.find("the size is 6 bytes"), std::string::npos);

    EXPECT_EQ(thrown([&] { Endpoint("text", master(domain, true)); }), Errc::foreign);
    EXPECT_EQ(thrown([&] { eshm::Observer("text", false, domain); }), Errc::foreign);

    EXPECT_EQ(eshm::find_dead(domain).removed.size(), 1U);
    const auto removal = eshm::remove_dead(domain);
    ASSERT_EQ(removal.removed.size(), 1U);
    EXPECT_EQ(removal.removed[0].name, "closed");
    ASSERT_EQ(removal.left.size(), 2U);
    EXPECT_EQ(removal.left[0].reason, "its master lives (pid " + std::to_string(getpid()) + ")");
    EXPECT_EQ(eshm::segments(domain).size(), 2U);

    const eshm::Inspector inspector = living.inspector();
    living.close();
    EXPECT_NO_THROW(inspector.check_removed());
    std::filesystem::remove_all(directory);
    EXPECT_EQ(thrown([&] { (void)eshm::segments(domain); }), Errc::attach);
    EXPECT_EQ(thrown([] { (void)eshm::find_dead({"relative", ""}); }), Errc::invalid);
}

} // namespace
