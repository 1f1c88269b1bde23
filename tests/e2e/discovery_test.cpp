// Backends from DNS, with a name server that behaves and one that does not.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "support/dns.h"
#include "support/events.h"
#include "support/process.h"
#include "support/site.h"

namespace remora::test {
namespace {

using Mood = NameServer::Mood;
using Type = DnsEntry::Type;

/// Backends on several loopback addresses with one port, as a service name has them.
class Service {
 public:
  explicit Service(int count) {
    port_ = free_port();
    for (int i = 1; i <= count; ++i) start(i);
  }
  void start(int i) {
    const std::string ip = address(i);
    origins_[i] = std::make_unique<Origin>(
        answering([ip](const std::string& head, const std::string&) {
          return ok(ip, "X-Backend: " + ip + "\r\nX-Session: " + field_of(head, "Remora-Session") + "\r\n");
        }),
        port_, ip);
  }
  void stop(int i) { origins_.erase(i); }
  static std::string address(int i) { return "127.0.0." + std::to_string(10 + i); }
  static std::vector<DnsEntry> addresses(std::initializer_list<int> list) {
    std::vector<DnsEntry> out;
    for (const int i : list) out.push_back({Type::a, address(i), 0, 0, 0});
    return out;
  }
  int port() const { return port_; }

 private:
  int port_ = 0;
  std::map<int, std::unique_ptr<Origin>> origins_;
};

std::string config(const NameServer& dns, const std::string& entry, const std::string& pool = "") {
  return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: 127.0.0.1:0\nworkers: 2\ndns: {servers: "
         "[\"" +
         dns.address() + "\"]}\nlisteners: [127.0.0.1:0]\npools:\n  app:\n    backends: [" + entry + "]\n" +
         pool;
}

std::string entry(const Service& s, const std::string& more = ", refresh: 100ms, hold: 60s") {
  return "{dns: \"app.test:" + std::to_string(s.port()) + "\"" + more + "}";
}

std::set<std::string> used(const Remora& remora, int requests = 24) {
  std::set<std::string> out;
  for (int i = 0; i < requests; ++i) out.insert(remora.ask(get("/")).field("X-Backend"));
  return out;
}

TEST(Dns, EveryAddressIsABackendAndNewOnesJoin) {
  Service s(3);
  NameServer dns;
  dns.set("app.test", Service::addresses({1, 2}));
  Remora remora(config(dns, entry(s)));
  EXPECT_EQ(used(remora), (std::set<std::string>{s.address(1), s.address(2)}));
  dns.set("app.test", Service::addresses({1, 2, 3}));
  EXPECT_TRUE(eventually([&] { return used(remora, 30).size() == 3; }));
}

TEST(Dns, AnAddressThatVanishesDrainsWhileItStillServes) {
  Service s(2);
  NameServer dns;
  dns.set("app.test", Service::addresses({1, 2}));
  Remora remora(config(dns, entry(s), "    affinity: cookie\n"));
  Browser bound = begin_at(remora.port(), s.address(1));
  dns.set("app.test", Service::addresses({2}));
  ASSERT_TRUE(eventually([&] {
    return remora.api("GET", "/api/v1/pools/app").body.find("\"vanished\":true") != std::string::npos;
  }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(begin(remora.port()).second, s.address(2));
  EXPECT_EQ(bound.get(remora.port()).field("X-Backend"), s.address(1));
  EXPECT_EQ(announced(bound.get(remora.port())).epoch, 1);
  dns.set("app.test", Service::addresses({1, 2}));  // and comes back
  EXPECT_TRUE(eventually([&] { return begin(remora.port()).second == s.address(1); }));
}

TEST(Dns, AfterHoldASessionMovesBecauseItsBackendWasRemoved) {
  Service s(2);
  NameServer dns;
  dns.set("app.test", Service::addresses({1, 2}));
  Remora remora(config(dns, entry(s, ", refresh: 100ms, hold: 300ms"), "    affinity: cookie\n"));
  Browser bound = begin_at(remora.port(), s.address(1));
  dns.set("app.test", Service::addresses({2}));
  Reply moved;
  ASSERT_TRUE(
      eventually([&] { return (moved = bound.get(remora.port())).field("X-Backend") == s.address(2); }));
  EXPECT_EQ(announced(moved).reason, "removed");
}

TEST(Dns, OneThatVanishedAndIsDeadIsNotHeld) {
  Service s(2);
  NameServer dns;
  dns.set("app.test", Service::addresses({1, 2}));
  Remora remora(config(dns, entry(s), "    health: {probe: {path: /, interval: 100ms, fall: 1}}\n"));
  ASSERT_TRUE(remora.goes(s.address(1) + ":" + std::to_string(s.port()), "up"));
  dns.set("app.test", Service::addresses({2}));
  ASSERT_TRUE(eventually([&] {
    return remora.api("GET", "/api/v1/pools/app").body.find("\"vanished\":true") != std::string::npos;
  }));
  s.stop(1);
  EXPECT_TRUE(eventually(
      [&] { return remora.api("GET", "/api/v1/pools/app").body.find(s.address(1)) == std::string::npos; }));
}

TEST(Dns, ServiceRecordsBringPortsWeightsAndBackups) {
  Service s(1), other(2);
  NameServer dns;
  const auto port = static_cast<std::uint16_t>(s.port()),
             other_port = static_cast<std::uint16_t>(other.port());
  dns.set("_http._tcp.app.test",
          {{Type::srv, "one.test", port, 10, 5}, {Type::srv, "two.test", other_port, 20, 1}});
  dns.set("one.test", Service::addresses({1}));
  dns.set("two.test", Service::addresses({2}));
  Remora remora(config(dns, "{dns_srv: _http._tcp.app.test, refresh: 100ms}"));
  EXPECT_EQ(used(remora), std::set<std::string>{s.address(1)});  // the other is of another priority
  const std::string pool = remora.api("GET", "/api/v1/pools/app").body;
  EXPECT_NE(pool.find("\"weight\":5"), std::string::npos) << pool;
  EXPECT_NE(pool.find("\"backup\":true"), std::string::npos) << pool;
  s.stop(1);
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).field("X-Backend") == s.address(2); }));
}

TEST(Dns, NamesAreNotAskedForMoreOftenThanTheirRecordsLive) {
  Service s(1);
  NameServer dns;
  dns.set("app.test", Service::addresses({1}), 3600);
  Remora remora(config(dns, entry(s, ", refresh: 50ms")));
  const int first = dns.questions();
  EXPECT_GT(first, 0);
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(dns.questions(), first);
}

class BadServers : public ::testing::TestWithParam<Mood> {};

TEST_P(BadServers, ChangeNothing) {
  Service s(2);
  NameServer dns;
  dns.set("app.test", Service::addresses({1, 2}));
  Remora remora(config(dns, entry(s)));
  EXPECT_EQ(used(remora).size(), 2U);
  Events events(remora);
  dns.set_mood(GetParam());
  ASSERT_NE(events.next("discovery", {"\"error\":"}), "");
  EXPECT_EQ(used(remora).size(), 2U);
  dns.set_mood(Mood::answers);
  dns.set("app.test", Service::addresses({2}));
  EXPECT_NE(events.next("discovery", {"\"addresses\":1"}), "");
  EXPECT_TRUE(eventually([&] { return used(remora, 10) == std::set<std::string>{s.address(2)}; }));
}

INSTANTIATE_TEST_SUITE_P(Moods, BadServers,
                         ::testing::Values(Mood::silent, Mood::refuses, Mood::fails, Mood::garbage),
                         [](const auto& info) {
                           return "mood" + std::to_string(static_cast<int>(info.param));
                         });

TEST(BadAnswers, ForgedOnesAreNotBelieved) {
  Service s(1);
  NameServer dns;
  dns.set_mood(Mood::forges);
  dns.set("app.test", Service::addresses({1}));
  Remora remora(config(dns, entry(s)));
  const int before = dns.questions();
  ASSERT_TRUE(
      eventually([&] { return dns.questions() >= before + 4; }));  // by then the last answers were read
  EXPECT_EQ(used(remora), std::set<std::string>{s.address(1)});
  EXPECT_EQ(remora.api("GET", "/api/v1/pools/app").body.find("9.9.9.9"), std::string::npos);
}

TEST(BadAnswers, TooManyAddressesComeByTcpAndAreBounded) {
  Service s(1);
  NameServer dns;
  std::vector<DnsEntry> many = Service::addresses({1});
  for (int i = 0; i < 600; ++i)
    many.push_back(
        {Type::a, "127.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1), 0, 0, 0});
  dns.set("app.test", many);
  Remora remora(config(dns, entry(s)));
  EXPECT_GT(dns.over_tcp(), 0);
  EXPECT_TRUE(eventually([&] {
    const auto pool = boost::json::parse(remora.api("GET", "/api/v1/pools/app").body);
    return pool.as_object().at("backends").as_array().size() == 512U;
  }));
}

TEST(BadAnswers, ANameThatDoesNotExistIsAPoolWithNobody) {
  Service s(1);
  NameServer dns;
  Remora remora(config(dns, entry(s)));
  EXPECT_EQ(remora.ask(get("/")).status, 503);
  dns.set("app.test", Service::addresses({1}));
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
}

TEST(Reloads, ToANameNobodyAnswersForKeepWhoServed) {
  Service s(2);
  NameServer dns;
  dns.set("app.test", Service::addresses({2}));
  Remora remora(config(dns, "{id: a, address: \"" + s.address(1) + ":" + std::to_string(s.port()) + "\"}"));
  EXPECT_EQ(used(remora), std::set<std::string>{s.address(1)});
  dns.set_mood(Mood::silent);
  ASSERT_TRUE(remora.reload(config(dns, entry(s))));
  EXPECT_EQ(used(remora), std::set<std::string>{s.address(1)});
  dns.set_mood(Mood::answers);
  EXPECT_TRUE(eventually([&] { return used(remora, 4) == std::set<std::string>{s.address(2)}; }));
}

}  // namespace
}  // namespace remora::test
