// Names watched over time, with a clock and a name server in the test's hand.

#include "server/discovery.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "server/discovered_config.h"
#include "server/fakes.h"

namespace remora {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::seconds;

config::Backend discovered(const std::string& name) {
  config::Backend b = backend_at("", name, 8080);
  b.discovery = config::Discovery{};
  return b;
}

config::Backend follower(const std::string& id, const std::string& name) {
  config::Backend b = backend_at(id, name, 8080);
  b.follow = config::Follow{};
  return b;
}

class DiscoveryTest : public ::testing::Test {
 protected:
  DiscoveryTest()
      : discovery({clock, names, builder, events}, std::make_unique<HandAlarm>(alarm), reports(),
                  {"/proc/none/resolv.conf", "/proc/none/hosts"}) {}

  Discovery::Reports reports() {
    Discovery::Reports r;
    r.changed = [this] { ++changes; };
    r.changed_within = [this] { ++changes_within; };
    r.moved = [this](const std::shared_ptr<Backend>& b) { moved.push_back(b->id); };
    return r;
  }
  /// Watches it, and makes what is known of it the active configuration.
  void use(config::Config c) {
    config = std::move(c);
    discovery.watch(config);
    activate(builder, discovery.config_for(config));
  }
  std::vector<config::Backend> backends() const { return discovery.config_for(config).pools[0].backends; }
  std::string ids() const {
    std::string out;
    for (const config::Backend& b : backends())
      out += (out.empty() ? "" : " ") + b.id + (b.leaving ? "(leaving)" : "");
    return out;
  }

  HandClock clock;
  HandNames names;
  AlarmSetting alarm;
  boost::asio::io_context ctx;
  EventHub events{ctx.get_executor()};
  SnapshotBuilder builder{1};
  config::Config config;
  int changes = 0, changes_within = 0;
  std::vector<std::string> moved;
  Discovery discovery;
};

TEST_F(DiscoveryTest, EachAddressOfANameBecomesABackend) {
  use(config_with({discovered("app.example")}));
  ASSERT_EQ(names.asked.size(), 1u);
  EXPECT_EQ(names.asked[0].name, "app.example");
  EXPECT_TRUE(discovery.busy());
  EXPECT_EQ(ids(), "");
  names.answer(addresses({"10.0.0.1", "10.0.0.2"}));
  EXPECT_FALSE(discovery.busy());
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(ids(), "10.0.0.1:8080 10.0.0.2:8080");
}

TEST_F(DiscoveryTest, ANameIsAskedAgainWhenItsRecordsExpireButNotSoonerThanRefresh) {
  use(config_with({discovered("app.example")}));
  names.answer(addresses({"10.0.0.1"}, seconds(30)));
  ASSERT_TRUE(alarm.at);
  EXPECT_EQ(*alarm.at - clock.steady_now(), seconds(30));
  ring(alarm, clock);
  ASSERT_EQ(names.asked.size(), 1u);
  names.answer(addresses({"10.0.0.1"}, seconds(1)));
  EXPECT_EQ(*alarm.at - clock.steady_now(), config::Discovery{}.refresh);
}

TEST_F(DiscoveryTest, TheSameAnswerChangesNothing) {
  use(config_with({discovered("app.example")}));
  names.answer(addresses({"10.0.0.1", "10.0.0.2"}));
  ring(alarm, clock);
  names.answer(addresses({"10.0.0.2", "10.0.0.1"}));
  EXPECT_EQ(changes, 1);
}

TEST_F(DiscoveryTest, AFailedLookupKeepsTheAddressesAndIsReportedOnce) {
  use(config_with({discovered("app.example")}));
  names.answer(addresses({"10.0.0.1"}));
  HeardEvents heard(events);
  for (int i = 0; i < 3; ++i) {
    ring(alarm, clock);
    names.answer(lookup_failure("timed out"));
  }
  EXPECT_EQ(ids(), "10.0.0.1:8080");
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(heard.count(), 1u);
  EXPECT_TRUE(heard.last_has("timed out"));
}

TEST_F(DiscoveryTest, AnAddressThatVanishesLeavesAndIsForgottenAfterHold) {
  config::Backend entry = discovered("app.example");
  entry.discovery->hold = seconds(7);
  use(config_with({entry}));
  names.answer(addresses({"10.0.0.1", "10.0.0.2"}));
  ring(alarm, clock);
  names.answer(addresses({"10.0.0.2"}));
  EXPECT_EQ(ids(), "10.0.0.1:8080(leaving) 10.0.0.2:8080");
  ring(alarm, clock);  // refresh is due first
  names.answer(addresses({"10.0.0.2"}));
  ring(alarm, clock);  // then the hold has passed
  EXPECT_EQ(ids(), "10.0.0.2:8080");
  EXPECT_EQ(changes, 3);
}

TEST_F(DiscoveryTest, UntilANameIsAnsweredTheBackendsBeforeTheReloadStay) {
  use(config_with({discovered("app.example")}));
  names.answer(addresses({"10.0.0.1"}));
  activate(builder, discovery.config_for(config));
  use(config_with({discovered("other.example")}));
  EXPECT_EQ(ids(), "10.0.0.1:8080");
  ASSERT_EQ(names.asked.size(), 1u);
  names.answer(addresses({"10.0.0.9"}));
  EXPECT_EQ(ids(), "10.0.0.9:8080");
}

TEST_F(DiscoveryTest, AnAnswerForANameThatIsNoLongerWatchedIsIgnored) {
  use(config_with({discovered("app.example")}));
  use(config_with({backend_at("a", "127.0.0.1")}));
  EXPECT_FALSE(alarm.at);
  names.answer(addresses({"10.0.0.1"}));
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(ids(), "a");
}

TEST_F(DiscoveryTest, ABackendKeepsItsIdWhereverItsNameLeads) {
  use(config_with({follower("a", "a.example")}));
  names.answer(addresses({"10.0.0.1"}));
  EXPECT_EQ(backends()[0].ips, std::vector<std::string>{"10.0.0.1"});
  ring(alarm, clock);
  names.answer(addresses({"10.0.0.2"}));
  EXPECT_EQ(backends()[0].ips, std::vector<std::string>{"10.0.0.2"});
  EXPECT_EQ(ids(), "a");
  EXPECT_EQ(moved, (std::vector<std::string>{"a", "a"})) << "failures at the old address do not count";
}

TEST_F(DiscoveryTest, ABackendWithoutAnAddressSaysWhy) {
  use(config_with({follower("a", "a.example")}));
  const auto backend = builder.find_backend("app", "a");
  ASSERT_TRUE(backend);
  EXPECT_EQ(discovery.note(*backend), "a.example has no address");
  names.answer(lookup_failure("server failure"));
  EXPECT_EQ(discovery.note(*backend), "server failure");
  ring(alarm, clock);
  names.answer(addresses({"10.0.0.1"}));
  EXPECT_EQ(discovery.note(*backend), "");
}

TEST_F(DiscoveryTest, ALostBackendMakesItsNameBeAskedEarlyButNotWithinASecond) {
  use(config_with({follower("a", "a.example"), follower("b", "b.example")}));
  names.answer(addresses({"10.0.0.1"}, seconds(60)));
  names.answer(addresses({"10.0.0.2"}, seconds(60)));
  const auto backend = builder.find_backend("app", "a");
  discovery.backend_lost(*backend);
  EXPECT_TRUE(names.asked.empty());
  ring(alarm, clock);
  ASSERT_EQ(names.asked.size(), 1u);
  EXPECT_EQ(names.asked[0].name, "a.example");
}

TEST_F(DiscoveryTest, TheLastAnswersTravelToTheNextProcess) {
  use(config_with({discovered("app.example"), follower("a", "a.example")}));
  names.answer(addresses({"10.0.0.1"}));
  names.answer(addresses({"10.0.0.2", "fd00::2"}));
  Discovery next({clock, names, builder, events}, std::make_unique<HandAlarm>(alarm), reports());
  next.adopt(discovery.state());
  next.watch(config);
  const auto inherited = next.config_for(config).pools[0].backends;
  ASSERT_EQ(inherited.size(), 2u);
  EXPECT_EQ(inherited[0].id, "10.0.0.1:8080");
  EXPECT_EQ(inherited[1].ips.size(), 2u);
  EXPECT_EQ(names.asked.size(), 2u) << "they are asked for all the same";
}

TEST_F(DiscoveryTest, StateThatIsNoStateIsIgnored) {
  for (const char* text : {"1", "[]", "{\"k\":1}", "{\"k\":[1,{\"ip\":\"x\"},{\"ip\":7}]}"}) {
    discovery.adopt(boost::json::parse(text));
    use(config_with({discovered("app.example")}));
    EXPECT_EQ(ids(), "") << text;
  }
}

TEST_F(DiscoveryTest, AfterStopNothingIsAsked) {
  use(config_with({discovered("app.example")}));
  discovery.stop();
  names.answer(addresses({"10.0.0.1"}));
  EXPECT_FALSE(alarm.at);
  clock.advance(seconds(100));
  discovery.look_up_due();
  EXPECT_TRUE(names.asked.empty());
}

TEST(DiscoveredConfig, OfSrvRecordsPortWeightAndPriorityCount) {
  config::Backend entry = discovered("app.example");
  entry.discovery->srv = true;
  const config::Config config = config_with({entry});
  WatchedNames names;
  WatchedName& watched = names[watch_key("app", entry)];
  watched.answered = true;
  watched.set.update({{"10.0.0.1", "n1.example", 8001, 1, 5}, {"10.0.0.2", "n2.example", 8002, 2, 7}}, {});
  const auto backends = with_discovered(config, names, nullptr).pools[0].backends;
  ASSERT_EQ(backends.size(), 2u);
  EXPECT_EQ(backends[0].id, "10.0.0.1:8001");
  EXPECT_EQ(backends[0].address.host, "n1.example");
  EXPECT_EQ(backends[0].weight, 5u);
  EXPECT_FALSE(backends[0].backup);
  EXPECT_TRUE(backends[1].backup);
}

}  // namespace
}  // namespace remora
