// Requests without a session: the first ones of a client come in parallel and share a backend; those of one
// client are limited; a client with a backend connection of its own begins its session there.

#include <gtest/gtest.h>

#include <set>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";
constexpr const char* in_turn = "affinity: cookie, balance: round_robin";

TEST(FirstRequests, OfOneConnectionShareABackendForASecondAndNeverAnId) {
  Trunk trunk(app(in_turn, "abcde"));
  std::set<std::string> backends, ids;
  for (int i = 0; i < 5; ++i) {
    trunk.get("/");
    const Told got = told(trunk.connector.requests.back());
    backends.insert(got.backend);
    ids.insert(got.id);
  }
  EXPECT_EQ(backends.size(), 1U);
  EXPECT_EQ(ids.size(), 5U);
  trunk.advance(1500ms);
  trunk.get("/");
  EXPECT_NE(trunk.connector.requests.back().backend, *backends.begin());
  const std::string next = trunk.connector.requests.back().backend;
  trunk.member(next).health = Health::down;  // not to one that takes no sessions
  trunk.get("/");
  EXPECT_NE(trunk.connector.requests.back().backend, next);
}

TEST(FirstRequests, OfOneClientWithOneUserAgentShareABackendOnAllWorkers) {
  Workers w(app(in_turn, "abcde"));
  const auto ask = [](Trunk& t, const std::string& agent) {
    return Browser().ask(t, "/", agent.empty() ? Fields() : Fields{{"User-Agent", agent}});
  };
  const Told first = ask(w.one, "firefox");
  for (int i = 0; i < 4; ++i) {
    const Told got = ask(i % 2 == 0 ? w.two : w.one, "firefox");
    EXPECT_EQ(got.backend, first.backend);
    EXPECT_NE(got.id, first.id);
  }
  std::set<std::string> others;
  for (int i = 0; i < 5; ++i) others.insert(ask(w.one, "").backend);
  EXPECT_EQ(others.size(), 5U);  // without a User-Agent, nothing is shared
  w.two.member(first.backend).health = Health::down;
  const Told elsewhere = ask(w.two, "firefox");
  EXPECT_NE(elsewhere.backend, first.backend);
  EXPECT_EQ(ask(w.one, "firefox").backend, elsewhere.backend);  // from now on there
  w.advance(2s);
  others.clear();
  for (int i = 0; i < 5; ++i) {
    others.insert(ask(w.one, "firefox").backend);
    w.advance(2s);
  }
  EXPECT_GT(others.size(), 1U);
}

TEST(FirstRequests, ThroughAProxyAreManyPeoples) {
  for (const char* name : {"Via", "Forwarded", "X-Forwarded-For"}) {
    Trunk trunk(app(in_turn, "abcde"));
    std::set<std::string> backends;
    const std::string value = std::string(name) == "Via"         ? "1.1 x"
                              : std::string(name) == "Forwarded" ? "for=10.1.2.3"
                                                                 : "10.1.2.3";
    for (int i = 0; i < 5; ++i) {
      trunk.get("/", {{name, value}, {"User-Agent", "x"}});
      backends.insert(trunk.connector.requests.back().backend);
    }
    EXPECT_EQ(backends.size(), 5U) << name;
  }
  const std::string trusting = "listeners: [{bind: 127.0.0.1:0, trusted_proxies: [192.0.2.0/24]}]\n";
  Trunk trusted(app(in_turn, "abcde", trusting));
  std::set<std::string> backends, of_one;
  for (int i = 0; i < 5; ++i) {
    trusted.get("/", {{"User-Agent", "x"}});  // the proxy's own
    backends.insert(trusted.connector.requests.back().backend);
  }
  EXPECT_EQ(backends.size(), 5U);
  for (int i = 0; i < 5; ++i) {
    trusted.get("/", {{"User-Agent", "x"}, {"X-Forwarded-For", "10.1.2.3"}});
    of_one.insert(trusted.connector.requests.back().backend);
  }
  EXPECT_EQ(of_one.size(), 1U);  // one client behind it
}

TEST(FirstRequests, AreLimitedPerClient) {
  const std::string limited =
      "listeners: [{bind: 127.0.0.1:0, per_client: {new_sessions_per_second: 1, burst: 2}}]\n";
  for (const std::string kind : {cookie, app_cookie}) {
    Trunk trunk(app(kind, "abc", limited));
    Browser browser;
    EXPECT_EQ(browser.ask(trunk).status, 200);
    EXPECT_EQ(Browser().ask(trunk).status, 200);
    Browser refused;
    if (kind == app_cookie) refused.cookies["SID"] = "invented";
    EXPECT_EQ(refused.ask(trunk).status, 429) << kind;
    EXPECT_TRUE(field(trunk.delivered().head.fields, "Retry-After"));
    EXPECT_EQ(trunk.memory->learned.size(), 0U);
    if (kind == cookie) {
      EXPECT_EQ(browser.ask(trunk).status, 200);  // no new one
    }
    trunk.advance(2s);
    EXPECT_EQ(Browser().ask(trunk).status, 200);
  }
}

TEST(FirstRequests, GoWhereTheClientHasAConnectionOfItsOwn) {
  Trunk trunk(app(in_turn, "abcde"));
  for (const char* home : {"a", "c", "e"}) {
    for (const bool leg_due : {false, true}) {
      const auto ask = [&] {
        trunk.new_connection();
        trunk.connector.reserve("app", trunk.backend_of(home), leg_due);
        trunk.get("/");
        return trunk.connector.requests.back().backend;
      };
      EXPECT_EQ(ask(), home);
      trunk.member(home).admin = Admin::drain;  // only the next leg of an authentication goes there still
      EXPECT_EQ(ask() == home, leg_due);
      trunk.member(home).admin = Admin::ready;
    }
  }
}

TEST(FirstRequests, ThatFailBeginAnotherSessionElsewhere) {
  Trunk trunk(app("affinity: cookie"));
  for (const char* id : {"a", "b"}) trunk.connector.script(id, {.fails = BackendScript::Fails::closes});
  std::map<std::string, std::string> places;
  for (int i = 0; i < 3; ++i) {
    Browser browser;
    const Told got = browser.ask(trunk);
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(browser.ask(trunk).id, got.id);
  }
  // What a backend that failed may have kept under an id is no other backend's session.
  for (const SentRequest& sent : trunk.connector.requests) {
    const Told request = told(sent);
    EXPECT_EQ(places.emplace(request.id, request.backend).first->second, request.backend);
  }
}

}  // namespace
}  // namespace remora::test
