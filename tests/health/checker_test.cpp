// When backends are probed, and what follows from it: with probes whose answers the test decides, and once
// with real ones over sockets that it plays itself. By a manual clock.

#include "health/checker.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "support/manual_loop.h"
#include "support/unix_listener.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

class Checking : public ::testing::Test {
 protected:
  enum class Mood : std::uint8_t { good, bad, mute };
  struct Probe {
    Clock::Steady at;
    milliseconds timeout;
    Endpoint endpoint;
  };
  struct Flip {
    std::string id;
    Health now;
    bool operator==(const Flip&) const = default;
  };
  Checking() {
    rules.kind = config::ProbeKind::http;
    rules.interval = 2s;
    rules.timeout = 1s;
    rules.jitter = 0;
  }
  ~Checking() override {
    checker.stop();
    loop.settle();
  }
  /// Backends of one pool with these ids; each is at a port of its own.
  void configure(const std::vector<std::string>& ids) {
    auto pool = std::make_shared<PoolView>();
    pool->config.name = "p";
    pool->config.probe = rules;
    auto members = std::make_shared<PoolSnapshot>();
    for (const std::string& id : ids) {
      Member m;
      m.backend = backend(id);
      m.address = {config::Address::Kind::tcp, "127.0.0.1", port_of(id)};
      members->members.push_back(m);
      pool->routes.push_back({*resolve(m.address), trial});
    }
    pool->snapshot = members;
    checker.configure({pool});
    loop.settle();
  }
  static std::uint16_t port_of(const std::string& id) {
    return static_cast<std::uint16_t>(1000 + id.front());
  }
  const std::shared_ptr<Backend>& backend(const std::string& id) {
    auto& known = backends[id];
    if (!known) known = std::make_shared<Backend>("p", id);
    return known;
  }
  Health state(const std::string& id) { return checker.state(*backend(id)); }
  Task<ProbeVerdict> answer(EventFlags& wake, ProbeTarget target) {
    const std::string id(1, id_of(target));
    probes[id].push_back({loop.now(), target.probe.timeout, target.endpoint});
    ProbeVerdict verdict;
    const Mood mood = moods[id];
    if (mood == Mood::mute) {
      wake.until(loop.now() + target.probe.timeout);
      unsigned bits = 0;
      while ((bits & (EventFlags::deadline | EventFlags::stop)) == 0) bits = co_await wake.any();
    }
    if (mood != Mood::good) verdict.failure = mood == Mood::bad ? "status 500" : "timeout";
    verdict.answered = mood != Mood::mute;
    co_return verdict;
  }
  /// By the port: see port_of().
  static char id_of(const ProbeTarget& target) {
    return static_cast<char>(std::stoi(target.host.substr(target.host.find(':') + 1)) - 1000);
  }
  std::vector<milliseconds> gaps(const std::string& id) {
    std::vector<milliseconds> out;
    const auto& all = probes[id];
    for (std::size_t i = 1; i < all.size(); ++i)
      out.push_back(std::chrono::duration_cast<milliseconds>(all[i].at - all[i - 1].at));
    return out;
  }
  /// Each of them was good, and its state is known.
  void begin(const std::vector<std::string>& ids) {
    configure(ids);
    loop.advance(200ms);
    for (const std::string& id : ids) ASSERT_EQ(state(id), Health::up);
    probes.clear();
    flips.clear();
  }

  test::ManualLoop loop;
  config::Probe rules;
  std::shared_ptr<const Trial> trial;  // of all backends; null: each has one address
  std::map<std::string, std::shared_ptr<Backend>> backends;
  std::map<std::string, Mood> moods;
  std::map<std::string, std::vector<Probe>> probes;
  std::vector<Flip> flips;
  std::vector<std::string> settled;
  HealthChecker checker{
      loop,
      [this](const std::shared_ptr<Backend>& b, Health now, const std::string&) {
        flips.push_back({b->id, now});
      },
      [this](const std::shared_ptr<Backend>& b) { settled.push_back(b->id); },
      [this](Loop&, EventFlags& wake, const ProbeTarget& target) { return answer(wake, target); }};
};

// The schedule --------------------------------------------------------------------------------------

TEST_F(Checking, TheFirstProbesComeSoonAndDecide) {
  moods["b"] = Mood::bad;
  configure({"a", "b", "c"});
  EXPECT_EQ(state("a"), Health::unknown);
  loop.advance(20ms);
  EXPECT_EQ(state("a"), Health::up);
  EXPECT_EQ(state("b"), Health::down);
  EXPECT_EQ(state("c"), Health::up);
  EXPECT_EQ(flips.size(), 3U);
  EXPECT_TRUE(backend("b")->liveness.down());
  EXPECT_FALSE(checker.note(*backend("b")).empty());
}

TEST_F(Checking, FirstProbesOfManyAreSpread) {
  std::vector<std::string> ids;
  for (char c = '!'; c <= '~'; ++c) ids.emplace_back(1, c);  // 94
  configure(ids);
  std::size_t at_once = 0, before = 0;
  for (int tick = 0; tick < 20; ++tick) {
    loop.advance(10ms);
    at_once = std::max(at_once, probes.size() - before);
    before = probes.size();
  }
  EXPECT_EQ(probes.size(), ids.size());
  EXPECT_LT(at_once, ids.size() / 4);
}

TEST_F(Checking, AGoodBackendIsProbedOnceAnInterval) {
  begin({"a"});
  loop.advance(20s);
  EXPECT_EQ(gaps("a"), std::vector<milliseconds>(9, 2s));
  EXPECT_TRUE(flips.empty());
}

TEST_F(Checking, JitterSpreadsTheProbesAroundTheInterval) {
  rules.jitter = 0.2;
  begin({"a"});
  loop.advance(200s);
  const auto all = gaps("a");
  EXPECT_GE(all.size(), 80U);
  EXPECT_LT(*std::min_element(all.begin(), all.end()), 1700ms);
  EXPECT_GE(*std::min_element(all.begin(), all.end()), 1600ms);
  EXPECT_GT(*std::max_element(all.begin(), all.end()), 2300ms);
  EXPECT_LE(*std::max_element(all.begin(), all.end()), 2410ms);
}

TEST_F(Checking, AfterAnUnexpectedResultProbesComeFourTimesAsOften) {
  begin({"a", "b"});
  moods["a"] = Mood::bad;
  ASSERT_TRUE(loop.advance_until([&] { return state("a") == Health::down; }, 10s));
  EXPECT_EQ(gaps("a"), std::vector<milliseconds>(2, 500ms));
  EXPECT_EQ(flips, (std::vector<Flip>{{"a", Health::down}}));
  EXPECT_EQ(settled, std::vector<std::string>{"a"});  // whoever suspected it knows now
  probes.clear();
  loop.advance(6s);
  EXPECT_EQ(gaps("a"), std::vector<milliseconds>(2, 2s));
  moods["a"] = Mood::good;
  probes.clear();
  ASSERT_TRUE(loop.advance_until([&] { return state("a") == Health::up; }, 10s));
  EXPECT_EQ(gaps("a"), std::vector<milliseconds>(1, 500ms));
  EXPECT_FALSE(backend("a")->liveness.down());
}

TEST_F(Checking, OneBadProbeAmongGoodOnesChangesNothing) {
  begin({"a"});
  for (int i = 0; i < 5; ++i) {
    moods["a"] = Mood::bad;
    const std::size_t before = probes["a"].size();
    ASSERT_TRUE(loop.advance_until([&] { return probes["a"].size() > before; }, 3s));
    moods["a"] = Mood::good;
    loop.advance(1s);
  }
  EXPECT_TRUE(flips.empty());
}

TEST_F(Checking, WithNobodyInServiceTheFirstGoodProbeIsEnough) {
  begin({"a", "b"});
  moods["a"] = moods["b"] = Mood::bad;
  ASSERT_TRUE(loop.advance_until([&] { return flips.size() == 2; }, 10s));
  moods["a"] = moods["b"] = Mood::good;
  flips.clear();
  probes.clear();
  ASSERT_TRUE(loop.advance_until([&] { return !flips.empty(); }, 10s));
  const std::string first = flips.front().id;
  EXPECT_EQ(probes[first].size(), 1U);
  const std::string second = first == "a" ? "b" : "a";
  ASSERT_TRUE(loop.advance_until([&] { return state(second) == Health::up; }, 10s));
  EXPECT_EQ(probes[second].size(), 2U);  // another is there by now: `rise` of them
}

TEST_F(Checking, AMuteBackendIsGivenUpAfterItsTimeoutEachTime) {
  begin({"a"});
  moods["a"] = Mood::mute;
  ASSERT_TRUE(loop.advance_until([&] { return state("a") == Health::down; }, 20s));
  EXPECT_EQ(gaps("a"), std::vector<milliseconds>(2, 1500ms));
}

TEST_F(Checking, SeveralAddressesShareTheTimeoutAndTheOneThatAnsweredIsFirstNextTime) {
  const auto at = [](std::uint16_t port) {
    return *resolve({config::Address::Kind::tcp, "127.0.0.1", port});
  };
  trial = std::make_shared<const Trial>(std::vector{at(1), at(2)});
  moods["a"] = Mood::mute;
  configure({"a"});
  ASSERT_TRUE(loop.advance_until([&] { return probes["a"].size() == 2; }, 10s));
  EXPECT_EQ(probes["a"][0].timeout, 500ms);
  EXPECT_EQ(probes["a"][0].endpoint, at(1));
  EXPECT_EQ(probes["a"][1].timeout, 500ms);
  EXPECT_EQ(probes["a"][1].endpoint, at(2));
  trial->answered(1);
  moods["a"] = Mood::good;
  loop.advance(10s);
  EXPECT_EQ(probes["a"].back().endpoint, at(2));
  EXPECT_EQ(probes["a"].back().timeout, 500ms);
}

TEST_F(Checking, AReloadKeepsWhatIsKnownAndEndsWhatIsGone) {
  begin({"a", "b"});
  configure({"b", "c"});
  EXPECT_EQ(state("a"), Health::unknown);
  EXPECT_EQ(state("b"), Health::up);
  probes.clear();
  loop.advance(10s);
  EXPECT_TRUE(probes["a"].empty());
  EXPECT_EQ(gaps("b"), std::vector<milliseconds>(4, 2s));  // its schedule went on
  EXPECT_EQ(state("c"), Health::up);
}

TEST_F(Checking, OtherRulesBeginANewScheduleWithTheOldState) {
  begin({"a"});
  rules.interval = 500ms;
  configure({"a"});
  EXPECT_EQ(state("a"), Health::up);
  loop.advance(2s);
  EXPECT_EQ(gaps("a"), std::vector<milliseconds>(3, 500ms));
  EXPECT_TRUE(flips.empty());
}

TEST_F(Checking, WhatAnotherProcessSawIsWhereItBegins) {
  checker.adopt("p", "a", Health::down);
  configure({"a", "b"});
  EXPECT_EQ(state("a"), Health::down);
  loop.advance(20ms);
  EXPECT_EQ(state("a"), Health::down);  // `rise` good probes, since b may serve
  loop.advance(500ms);
  EXPECT_EQ(state("a"), Health::up);
}

TEST_F(Checking, StoppedItProbesNothingMore) {
  begin({"a"});
  checker.stop();
  loop.advance(1min);
  EXPECT_TRUE(probes["a"].empty());
}

// Doubts --------------------------------------------------------------------------------------------

TEST_F(Checking, ADoubtIsLookedIntoAtOnceAndAGoodAnswerChangesNothing) {
  begin({"a"});
  checker.look_into(backend("a"), 300ms);
  loop.settle();
  ASSERT_EQ(probes["a"].size(), 1U);
  EXPECT_EQ(probes["a"].front().timeout, 300ms);
  EXPECT_EQ(settled, std::vector<std::string>{"a"});
  EXPECT_TRUE(flips.empty());
}

TEST_F(Checking, TwoBadAnswersToADoubtTakeItDown) {
  begin({"a"});
  moods["a"] = Mood::mute;
  checker.look_into(backend("a"), 300ms);
  loop.advance(290ms);
  EXPECT_EQ(probes["a"].size(), 1U);
  loop.advance(10ms);
  ASSERT_EQ(probes["a"].size(), 2U);
  EXPECT_EQ(probes["a"][1].timeout, 1s);
  EXPECT_TRUE(settled.empty());
  loop.advance(1s);
  EXPECT_EQ(state("a"), Health::down);
  EXPECT_EQ(flips, (std::vector<Flip>{{"a", Health::down}}));
  EXPECT_EQ(settled, std::vector<std::string>{"a"});
}

TEST_F(Checking, ADoubtAboutOneThatIsDownOrUnknownIsSettledAtOnce) {
  const auto stranger = std::make_shared<Backend>("p", "x");
  checker.look_into(stranger, 300ms);
  EXPECT_EQ(settled, std::vector<std::string>{"x"});
  loop.settle();
  EXPECT_TRUE(probes.empty());
}

// Real probes ---------------------------------------------------------------------------------------

class Probing : public ::testing::Test {
 protected:
  Probing() {
    target.probe.kind = config::ProbeKind::http;
    target.probe.timeout = 1s;
    target.endpoint = server.endpoint();
    target.host = "backend.test";
  }
  ~Probing() override {
    wake.set(EventFlags::stop);
    loop.settle();
  }
  void begin() {
    asio::co_spawn(loop.ctx.get_executor(), probe_once(loop, wake, target),
                   [this](const std::exception_ptr&, ProbeVerdict v) { verdict = std::move(v); });
    loop.settle();
  }
  test::ManualLoop loop;
  test::UnixListener server;
  EventFlags wake{loop.wheel};
  ProbeTarget target;
  std::optional<ProbeVerdict> verdict;
};

TEST_F(Probing, AnAnswerWithinTheTimeoutPasses) {
  begin();
  test::Accepted connection = server.accept();
  EXPECT_TRUE(connection.received().starts_with("GET / HTTP/1.1\r\nHost: backend.test\r\n"));
  loop.advance(990ms);
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  loop.settle();
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->failure, "");
  EXPECT_TRUE(verdict->answered);
}

TEST_F(Probing, NoAnswerWithinTheTimeoutFails) {
  begin();
  test::Accepted connection = server.accept();
  loop.advance(990ms);
  EXPECT_FALSE(verdict);
  loop.advance(10ms);
  ASSERT_TRUE(verdict);
  EXPECT_FALSE(verdict->failure.empty());
  EXPECT_FALSE(verdict->answered);
}

TEST_F(Probing, TheRestOfAnAnswerIsAwaitedForASecondAtMost) {
  begin();
  test::Accepted connection = server.accept();
  connection.received();
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  loop.advance(990ms);
  EXPECT_FALSE(verdict);
  EXPECT_FALSE(connection.ended());
  loop.advance(10ms);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->failure, "");
  EXPECT_TRUE(connection.ended());
}

TEST_F(Probing, AProbeOfTheConnectionAloneSendsNothing) {
  target.probe.kind = config::ProbeKind::tcp;
  begin();
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->failure, "");
  test::Accepted connection = server.accept();
  EXPECT_EQ(connection.received(), "");
  EXPECT_TRUE(connection.ended());
}

TEST_F(Probing, ARefusalFailsAtOnce) {
  server.close();
  begin();
  ASSERT_TRUE(verdict);
  EXPECT_FALSE(verdict->failure.empty());
}

/// A probe of each kind, so that its failure names the same reason whatever the protocol.
class ProbingEachWay : public Probing, public ::testing::WithParamInterface<const char*> {
 protected:
  ProbingEachWay() {
    const std::string_view way = GetParam();
    if (way != "http1") target.protocol = config::BackendProtocol::h2;
    if (way == "grpc") target.probe.kind = config::ProbeKind::grpc;
  }
};
INSTANTIATE_TEST_SUITE_P(Probes, ProbingEachWay, ::testing::Values("http1", "http2", "grpc"),
                         [](const auto& way) { return std::string(way.param); });

/// Over HTTP/2 this was "malformed response" (gRPC: "connection closed"), and counted as a response: the
/// other addresses of the backend were not tried.
TEST_P(ProbingEachWay, ACloseWithoutAResponseIsNamedAndIsNoAnswer) {
  begin();
  test::Accepted connection = server.accept();
  connection.received();
  connection.close();
  loop.settle();
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->failure, "connection closed without a response");
  EXPECT_FALSE(verdict->answered);
}

}  // namespace
}  // namespace remora
