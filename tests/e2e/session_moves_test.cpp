// Sessions move: when their backend dies, restarts or goes; when the app says so. Rebalancing, and responses
// that come late: tests/proxy/trunk.

#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <set>

#include "support/site.h"

namespace remora::test {
namespace {

// Moves ---------------------------------------------------------------------------------------------

class Moving : public ::testing::TestWithParam<const char*> {};

TEST_P(Moving, ParallelRequestsAfterADeathLandOnOneNewBackendWithOneEpoch) {
  Site site(5);
  // Without ejection: instances agree on a target as long as they see the same backends in service, and one
  // that has ejected a restarted backend does not.
  const std::string config = site.config("affinity: " + std::string(GetParam()) + "\nhealth: {eject: off}\n");
  Remora one(config), two(config);
  const bool instances_agree = std::string(GetParam()) == "cookie" ||
                               std::string(GetParam()).find("carry: token") != std::string::npos;
  for (int round = 0; round < 5; ++round) {
    const auto [browser, home] = begin(one.port(), "/login");
    site.stop(home);
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::set<std::string> backends, epochs, ids;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&, t] {
        const int port = instances_agree && t % 2 == 1 ? two.port() : one.port();
        for (int i = 0; i < 3; ++i) {
          Browser copy = browser;  // each with the token of before the death
          const Reply r = copy.get(port);
          const std::lock_guard lock(mutex);
          backends.insert(r.field("X-Backend"));
          epochs.insert(std::to_string(announced(r).epoch));
          ids.insert(announced(r).id);
        }
      });
    for (auto& t : threads) t.join();
    EXPECT_EQ(backends.size(), 1U);
    EXPECT_FALSE(backends.contains(home));
    EXPECT_EQ(epochs, std::set<std::string>{"2"});
    EXPECT_EQ(ids.size(), 1U);
    site.start(home);
    // It does not return: the old token goes to the present owner, on the instance that moved it.
    Browser copy = browser;
    EXPECT_EQ(copy.get(one.port()).field("X-Backend"), *backends.begin());
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Moving,
                         ::testing::Values("cookie", "{kind: app_cookie, name: SID}",
                                           "{kind: app_cookie, name: SID, carry: token}",
                                           "{kind: header, name: Sid, learn: true}"),
                         [](const auto& info) { return "kind" + std::to_string(info.index); });

TEST(Moves, AnInstanceThatMovedASessionKeepsSendingOldTokensToTheNewBackend) {
  Site site(3);
  const std::string config = site.config("affinity: cookie\n");
  Remora one(config), two(config);
  auto [browser, home] = begin(one.port());
  const Browser before = browser;
  site.stop(home);
  const Reply moved = browser.get(one.port());
  site.start(home);
  EXPECT_EQ(announced(moved).reason, "failover");
  // Divergent views: the other instance never saw the death. With the new token it follows, ...
  EXPECT_EQ(browser.get(two.port()).field("X-Backend"), moved.field("X-Backend"));
  // ... with the old one each does what it knows: the one that moved it remembers.
  Browser old = before;
  const Reply r = old.get(one.port());
  EXPECT_EQ(r.field("X-Backend"), moved.field("X-Backend"));
  EXPECT_EQ(announced(r).epoch, 2);
  EXPECT_EQ(announced(r).reason, "failover");  // for this client it is news
  EXPECT_NE(old.cookies["remora-app"], before.cookies.at("remora-app"));
}

TEST(Moves, ARestartedBackendIsToldByItsGeneration) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  auto [browser, home] = begin(remora.port());
  site.set_generation(home, 1000);
  const Reply adopted = browser.get(remora.port());  // its first number: adopted, nothing moves
  EXPECT_EQ(adopted.field("X-Backend"), home);
  EXPECT_EQ(adopted.field("Remora-Generation"), "");
  EXPECT_EQ(adopted.count("Set-Cookie"), 1);
  EXPECT_EQ(announced(browser.get(remora.port())).reason, "sticky");
  site.set_generation(home, 2000);
  Browser().get(remora.port());  // somebody's answer tells (all backends, to be sure)
  for (int i = 0; i < 20; ++i) Browser().get(remora.port());
  const Reply restarted = browser.get(remora.port());
  EXPECT_EQ(announced(restarted).reason, "restart");
  EXPECT_EQ(announced(restarted).epoch, 2);
  EXPECT_EQ(announced(browser.get(remora.port())).reason, "sticky");
}

TEST(Moves, ARestartedProcessIsAsGoodAsAnyOther) {
  Site site(1);
  Remora remora(site.config("affinity: cookie\n"));
  site.set_generation("a", 1000);
  auto [browser, home] = begin(remora.port());
  site.set_generation("a", 2000);
  Browser().get(remora.port());
  const Reply r = browser.get(remora.port());
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(announced(r).reason, "restart");
  EXPECT_EQ(announced(r).epoch, 2);
}

TEST(Moves, AProbeTellsOfARestartBeforeAnyRequestMeetsIt) {
  Site site(2);
  Remora remora(site.config("affinity: cookie\nhealth: {probe: {path: /healthz, interval: 50ms}}\n"));
  site.set_generation("a", 1000);
  site.set_generation("b", 1000);
  ASSERT_TRUE(remora.backend_is("a", "generation", "1000") && remora.backend_is("b", "generation", "1000"));
  auto [browser, home] = begin(remora.port());
  site.set_generation(home, 2000);
  ASSERT_TRUE(remora.backend_is(home, "generation", "2000"));
  EXPECT_EQ(announced(browser.get(remora.port())).reason, "restart");
}

TEST(Moves, ABackendThatLeftTheConfigurationIsARemovedOne) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  auto [browser, home] = begin(remora.port());
  std::string config = site.config("affinity: cookie\n");
  const auto at = config.find("{id: " + home);
  config.replace(at, config.find('}', at) + 1 - at, "{id: z, address: 127.0.0.1:1, weight: 0}");
  ASSERT_TRUE(remora.reload(config));
  const Reply r = browser.get(remora.port());
  EXPECT_EQ(announced(r).reason, "removed");
  EXPECT_EQ(announced(r).epoch, 2);
}

class OneOfTen : public ::testing::TestWithParam<const char*> {};

TEST_P(OneOfTen, BackendsComesOrGoesAndOnlySessionsThatMustMoveDo) {
  Site site(10);
  const std::string config = site.config("affinity: " + std::string(GetParam()) + "\n");
  std::string nine = config;
  const auto at = nine.find(", {id: j");
  nine.erase(at, nine.find('}', at) + 1 - at);
  Remora remora(nine);
  std::vector<std::pair<Browser, std::string>> users;
  for (int i = 0; i < 100; ++i) users.push_back(begin(remora.port(), "/login"));
  ASSERT_TRUE(remora.reload(config));  // one comes
  for (auto& [browser, home] : users) EXPECT_EQ(browser.get(remora.port()).field("X-Backend"), home);
  for (int i = 0; i < 30; ++i) users.push_back(begin(remora.port(), "/login"));
  ASSERT_TRUE(remora.reload(nine));  // it goes again
  int moved = 0;
  for (auto& [browser, home] : users) {
    const Reply r = browser.get(remora.port());
    EXPECT_EQ(announced(r).reason, home == "j" ? "removed" : "sticky");
    EXPECT_EQ(r.field("X-Backend") == home, home != "j");
    moved += home == "j" ? 1 : 0;
  }
  EXPECT_GT(moved, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, OneOfTen, ::testing::Values("cookie", "{kind: app_cookie, name: SID}"),
                         [](const auto& info) { return "kind" + std::to_string(info.index); });

/// What the server only wishes waits until somebody can take the session.
TEST(Moves, AVoluntaryOneWithNobodyToGoToWaits) {
  Site site(1);
  for (const std::string affinity : {"cookie", "{kind: app_cookie, name: SID}"}) {
    Remora remora(site.config("affinity: " + affinity + "\n"));
    auto [browser, home] = begin(remora.port(), "/login");
    const std::string id = announced(browser.get(remora.port())).id;
    EXPECT_EQ(browser.get(remora.port(), "/control/move").status, 200);
    for (int i = 0; i < 3; ++i) {
      const Reply r = browser.get(remora.port());
      EXPECT_EQ(r.status, 200) << affinity;
      EXPECT_EQ(announced(r).id, id) << affinity;
      EXPECT_EQ(announced(r).epoch, 1) << affinity;
    }
  }
}

// Control by the app --------------------------------------------------------------------------------

TEST(Control, EndIsALogoutAndOldTokensAreNone) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  auto [browser, home] = begin(remora.port());
  const Browser before = browser;
  const Reply ended = browser.get(remora.port(), "/control/end");
  EXPECT_EQ(ended.field("Remora-Session-Control"), "");
  EXPECT_EQ(browser.cookies.count("remora-app"), 0U);
  Browser old = before;
  const Reply r = old.get(remora.port());
  EXPECT_EQ(announced(r).reason, "new");
  EXPECT_EQ(announced(r).epoch, 1);
}

TEST(Control, RenewGivesAnotherIdOnTheSameBackendAndTheOldOneIsNobodys) {
  Site site(3);
  Remora remora(site.config("affinity: cookie\n"));
  auto [browser, home] = begin(remora.port());
  const Browser before = browser;
  const Reply renewed = browser.get(remora.port(), "/control/renew");
  const Reply after = browser.get(remora.port());
  EXPECT_NE(announced(after).id, announced(renewed).id);
  EXPECT_EQ(after.field("X-Backend"), home);
  // A request that was under way with the old token is served there, but is not the session any more, and
  // its answer does not replace the new token.
  Browser old = before;
  const Reply r = old.get(remora.port());
  EXPECT_EQ(r.field("X-Backend"), home);
  EXPECT_EQ(r.field("X-Session"), "");
  EXPECT_EQ(old.cookies, before.cookies);
}

TEST(Control, MovePlacesTheSessionElsewhereFromTheNextRequestOn) {
  Site site(3);
  const std::string config = site.config("affinity: cookie\n");
  Remora remora(config), other(config);
  auto [browser, home] = begin(remora.port());
  const Browser before = browser;
  EXPECT_EQ(browser.get(remora.port(), "/control/move").field("X-Backend"), home);
  Browser old = before;  // also with the token of before
  EXPECT_NE(old.get(remora.port()).field("X-Backend"), home);
  const Reply r = browser.get(other.port());  // on another instance, by what the token says
  EXPECT_NE(r.field("X-Backend"), home);
  EXPECT_EQ(announced(r).reason, "rebalance");
  EXPECT_EQ(announced(r).epoch, 2);
}

TEST(Control, HoldsForLearnedSessionsToo) {
  Site site(3);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID}\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  const std::string id = announced(browser.get(remora.port())).id;
  EXPECT_EQ(browser.get(remora.port(), "/control/move").field("X-Backend"), home);
  const Reply moved = browser.get(remora.port());
  EXPECT_NE(moved.field("X-Backend"), home);
  EXPECT_EQ(announced(moved).id, id);
  browser.get(remora.port(), "/control/renew");
  EXPECT_NE(announced(browser.get(remora.port())).id, id);
  browser.get(remora.port(), "/control/end");
  const Reply ended = browser.get(remora.port());
  EXPECT_EQ(announced(ended).reason, "new");
}

// Learned sessions ----------------------------------------------------------------------------------

TEST(LearnedSession, CarriesOnUnderTheIdThatALoginGives) {
  Site site(3);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID}\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  const Browser anonymous = browser;
  const Reply first = browser.get(remora.port());
  const Reply login = browser.get(remora.port(), "/login/again");
  EXPECT_NE(browser.cookies.at("SID"), anonymous.cookies.at("SID"));
  const Reply after = browser.get(remora.port());
  EXPECT_EQ(after.field("X-Backend"), home);
  EXPECT_EQ(announced(after).id, announced(first).id);
  EXPECT_EQ(announced(after).reason, "sticky");
  // Requests that were under way with the old id still find their backend.
  Browser old = anonymous;
  EXPECT_EQ(old.get(remora.port()).field("X-Backend"), home);
}

TEST(LearnedSession, IsForgottenWhenTheAppClearsItsCookie) {
  Site site(3);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID}\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  const std::string sid = browser.cookies.at("SID");
  const std::string id = announced(browser.get(remora.port())).id;
  browser.get(remora.port(), "/logout");
  EXPECT_EQ(browser.cookies.count("SID"), 0U);
  browser.cookies["SID"] = sid;  // whoever still has it has an id that nothing is known of
  EXPECT_NE(announced(browser.get(remora.port())).id, id);
}

TEST(LearnedSession, AnUnknownIdIsRejectedWhereTheFileSaysSo) {
  Site site(2);
  Remora remora(
      site.config("affinity: {kind: app_cookie, name: SID, on_unknown: reject}\nsession: {reject: {status: "
                  "409, body: gone}}\n"));
  Browser browser;
  browser.cookies["SID"] = "invented";
  const Reply r = browser.get(remora.port());
  EXPECT_EQ(r.status, 409);
  EXPECT_EQ(r.body, "gone");
  browser.cookies.clear();
  EXPECT_EQ(browser.get(remora.port(), "/login").status, 200);
  EXPECT_EQ(browser.get(remora.port()).status, 200);
}

TEST(LearnedSession, GoesToTheServerThatItsIdNames) {
  Site site(3);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID, route_separator: '.'}\n"));
  for (int i = 0; i < 10; ++i)
    for (const char* name : {"a", "b", "c"}) {
      Browser browser;
      browser.cookies["SID"] = "x" + std::to_string(i) + "." + name;
      EXPECT_EQ(browser.get(remora.port()).field("X-Backend"), name);
    }
}

TEST(LearnedSession, WithoutAStoreTheCompanionIsNeverSeenByTheApp) {
  Site site(2);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID, carry: token}\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  ASSERT_EQ(browser.cookies.count("SID-r"), 1U);
  const Reply r = browser.get(remora.port());
  EXPECT_EQ(r.field("X-Cookie"), "SID=" + browser.cookies.at("SID"));
  browser.get(remora.port(), "/logout");
  EXPECT_TRUE(browser.cookies.empty());
}

/// RFC-like behavior that the MCP specification asks for: a session that is gone answers 404, so that the
/// client initializes anew; never another server that knows nothing of it.
TEST(McpSession, ThatIsLostAnswers404UntilTheClientBeginsAnew) {
  const auto server = [](const std::string& name) {
    return answering([name, ids = std::make_shared<std::set<std::string>>()](const std::string& head,
                                                                             const std::string& body) {
      const std::string id = field_of(head, "Mcp-Session-Id");
      if (body.find("initialize") != std::string::npos) {
        const std::string fresh = name + std::to_string(ids->size());
        ids->insert(fresh);
        return ok(name, "Mcp-Session-Id: " + fresh + "\r\n");
      }
      if (!ids->contains(id)) return std::string("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      return ok(name);
    });
  };
  auto a = std::make_unique<Origin>(server("a")), b = std::make_unique<Origin>(server("b"));
  Remora remora(
      simple_config({"{id: a, address: " + a->address() + "}", "{id: b, address: " + b->address() + "}"},
                    "affinity: {kind: header, name: Mcp-Session-Id, learn: true}\n"
                    "session: {on_lost: reject, reject: {status: 404}}\n"));
  const auto post = [&](const std::string& id, const std::string& body) {
    return remora.ask("POST /mcp HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) +
                      "\r\n" + (id.empty() ? "" : "Mcp-Session-Id: " + id + "\r\n") + "\r\n" + body);
  };
  std::map<std::string, std::string> home;
  for (int i = 0; i < 20; ++i) {
    const Reply r = post("", "{\"method\":\"initialize\"}");
    home[r.field("Mcp-Session-Id")] = r.body;
  }
  for (const auto& [id, name] : home)
    for (int i = 0; i < 5; ++i) EXPECT_EQ(post(id, "{\"method\":\"tools/list\"}").body, name);
  const int port = a->port();
  a.reset();
  int lost = 0;
  for (const auto& [id, name] : home) {
    for (int i = 0; i < 3; ++i) {
      const Reply r = post(id, "{\"method\":\"tools/list\"}");
      EXPECT_EQ(r.status, name == "a" ? 404 : 200) << i;
      if (name == "b") {
        EXPECT_EQ(r.body, "b");
      }
    }
    lost += name == "a" ? 1 : 0;
  }
  EXPECT_GT(lost, 0);
  // The server comes back without its memory: what was lost stays lost.
  const Origin back(server("a"), port);
  for (const auto& [id, name] : home) EXPECT_EQ(post(id, "{}").status, name == "a" ? 404 : 200);
  Reply anew;
  ASSERT_TRUE(eventually([&] { return (anew = post("", "{\"method\":\"initialize\"}")).body == "b"; }));
  EXPECT_EQ(post(anew.field("Mcp-Session-Id"), "{}").body, "b");
}

}  // namespace
}  // namespace remora::test
