// What clients bring along: cookies of several proxies, requests from other sites, several first requests at
// once, ids that an app says in a stream.

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "support/site.h"

namespace remora::test {
namespace {

const std::string other_key = std::string(42, '/') + "8=";

/// The same file with keys of its own.
std::string with_key(std::string config, const std::string& key) {
  const std::string entry = "[{env: REMORA_TEST_KEY}]";
  return config.replace(config.find(entry), entry.size(), "[{env: " + key + "}]");
}

// Several proxies -----------------------------------------------------------------------------------

// traefik/traefik #1574: the cookie of one of two cascaded instances overwrites the other's.
TEST(TwoInARow, EachKeepsItsOwnSessionWithTwoKeysAndWithOne) {
  for (const char* inner_key : {"REMORA_TEST_KEY", "OTHER"}) {
    for (const std::string affinity : {"cookie", "[{kind: app_cookie, name: SID, carry: token}, cookie]"}) {
      Site site(3);
      const std::vector<std::string> environment{"OTHER=" + other_key};
      const std::string pool = "affinity: " + affinity + "\nbalance: round_robin\n";
      const std::string config = with_key(site.config(pool), inner_key);
      Remora one(config, environment), two(config, environment);
      const auto at = [](const Remora& r) { return "127.0.0.1:" + std::to_string(r.port()); };
      Remora outer(simple_config({at(one), at(two)}, pool), environment);
      std::set<std::string> used;
      for (int user = 0; user < 12; ++user) {
        auto [browser, home] = begin(outer.port(), user % 2 == 0 ? "/" : "/login");
        used.insert(home);
        for (int i = 0; i < 6; ++i) {
          const Reply r = browser.get(outer.port());
          EXPECT_EQ(r.field("X-Backend"), home) << affinity << " " << inner_key;
          EXPECT_EQ(announced(r).reason, "sticky");
        }
      }
      EXPECT_GT(used.size(), 1U);
    }
  }
}

TEST(TwoInARow, AndThreeWithOneKey) {
  Site site(3);
  const std::string pool = "affinity: cookie\nbalance: round_robin\n";
  const auto at = [](const Remora& r) { return "127.0.0.1:" + std::to_string(r.port()); };
  Remora third(site.config(pool)), fourth(site.config(pool));
  Remora second(simple_config({at(third), at(fourth)}, pool)), other(simple_config({at(third)}, pool));
  Remora first(simple_config({at(second), at(other)}, pool));
  for (int user = 0; user < 8; ++user) {
    auto [browser, home] = begin(first.port());
    for (int i = 0; i < 5; ++i) EXPECT_EQ(browser.get(first.port()).field("X-Backend"), home);
    EXPECT_EQ(browser.cookies.size(), 3U);
  }
}

// kubernetes/ingress-nginx #4208; RFC 6265 8.5: cookies know no port.
TEST(TwoPortsOfOneHost, DoNotMoveEachOthersUsers) {
  Site site(3);
  const std::string config = site.config("affinity: cookie\nbalance: round_robin\n");
  Remora one(config), two(with_key(config, "OTHER"), {"OTHER=" + other_key});
  for (int user = 0; user < 8; ++user) {
    Browser browser;
    const std::string at_one = browser.get(one.port()).field("X-Backend");
    const std::string at_two = browser.get(two.port()).field("X-Backend");
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(browser.get(one.port()).field("X-Backend"), at_one);
      EXPECT_EQ(browser.get(two.port()).field("X-Backend"), at_two);
    }
  }
}

// Other sites ---------------------------------------------------------------------------------------

// alibaba/tengine #1811, discourse/discourse-saml #49: a provider's POST comes back without the cookie.
TEST(AnotherSitesPost, DoesNotReplaceASessionThatTheBrowserKeptBack) {
  const std::string post = "POST /acs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n";
  Site site(3);
  for (const std::string affinity :
       {"cookie", "[cookie, url_rewrite]", "{kind: cookie, same_site: strict}"}) {
    Remora remora(site.config("affinity: " + affinity + "\n"));
    for (const char* from :
         {"Sec-Fetch-Site: cross-site\r\n", "Origin: https://idp.test\r\n", "Origin: null\r\n"}) {
      const Reply r = remora.ask(post + from + "\r\nhi");
      EXPECT_EQ(r.status, 200);
      EXPECT_EQ(r.field("Set-Cookie"), "") << affinity << from;
    }
    EXPECT_NE(remora.ask(post + "Origin: http://a\r\n\r\nhi").field("Set-Cookie"), "");
    EXPECT_NE(remora.ask(post + "\r\nhi").field("Set-Cookie"), "");
    EXPECT_NE(remora.ask(get("/", "Sec-Fetch-Site: cross-site\r\n")).field("Set-Cookie"), "");
  }
  // SameSite=None keeps nothing back: what did not come is not there, and an app in a frame may only post.
  Remora framed(site.config("affinity: {kind: cookie, same_site: none, secure: on}\n"));
  EXPECT_NE(framed.ask(post + "Sec-Fetch-Site: cross-site\r\n\r\nhi").field("Set-Cookie"), "");
}

// Session fixation: the sender of a link is in the session that it holds, and its reader must not stay there.
TEST(AnotherSitesLink, MakesNoCookieOfItsSession) {
  Origin origin([](Socket& s) {
    if (s.receive_head().empty()) return;
    s.send("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  Remora remora(simple_config({origin.address()},
                              "affinity: [cookie, {kind: url_rewrite, name: rsid, rewrite: [location]}]\n"));
  const std::string link = remora.ask(get("/")).field("Location");
  ASSERT_NE(link.find("rsid="), std::string::npos) << link;
  const auto cookie = [&](const std::string& method, const std::string& fields) {
    return remora.ask(method + " " + link + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + fields + "\r\n")
        .field("Set-Cookie");
  };
  for (const char* method : {"GET", "POST", "PUT", "OPTIONS"}) {
    for (const char* fields : {"Origin: http://evil.example\r\n", "Origin: null\r\n",
                               "Referer: http://evil.example/\r\n", "Sec-Fetch-Site: cross-site\r\n"})
      EXPECT_EQ(cookie(method, fields), "") << method << " " << fields;
    for (const char* fields : {"", "Origin: http://a\r\n", "Referer: http://a/y\r\n"})
      EXPECT_NE(cookie(method, fields), "") << method << " " << fields;
  }
  EXPECT_EQ(cookie("OPTIONS", "Origin: http://a\r\nAccess-Control-Request-Method: PUT\r\n"), "");
}

TEST(AnotherSitesPost, TeachesTheIdThatTheAppGives) {
  Site site(3);
  Remora remora(site.config("affinity: [{kind: app_cookie, name: SID}, cookie]\nbalance: round_robin\n"));
  for (int i = 0; i < 6; ++i) {
    const Reply r = remora.ask(
        "POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nSec-Fetch-Site: cross-site\r\n\r\n");
    EXPECT_EQ(r.count("Set-Cookie"), 1);  // the app's
    const Reply next = remora.ask(get("/", "Cookie: SID=" + r.field("Sid") + "\r\n"));
    EXPECT_EQ(next.field("X-Backend"), r.field("X-Backend"));
  }
}

// At once -------------------------------------------------------------------------------------------

/// The backends and session ids that requests on connections of their own get, sent together.
std::pair<std::set<std::string>, std::set<std::string>> together(int port, int count,
                                                                 const Browser& browser) {
  std::vector<Socket> sockets;
  for (int i = 0; i < count; ++i) sockets.push_back(Socket::connect(port));
  for (Socket& s : sockets) s.send(browser.request("/"));
  std::pair<std::set<std::string>, std::set<std::string>> seen;
  for (Socket& s : sockets) {
    const Reply r = s.receive_reply();
    seen.first.insert(r.field("X-Backend"));
    seen.second.insert(announced(r).id);
  }
  return seen;
}

// haproxy/haproxy #2196: concurrent first requests; "the last one has the last say".
TEST(FirstRequestsAtOnce, OfOneBrowserShareABackendAndNeverAnId) {
  for (const std::string affinity : {"cookie", "{kind: app_cookie, name: SID}"}) {
    Site site(5);
    Remora remora(site.config("affinity: " + affinity + "\nbalance: round_robin\n"));
    std::set<std::string> used;
    for (int user = 0; user < 10; ++user) {
      Browser browser;
      browser.more = "User-Agent: B" + std::to_string(user) + "\r\n";
      const auto [backends, ids] = together(remora.port(), 6, browser);
      EXPECT_EQ(backends.size(), 1U);
      EXPECT_EQ(ids.size(), 6U);
      used.insert(backends.begin(), backends.end());
    }
    EXPECT_GT(used.size(), 1U);  // browsers are spread as ever
  }
}

TEST(FirstRequestsAtOnce, OfProgramsAndThroughStrangersAreSpread) {
  Site site(5);
  Remora remora(site.config("affinity: cookie\nbalance: round_robin\n"));
  EXPECT_EQ(together(remora.port(), 10, Browser()).first.size(), 5U);  // says no User-Agent
  Browser proxied;
  proxied.more = "User-Agent: B\r\nVia: 1.1 x\r\n";
  EXPECT_EQ(together(remora.port(), 10, proxied).first.size(), 5U);
  Remora behind(
      site.config("affinity: cookie\nbalance: round_robin\n", "", "trusted_proxies: [127.0.0.1/32]\n"));
  Browser same, unsaid;
  same.more = "User-Agent: B\r\nX-Forwarded-For: 10.1.2.3\r\n";
  unsaid.more = "User-Agent: B\r\n";
  EXPECT_EQ(together(behind.port(), 6, same).first.size(), 1U);
  EXPECT_EQ(together(behind.port(), 10, unsaid).first.size(), 5U);  // the address is the proxy's
}

TEST(FirstRequestsAtOnce, AfterAnExpiredSessionBeginTheSameOneOnAllInstances) {
  Site site(5);
  const std::string config =
      site.config("affinity: cookie\nsession: {idle_timeout: 200ms}\nbalance: round_robin\n");
  Remora one(config), two(config);
  auto [browser, home] = begin(one.port());
  std::this_thread::sleep_for(300ms);
  auto seen = together(one.port(), 6, browser);
  const auto elsewhere = together(two.port(), 6, browser);
  seen.first.insert(elsewhere.first.begin(), elsewhere.first.end());
  EXPECT_EQ(seen.first.size(), 1U);
  const Reply r = browser.get(one.port());
  EXPECT_EQ(announced(r).reason, "expired");
  EXPECT_EQ(r.field("X-Backend"), *seen.first.begin());
}

TEST(FirstRequestsAtOnce, WithAnExpiredIdOfTheAppShareABackend) {
  Site site(5);
  Remora remora(site.config(
      "affinity: {kind: app_cookie, name: SID}\nsession: {idle_timeout: 200ms}\nbalance: round_robin\n"));
  auto [browser, home] = begin(remora.port(), "/login");
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(together(remora.port(), 6, browser).first.size(), 1U);
}

// Streams -------------------------------------------------------------------------------------------

/// An MCP server of the older transport: the id stands in the first event, and only its server knows it.
Origin::Script mcp(const std::string& name) {
  return [name](Socket& s) {
    for (;;) {
      const std::string head = s.receive_head();
      if (head.empty()) return;
      if (head.rfind("GET /sse", 0) == 0) {
        static std::atomic<int> streams{0};
        const std::string event =
            "event: endpoint\ndata: /messages?sessionId=" + name + "-" + std::to_string(++streams) + "\n\n";
        s.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n: hello\n\n");
        s.send(event);
        s.receive_some();
        return;
      }
      const bool mine = head.find("sessionId=" + name + "-") != std::string::npos;
      s.send(mine ? ok(name) : "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
  };
}

// modelcontextprotocol/typescript-sdk #329: several replicas and the SSE transport.
TEST(EventStream, TheIdInItsFirstEventIsBoundToItsServer) {
  Origin a(mcp("a")), b(mcp("b")), c(mcp("c"));
  for (const char* unknown : {"choose", "reject"}) {
    Remora remora(simple_config(
        {a.address(), b.address(), c.address()},
        "affinity: {kind: app_cookie, name: sessionId, query_parameter: sessionId, on_unknown: " +
            std::string(unknown) + "}\nbalance: round_robin\nsession: {reject: {status: 404}}\n"));
    for (int client = 0; client < 6; ++client) {
      Socket stream = remora.connect();
      stream.send(get("/sse"));
      std::string seen = stream.receive_until("sessionId=");
      seen += stream.receive_until("\n\n");
      const auto at = seen.find("/messages");
      ASSERT_NE(at, std::string::npos) << seen;
      const std::string url = seen.substr(at, seen.find('\n', at) - at);
      for (int i = 0; i < 2; ++i)
        EXPECT_EQ(remora.ask("POST " + url + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").status,
                  200);
    }
    EXPECT_EQ(remora.ask(get("/messages?sessionId=nobody")).status, 404);
  }
}

// Keyed ---------------------------------------------------------------------------------------------

// envoyproxy/envoy #10502: retries of what is hashed go to the same host.
TEST(Hashed, TheErrorsOfAKeysServerAreTheKeysAlone) {
  std::map<std::string, std::string> affinities{
      {"header", "{kind: header, name: X-Tenant}"},
      // Room for two: the request before may still be counted when its client has the response.
      {"bounded", "{kind: header, name: X-Tenant, bounded_load: 3}"},
      {"unknown id", "{kind: app_cookie, name: SID}"}};
  for (const auto& [what, affinity] : affinities) {
    const auto named = [](const std::string& name) {
      return answering([name](const std::string& head, const std::string&) {
        if (head.find("/busy") != std::string::npos && name == "a")
          return std::string("HTTP/1.1 503 Busy\r\nX-Backend: a\r\nContent-Length: 4\r\n\r\nbusy");
        return ok(name, "X-Backend: " + name + "\r\n");
      });
    };
    Origin a(named("a")), b(named("b")), c(named("c"));
    // With ids of their own: addresses, with ports of chance, would spread the keys anew in each run.
    const auto with_id = [](const char* id, const Origin& at) {
      return "{id: " + std::string(id) + ", address: \"" + at.address() + "\"}";
    };
    Remora remora(
        simple_config({with_id("a", a), with_id("b", b), with_id("c", c)}, "affinity: " + affinity + "\n"));
    int busy = 0, at_a = 0;
    std::vector<std::string> keys;
    for (int k = 0; k < 40; ++k) {
      const std::string key =
          "X-Tenant: t" + std::to_string(k) + "\r\nCookie: SID=t" + std::to_string(k) + "\r\n";
      if (remora.ask(get("/", key)).field("X-Backend") == "a") keys.push_back(key);
    }
    for (const std::string& key : keys) {
      const Reply r = remora.ask(get("/busy", key));
      busy += r.body == "busy" ? 1 : 0;
      at_a += r.field("X-Backend") == "a" ? 1 : 0;
    }
    ASSERT_GT(keys.size(), 5U) << what;  // more than it takes to eject a server
    EXPECT_EQ(busy, static_cast<int>(keys.size())) << what;
    EXPECT_EQ(at_a, static_cast<int>(keys.size())) << what;
    a.stop();  // nobody listens: those do go elsewhere
    for (const std::string& key : keys) EXPECT_EQ(remora.ask(get("/", key)).status, 200) << what;
  }
}

}  // namespace
}  // namespace remora::test
