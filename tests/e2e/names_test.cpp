// Addresses that are names, followed wherever they lead; and listeners on both families.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <fstream>

#include "support/dns.h"
#include "support/process.h"
#include "support/site.h"

namespace remora::test {
namespace {

using Mood = NameServer::Mood;
using Type = DnsEntry::Type;

bool has_ipv6() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 a{};
  a.sin6_family = AF_INET6;
  a.sin6_addr = in6addr_loopback;
  const bool has = ::bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0;
  ::close(fd);
  return has;
}

std::unique_ptr<Origin> server(const std::string& name, int port, const std::string& ip) {
  return std::make_unique<Origin>(
      answering([name](const std::string& head, const std::string&) {
        return ok(name, "X-Backend: " + name + "\r\nX-Seen: " + field_of(head, "X-Forwarded-For") + "\r\n");
      }),
      port, ip);
}

class Names : public ::testing::Test {
 protected:
  std::string config(const std::string& backends, const std::string& pool = "") const {
    return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: 127.0.0.1:0\nworkers: 2\ndns: "
           "{servers: [\"" +
           dns.address() + "\"]}\nlisteners: [127.0.0.1:0]\npools:\n  app:\n    affinity: cookie\n" +
           "    backends: [" + backends + "]\n" + pool;
  }
  std::string entry(const std::string& id, const std::string& more = ", refresh: 100ms") const {
    return "{id: " + id + ", address: \"" + id + ".test:" + std::to_string(port) + "\"" + more + "}";
  }
  void lead(const std::string& id, std::vector<std::string> ips, std::uint32_t ttl = 0) {
    std::vector<DnsEntry> entries;
    for (std::string& ip : ips) {
      const Type type = ip.find(':') == std::string::npos ? Type::a : Type::aaaa;
      entries.push_back({type, std::move(ip), 0, 0, 0});
    }
    dns.set(id + ".test", std::move(entries), ttl);
  }
  static boost::json::value backend(const Remora& remora, const std::string& id) {
    const auto pool = boost::json::parse(remora.api("GET", "/api/v1/pools/app").body);
    for (const auto& b : pool.as_object().at("backends").as_array())
      if (b.as_object().at("id").as_string() == id) return b;
    return boost::json::object();
  }
  static std::string resolved(const Remora& remora, const std::string& id) {
    const auto b = backend(remora, id);
    return b.as_object().contains("resolved") ? boost::json::serialize(b.as_object().at("resolved")) : "";
  }
  static bool served_by(const Remora& remora, const std::string& name, int times = 12) {
    for (int i = 0; i < times; ++i)
      if (remora.ask(get("/")).field("X-Backend") != name) return false;
    return true;
  }

  NameServer dns;
  const int port = free_port();
};

// docker/compose #2003, OpenNeuroOrg/openneuro PR #925: after `compose up` in another order the addresses are
// swapped, and each session is at the other's server.
TEST_F(Names, ASessionFollowsItsBackendWhenAddressesAreSwapped) {
  auto one = server("one", port, "127.0.0.21"), two = server("two", port, "127.0.0.22");
  lead("one", {"127.0.0.21"});
  lead("two", {"127.0.0.22"});
  Remora remora(config(entry("one") + ", " + entry("two")));
  std::vector<std::pair<Browser, std::string>> users;
  for (int i = 0; i < 8; ++i) users.push_back(begin(remora.port()));
  one.reset();
  two.reset();
  lead("one", {"127.0.0.22"});
  lead("two", {"127.0.0.21"});
  one = server("one", port, "127.0.0.22");
  two = server("two", port, "127.0.0.21");
  ASSERT_TRUE(eventually([&] {
    return resolved(remora, "one") == "[\"127.0.0.22\"]" && resolved(remora, "two") == "[\"127.0.0.21\"]";
  }));
  for (auto& [browser, name] : users)
    for (int i = 0; i < 2; ++i) EXPECT_EQ(browser.get(remora.port()).field("X-Backend"), name);
}

// open-nvr/open-nvr #256: 502 until the proxy is reloaded. The time to live is an hour; a connection fails.
TEST_F(Names, ANameIsAskedForAgainWhenAConnectionFails) {
  auto one = server("one", port, "127.0.0.21");
  lead("one", {"127.0.0.21"}, 3600);
  Remora remora(config(entry("one", ", refresh: 1h")));
  EXPECT_TRUE(served_by(remora, "one", 2));
  one.reset();
  lead("one", {"127.0.0.23"}, 3600);
  one = server("one", port, "127.0.0.23");
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
}

TEST_F(Names, ANameIsAskedForAgainWhenItsProbesFail) {
  auto one = server("one", port, "127.0.0.21");
  lead("one", {"127.0.0.21"}, 3600);
  Remora remora(config(entry("one", ", refresh: 200ms"), "    health: {probe: {path: /, interval: 50ms}}\n"));
  ASSERT_TRUE(remora.goes("one", "up"));
  one.reset();
  lead("one", {"127.0.0.23"}, 3600);
  one = server("one", port, "127.0.0.23");
  EXPECT_TRUE(eventually([&] { return resolved(remora, "one") == "[\"127.0.0.23\"]"; }));
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
}

// getsentry/self-hosted PR #4295: the proxy does not start while one of several names does not resolve.
TEST_F(Names, OneThatDoesNotResolveIsABackendThatIsDown) {
  const auto one = server("one", port, "127.0.0.21"), two = server("two", port, "127.0.0.22");
  lead("one", {"127.0.0.21"});
  Remora remora(config(entry("one") + ", " + entry("two"), "    health: {panic: 100%}\n"));
  EXPECT_EQ(remora.ask(get("/")).status, 200);
  EXPECT_EQ(backend(remora, "two").as_object().at("health").as_string(), "down");
  EXPECT_NE(remora.api("GET", "/api/v1/pools/app").body.find("has no address"), std::string::npos);
  lead("two", {"127.0.0.22"});
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).field("X-Backend") == "two"; }));
  lead("two", {});
  EXPECT_TRUE(
      eventually([&] { return backend(remora, "two").as_object().at("health").as_string() == "down"; }));
  EXPECT_TRUE(served_by(remora, "one"));
}

TEST_F(Names, AFileWithoutAnyThatResolvesStartsAndRecovers) {
  Remora remora(config(entry("one")));
  EXPECT_EQ(remora.ask(get("/")).status, 503);
  const auto one = server("one", port, "127.0.0.21");
  lead("one", {"127.0.0.21"});
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
}

TEST_F(Names, CheckWarnsOfOneThatDoesNotResolve) {
  lead("one", {"127.0.0.21"});
  const std::string folder = make_folder();
  std::ofstream(folder + "/c.yaml") << config(entry("one") + ", " + entry("two"));
  const Ran ran = run_binary({"check", "-c", folder + "/c.yaml"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_NE(ran.output.find("two.test"), std::string::npos) << ran.output;
  EXPECT_EQ(ran.output.find("one.test"), std::string::npos) << ran.output;
}

// RFC 8305 in spirit: of a name with two addresses one does not answer.
TEST_F(Names, EachAddressOfANameIsTriedBeforeARequestFails) {
  const auto one = server("one", port, "127.0.0.24");
  lead("one", {"127.0.0.21", "127.0.0.22", "127.0.0.24"});
  Remora remora(config(entry("one")));
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(remora.ask(i % 2 == 0 ? post : get("/")).status, 200);
  EXPECT_EQ(backend(remora, "one").as_object().at("health").as_string(), "unknown");
}

TEST_F(Names, ProbesFindTheAddressThatAnswers) {
  const auto one = server("one", port, "127.0.0.24");
  lead("one", {"127.0.0.21", "127.0.0.24"});
  Remora remora(config(entry("one"), "    health: {probe: {path: /, interval: 50ms}}\n"));
  EXPECT_TRUE(remora.goes("one", "up"));
  EXPECT_EQ(remora.ask(get("/")).status, 200);
}

// Another server's answer says nothing about the one that sessions are bound to.
TEST_F(Names, AServerThatAnswersBadlyIsDownWhateverTheNextAddressSays) {
  const Origin ill(answering([](const std::string&, const std::string&) {
                     return std::string("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
                   }),
                   port, "127.0.0.25");
  const auto well = server("well", port, "127.0.0.26");
  lead("one", {"127.0.0.25", "127.0.0.26"});
  Remora remora(config(entry("one"), "    health: {probe: {path: /, interval: 50ms}}\n"));
  ASSERT_TRUE(
      eventually([&] { return backend(remora, "one").as_object().at("health").as_string() != "unknown"; }));
  const std::string first = resolved(remora, "one");
  const std::string wanted = first.find("127.0.0.25") < first.find("127.0.0.26") ? "down" : "up";
  EXPECT_EQ(backend(remora, "one").as_object().at("health").as_string(), wanted) << first;
}

TEST_F(Names, LocalhostIsFoundOnWhicheverFamilyItListens) {
  const auto four = server("four", port, "127.0.0.1");
  Remora remora(config("\"localhost:" + std::to_string(port) + "\""));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
}

// ytti/oxidized #2974, apache/trafficserver PR #1619: asking for names holds up everything else.
TEST_F(Names, ASilentNameServerHoldsUpNeitherAReloadNorProbes) {
  const auto one = server("one", port, "127.0.0.21"), two = server("two", port, "127.0.0.22");
  lead("one", {"127.0.0.21"});
  lead("two", {"127.0.0.22"});
  Remora remora(config(entry("one")));
  EXPECT_TRUE(served_by(remora, "one", 2));
  dns.set_mood(Mood::silent);
  ASSERT_TRUE(remora.reload(config(entry("one") + ", " + entry("two"))));
  EXPECT_EQ(remora.api("GET", "/healthz").status, 200);
  EXPECT_TRUE(served_by(remora, "one", 6));  // who is known goes on, who is not is down
  dns.set_mood(Mood::answers);
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).field("X-Backend") == "two"; }));
}

TEST_F(Names, AReloadToANameNobodyAnswersForKeepsTheBackendWhereItWas) {
  const auto one = server("one", port, "127.0.0.21");
  Remora remora(config("{id: one, address: \"127.0.0.21:" + std::to_string(port) + "\"}"));
  EXPECT_TRUE(served_by(remora, "one", 2));
  dns.set_mood(Mood::silent);
  ASSERT_TRUE(remora.reload(config(entry("one"))));
  EXPECT_TRUE(served_by(remora, "one", 6));
  lead("one", {});
  dns.set_mood(Mood::answers);
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 503; }));
}

TEST_F(Names, AnUpgradeKnowsWhereNamesLed) {
  const auto one = server("one", port, "127.0.0.21");
  lead("one", {"127.0.0.21"});
  Remora remora(config(entry("one")));
  EXPECT_TRUE(served_by(remora, "one", 2));
  dns.set_mood(Mood::silent);
  ASSERT_TRUE(remora.upgrade());
  EXPECT_TRUE(served_by(remora, "one", 6));
}

class BadHalves : public Names, public ::testing::WithParamInterface<Mood> {
 protected:
  /// Often enough that one round of questions has been answered, or not.
  bool asked_again() const {
    const int before = dns.questions();
    return eventually([&] { return dns.questions() >= before + 8; });
  }
};

// envoyproxy/envoy #38752 "timeouts in dual-resolution can result in no healthy upstream".
TEST_P(BadHalves, TakeNoBackendAway) {
  const auto one = server("one", port, "127.0.0.21");
  lead("one", {"127.0.0.21"});
  Remora remora(
      config("{dns: \"one.test:" + std::to_string(port) + "\", refresh: 100ms, hold: 0s}, " + entry("one")));
  const auto both_serve = [&] {
    for (const std::string& id : {"127.0.0.21:" + std::to_string(port), std::string("one")}) {
      const auto b = backend(remora, id);
      if (!b.as_object().contains("accepts_new") || !b.as_object().at("accepts_new").as_bool()) return false;
    }
    return served_by(remora, "one", 4);
  };
  EXPECT_TRUE(both_serve());
  for (const Type broken : {Type::a, Type::aaaa}) {
    dns.set_mood(broken, GetParam());
    EXPECT_TRUE(asked_again());
    EXPECT_TRUE(both_serve());
    dns.set_mood(broken, Mood::answers);
  }
}

INSTANTIATE_TEST_SUITE_P(Moods, BadHalves, ::testing::Values(Mood::silent, Mood::fails, Mood::circles),
                         [](const auto& info) {
                           return "mood" + std::to_string(static_cast<int>(info.param));
                         });

std::size_t count(const Remora& remora) {
  const auto pool = boost::json::parse(remora.api("GET", "/api/v1/pools/app").body);
  return pool.as_object().at("backends").as_array().size();
}

// rpardini/docker-registry-proxy PR #76, 56quarters/mtop #183.
TEST_F(Names, OneFamilyOfADualStackNameCanBePreferred) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 on this machine";
  const auto four = server("four", port, "127.0.0.1"), six = server("six", port, "::1");
  lead("one", {"127.0.0.1", "::1"});
  const auto many = [&](const std::string& more) {
    return "{dns: \"one.test:" + std::to_string(port) + "\", refresh: 100ms, hold: 0s" + more + "}";
  };
  Remora remora(config(many("")));
  EXPECT_TRUE(eventually([&] { return count(remora) == 2; }));
  for (const auto& [prefer, name, other] :
       {std::tuple("ipv4", "four", "::1"), std::tuple("ipv6", "six", "127.0.0.1")}) {
    lead("one", {"127.0.0.1", "::1"});
    for (const std::string& backends : {many(std::string(", prefer: ") + prefer),
                                        entry("one", std::string(", refresh: 100ms, prefer: ") + prefer)}) {
      ASSERT_TRUE(remora.reload(config(backends)));
      EXPECT_TRUE(eventually([&] { return count(remora) == 1 && served_by(remora, name, 4); })) << backends;
    }
    ASSERT_TRUE(remora.reload(config(many(std::string(", prefer: ") + prefer))));
    lead("one", {other});  // what there is is used
    EXPECT_TRUE(eventually([&] { return !served_by(remora, name, 1); }));
    EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
  }
}

// Listeners -----------------------------------------------------------------------------------------

Reply ask_over_ipv6(int port, const std::string& request) {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Socket socket(fd);
  sockaddr_in6 a{};
  a.sin6_family = AF_INET6;
  a.sin6_addr = in6addr_loopback;
  a.sin6_port = htons(static_cast<std::uint16_t>(port));
  if (::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) return {};
  socket.send(request);
  return socket.receive_reply();
}

class BothFamilies : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_ipv6()) GTEST_SKIP() << "no IPv6 on this machine";
  }
  std::string config(const std::string& listeners) const {
    return "state_dir: none\nadmin: 127.0.0.1:0\nworkers: 2\nlisteners: [" + listeners +
           "]\npools: {app: {backends: [" + app.address() + "]}}\n";
  }
  Origin app{answering([](const std::string& head, const std::string&) {
    return ok("ok", "X-Seen: " + field_of(head, "X-Forwarded-For") + "\r\n");
  })};
};

// stalwartlabs/stalwart #320, nodejs/node #17664.
TEST_F(BothFamilies, AreTakenByTheAnyAddress) {
  Remora remora(config("\"[::]:0\""));
  EXPECT_EQ(remora.ask(get("/")).field("X-Seen"), "127.0.0.1");
  EXPECT_EQ(ask_over_ipv6(remora.port(), get("/")).field("X-Seen"), "::1");
}

TEST_F(BothFamilies, AddressesOfIpv4ClientsAreIpv4) {
  Remora remora(config("{bind: \"[::]:0\", trusted_proxies: [127.0.0.0/8]}"));
  EXPECT_EQ(remora.ask(get("/", "X-Forwarded-For: 192.0.2.7\r\n")).field("X-Seen"), "192.0.2.7, 127.0.0.1");
  EXPECT_EQ(ask_over_ipv6(remora.port(), get("/", "X-Forwarded-For: 192.0.2.7\r\n")).field("X-Seen"), "::1");
}

TEST_F(BothFamilies, StandBesideEachOtherInOneFileAndMayBeChanged) {
  const std::string port = std::to_string(free_port());
  const std::string four = "\"0.0.0.0:" + port + "\"", six = "\"[::]:" + port + "\"",
                    local = "\"127.0.0.1:" + port + "\"";
  const auto both_answer = [&] {
    return eventually([&] {
      return ask(std::stoi(port), get("/")).status == 200 &&
             ask_over_ipv6(std::stoi(port), get("/")).status == 200;
    });
  };
  Remora remora(config(four + ", " + six));
  EXPECT_TRUE(both_answer());
  for (const std::string& list : {six, local + ", " + six, six, six + ", " + four, six}) {
    ASSERT_TRUE(remora.reload(config(list))) << list;
    EXPECT_TRUE(both_answer()) << list;
  }
}

TEST_F(BothFamilies, AnotherProcessOnIpv4LeavesIpv6) {
  Origin other(says_name("other"));
  Remora remora(config("\"[::]:" + std::to_string(other.port()) + "\""));
  EXPECT_EQ(ask_over_ipv6(other.port(), get("/")).status, 200);
}

}  // namespace
}  // namespace remora::test
