// What remora writes into responses: cookies that browsers keep, answers that no shared cache keeps, and
// nothing taken from those who need no token in a page.

#include <gtest/gtest.h>

#include "support/site.h"

namespace remora::test {
namespace {

std::string target_of(const std::string& head) {
  const auto from = head.find(' ') + 1;
  return head.substr(from, head.find(' ', from) - from);
}

/// The Set-Cookie line of that cookie; empty: none.
std::string own_cookie(const Reply& reply, const std::string& name = "c") {
  const auto at = reply.head.find("Set-Cookie: " + name + "=");
  return at == std::string::npos ? "" : reply.head.substr(at, reply.head.find("\r\n", at) - at);
}

// Shared caches -------------------------------------------------------------------------------------

/// A shared cache may keep the answer of a GET (RFC 9111 3; RFC 9213 2.2), as a lenient one would see it.
bool may_be_shared(const Reply& r) {
  for (const char* name : {"CDN-Cache-Control", "Surrogate-Control"})
    if (r.count(name) > 0 && r.field(name).find("no-store") == std::string::npos) return true;
  if (r.count("X-Accel-Expires") > 0) return true;
  const std::string line = r.field("Cache-Control");
  return line.find("private") == std::string::npos && line.find("no-store") == std::string::npos;
}

const std::string lifetimes[] = {"",
                                 "Cache-Control: max-age=3600\r\n",
                                 "Expires: Thu, 01 Jan 2037 00:00:00 GMT\r\n",
                                 "Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT\r\n",
                                 "Cache-Control: public, max-age=60\r\n",
                                 "Cache-Control: s-maxage=60\r\n",
                                 "Cache-Control: no-cache\r\nCDN-Cache-Control: max-age=60\r\n",
                                 "Cache-Control: private\r\nSurrogate-Control: max-age=60\r\n",
                                 "Cache-Control: private\r\nX-Accel-Expires: 60\r\n",
                                 "Cache-Control: max-age=0, must-revalidate\r\nETag: \"1\"\r\n"};

// MicrosoftDocs/azure-docs #60794: whoever got the page from the CDN got the first one's server.
TEST(SharedCaches, KeepNoAnswerThatCarriesAToken) {
  const auto app = [](const std::string& name) {
    return answering([name](const std::string& head, const std::string&) {
      const std::string target = target_of(head);
      std::string fields = "X-Backend: " + name + "\r\n";
      if (target.rfind("/sid", 0) == 0) fields += "Set-Cookie: SID=abc; Path=/\r\n";
      if (const auto at = target.find('='); at != std::string::npos)
        fields += lifetimes[static_cast<std::size_t>(target[at + 1] - '0')];
      if (target.rfind("/304", 0) == 0) return "HTTP/1.1 304 Not Modified\r\n" + fields + "\r\n";
      if (target.rfind("/301", 0) == 0)
        return "HTTP/1.1 301 Moved Permanently\r\nContent-Length: 0\r\nLocation: /x\r\n" + fields + "\r\n";
      return ok("<a href=\"/x\">x</a>", fields + "Content-Type: text/html\r\n");
    });
  };
  std::map<std::string, std::unique_ptr<Origin>> origins;
  for (const char* name : {"a", "b"}) origins[name] = std::make_unique<Origin>(app(name));
  const std::string cookie = "{kind: cookie, name: c}";
  for (const std::string& affinity : {cookie, std::string("{kind: url_rewrite, rewrite: [location, html]}"),
                                      std::string("{kind: app_cookie, name: SID, carry: token}")}) {
    Remora remora(simple_config({origins["a"]->address()}, "affinity: " + affinity + "\n"));
    int tokens = 0;
    for (std::size_t i = 0; i < std::size(lifetimes); ++i)
      for (const char* path : {"/x", "/301", "/304", "/sid"}) {
        const Reply r = remora.ask(get(path + std::string("?l=") + std::to_string(i)));
        const bool token = !own_cookie(r).empty() || !own_cookie(r, "SID-r").empty() ||
                           r.body.find("rsid=") != std::string::npos ||
                           r.field("Location").find("rsid=") != std::string::npos;
        tokens += token ? 1 : 0;
        if (token) {
          EXPECT_FALSE(may_be_shared(r)) << affinity << path << "\n" << r.head;
        }
        // The app's own cookie is worth nothing elsewhere: ours comes with it.
        if (affinity == cookie && std::string(path) == "/sid") {
          EXPECT_TRUE(token) << r.head;
        }
      }
    EXPECT_GT(tokens, 0) << affinity;
    EXPECT_TRUE(own_cookie(remora.ask(get("/x?l=4"))).empty()) << "offered to all: the token waits";
  }
  // After a move it cannot wait.
  Remora remora(
      simple_config({origins["a"]->address(), origins["b"]->address()}, "affinity: " + cookie + "\n"));
  const auto [browser, home] = begin(remora.port());
  origins.erase(home);
  for (std::size_t i = 0; i < std::size(lifetimes); ++i) {
    Browser same = browser;  // as before the move
    const Reply r = same.get(remora.port(), "/x?l=" + std::to_string(i));
    EXPECT_NE(own_cookie(r), "");
    EXPECT_FALSE(may_be_shared(r)) << r.head;
  }
}

// contao/core-bundle #1702, silverstripe/silverstripe-framework PR #4743: with `private` alone the Back
// button shows the account of who has logged out.
TEST(SharedCaches, RestrictionsOfTheAppReachTheClient) {
  const std::string strict =
      "Cache-Control: no-store, no-cache\r\ncache-control: must-revalidate, no-transform\r\n";
  Origin app(answering([&](const std::string& head, const std::string&) {
    const std::string target = target_of(head);
    std::string fields = strict + "Content-Type: text/html\r\n";
    if (target.rfind("/logout", 0) == 0)
      fields += "Remora-Session-Control: end\r\nSet-Cookie: SID=; Path=/; Max-Age=0\r\n";
    if (target.rfind("/login", 0) == 0) fields += "Set-Cookie: SID=abc; Path=/\r\n";
    if (target.rfind("/to", 0) == 0)
      return "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n" + fields + "\r\n";
    return ok("<a href=\"/x\">x</a>", fields);
  }));
  for (const std::string affinity :
       {"{kind: cookie, name: c}", "{kind: url_rewrite, rewrite: [location, html]}",
        "{kind: app_cookie, name: SID, carry: token}"}) {
    Remora remora(simple_config({app.address()}, "affinity: " + affinity + "\n"));
    Browser browser;
    for (const char* path : {"/x", "/login", "/to", "/x", "/logout"}) {
      const Reply r = browser.get(remora.port(), path);
      EXPECT_EQ(r.field("Cache-Control"), "no-store, no-cache, must-revalidate, no-transform")
          << affinity << path;
      EXPECT_EQ(r.body.find("rsid="), std::string::npos) << "RFC 9110 7.7: no-transform";
    }
  }
}

// Cookies that browsers keep ------------------------------------------------------------------------

// traefik/traefik #6261, kubernetes/ingress-nginx #1759: TLS ends in front of remora, whom nobody told.
TEST(BrowserRules, NoCookieGoesOutThatBrowsersIgnore) {
  Site site(1);
  for (const char* affinity :
       {"{kind: cookie, name: c, same_site: none}", "{kind: cookie, name: c, partitioned: on}",
        "{kind: cookie, name: __Host-c}", "{kind: app_cookie, name: SID, carry: token, same_site: none}"})
    for (const char* listener : {"", "trusted_proxies: [127.0.0.0/8]\n"}) {
      Remora remora(site.config("affinity: " + std::string(affinity) + "\n", "", listener));
      for (const char* proto : {"", "X-Forwarded-Proto: https\r\n", "X-Forwarded-Proto: http\r\n"}) {
        const Reply r = remora.ask(get("/login", proto));
        for (const char* name : {"c", "__Host-c", "SID-r"})
          if (const std::string line = own_cookie(r, name); !line.empty()) {
            EXPECT_NE(line.find("; Secure"), std::string::npos) << line;
          }
        EXPECT_EQ(r.count("Set-Cookie"), 2) << "ours and the app's: " << r.head;
      }
    }
}

// kubernetes/ingress-nginx #9154. A second: its quarter has always passed.
TEST(BrowserRules, ACookieThatLastsIsSetAgainWhileItIsUsed) {
  Site site(3);
  for (const std::string affinity :
       {"{kind: cookie, name: c, max_age: 1s}", "{kind: app_cookie, name: SID, carry: token, max_age: 1s}",
        "[url_rewrite, {kind: cookie, name: c, max_age: 1s}]"})
    for (const char* idle : {"none", "1h"}) {
      Remora remora(site.config("affinity: " + affinity + "\nsession: {idle_timeout: " + idle + "}\n"));
      auto [browser, home] = begin(remora.port(), "/login");
      for (int i = 0; i < 3; ++i) {
        const Reply r = browser.get(remora.port());
        EXPECT_EQ(r.field("X-Backend"), home);
        EXPECT_NE(
            own_cookie(r, affinity.find("SID") != std::string::npos ? "SID-r" : "c").find("; Max-Age=1"),
            std::string::npos)
            << affinity << r.head;
      }
    }
}

// If all that an app answers is offered to shared caches, one of them has to bring it.
TEST(BrowserRules, ACookieThatLastsIsSetAgainWhateverTheAppAnswers) {
  Site site(2);
  Remora remora(site.config("affinity: {kind: cookie, name: c, max_age: 1s}\n"));
  auto [browser, home] = begin(remora.port());
  for (int i = 0; i < 2; ++i) {
    const Reply r = browser.get(remora.port(), "/public");
    EXPECT_EQ(r.field("X-Backend"), home);
    EXPECT_NE(own_cookie(r).find("; Max-Age=1"), std::string::npos) << r.head;
    EXPECT_EQ(r.field("Cache-Control"), "private, max-age=60");
  }
}

// Upgrades ------------------------------------------------------------------------------------------

/// The head of the answer to an upgrade; the socket stays open.
Reply upgrade(Socket& socket, const std::string& target, const std::string& more = "") {
  socket.send("GET " + target +
              " HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
              more + "\r\n");
  Reply r;
  r.head = socket.receive_head();
  r.status = r.head.size() > 12 ? std::stoi(r.head.substr(9, 3)) : 0;
  return r;
}

/// /ws/NNN answers an upgrade with that status.
Origin::Script sockets(const std::string& name) {
  return [name](Socket& s) {
    const std::string head = s.receive_head();
    const std::string status = target_of(head).substr(4, 3);
    const std::string fields = "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") +
                               "\r\nSet-Cookie: SID=" + name + "; Path=/\r\n";
    if (status != "101") {
      s.send("HTTP/1.1 " + status + " Other\r\nContent-Length: 0\r\nConnection: close\r\n" + fields + "\r\n");
      return;
    }
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + fields +
           "\r\n");
    while (s.receive_some()) s.send(std::exchange(s.buffer(), {}));
  };
}

// traefik/traefik #3343: no cookie on the upgrade, so that each socket of a user landed elsewhere.
TEST(Upgrades, CarryTheTokenWhateverTheAnswerIs) {
  Origin a(sockets("a")), b(sockets("b")), c(sockets("c"));
  for (const std::string affinity : {"{kind: cookie, name: c}", "{kind: app_cookie, name: SID, carry: token}",
                                     "{kind: app_cookie, name: SID}"}) {
    Remora remora(simple_config({a.address(), b.address(), c.address()},
                                "affinity: " + affinity + "\nfailover: {retry_on: [connect]}\n"));
    for (const char* status : {"101", "400", "403", "404", "429", "500", "503"}) {
      Browser browser;
      Socket first = remora.connect();
      const Reply r = upgrade(first, "/ws/" + std::string(status));
      ASSERT_EQ(std::to_string(r.status), status);
      browser.take(r);
      if (status == std::string("101")) {
        first.send("hello");
        EXPECT_EQ(first.receive_exactly(5), "hello");
        EXPECT_EQ(r.field("Cache-Control"), "") << r.head;
      }
      std::string cookies;
      for (const auto& [name, value] : browser.cookies)
        cookies += (cookies.empty() ? "" : "; ") + name + "=" + value;
      for (const char* next : {"101", "404", "101"}) {
        Socket again = remora.connect();
        EXPECT_EQ(
            upgrade(again, "/ws/" + std::string(next), "Cookie: " + cookies + "\r\n").field("X-Backend"),
            r.field("X-Backend"))
            << affinity << status;
      }
    }
  }
}

// While it is open no cookie can be set: it begins with a whole one.
TEST(Upgrades, BeginWithACookieThatHasAllItsTime) {
  Origin a(sockets("a"));
  Remora remora(simple_config({a.address()}, "affinity: {kind: cookie, name: c, max_age: 1h}\n"));
  Browser browser;
  browser.take(remora.ask(get("/ws/404")));
  ASSERT_EQ(browser.cookies.count("c"), 1U);
  const std::string cookie = "Cookie: c=" + browser.cookies["c"] + "\r\n";
  EXPECT_EQ(own_cookie(remora.ask(get("/ws/404", cookie)), "c"), "") << "its quarter has not passed";
  Socket socket = remora.connect();
  EXPECT_NE(own_cookie(upgrade(socket, "/ws/101", cookie), "c").find("; Max-Age=3600"), std::string::npos);
}

// Range and Accept-Encoding -------------------------------------------------------------------------

/// Says what it was asked for; /film in ranges.
Origin::Script files() {
  return answering([](const std::string& head, const std::string&) {
    const std::string target = target_of(head), range = field_of(head, "Range");
    std::string fields =
        "Accept-Ranges: bytes\r\nX-Range: " + range + "\r\nX-If-Range: " + field_of(head, "If-Range") +
        "\r\nX-Coding: " + field_of(head, "Accept-Encoding") +
        "\r\nContent-Type: " + (target.rfind("/page", 0) == 0 ? "text/html" : "video/mp4") + "\r\n";
    if (range.empty()) return ok(target.rfind("/page", 0) == 0 ? "<a href='/x'>" : "0123456789", fields);
    return "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/10\r\nContent-Length: 2\r\n" + fields +
           "\r\n01";
  });
}

// getsentry/sentry #67900, Chocobozzz/PeerTube #5468 (films only in ranges); Esri/resource-proxy PR #174
// (Accept-Ranges passed, Range did not); h2o/h2o #429 (gzip lost).
TEST(Ranges, AreTakenOnlyFromRequestsWhosePagesAreMarked) {
  Origin app(files());
  const std::string wants = "Range: bytes=0-1\r\nIf-Range: \"1\"\r\nAccept-Encoding: gzip, br\r\n";
  const auto untouched = [&](const Reply& r) {
    EXPECT_EQ(r.status, 206) << r.head;
    EXPECT_EQ(r.field("Accept-Ranges"), "bytes");
    EXPECT_EQ(r.field("X-Coding"), "gzip, br");
    EXPECT_EQ(r.field("X-If-Range"), "\"1\"");
  };
  const auto taken = [&](const Reply& r) {
    EXPECT_EQ(r.status, 200) << r.head;
    EXPECT_EQ(r.field("Accept-Ranges"), "");
    EXPECT_EQ(r.field("X-Coding"), "identity");
    EXPECT_EQ(r.field("X-If-Range"), "");
  };
  Remora both(
      simple_config({app.address()},
                    "affinity: [{kind: cookie, name: c}, {kind: url_rewrite, rewrite: [location, html]}]\n"));
  Browser browser;
  browser.get(both.port(), "/x");
  ASSERT_EQ(browser.cookies.count("c"), 1U);
  browser.more = wants;
  for (const char* target : {"/film.mp4", "/film", "/page"}) untouched(browser.get(both.port(), target));
  Browser stranger;
  stranger.more = wants;
  taken(stranger.get(both.port(), "/film"));
  Browser film;
  film.more = wants + "Sec-Fetch-Dest: video\r\n";
  untouched(film.get(both.port(), "/film"));

  Remora urls(simple_config({app.address()}, "affinity: {kind: url_rewrite, rewrite: [location, html]}\n"));
  taken(urls.ask(get("/page", wants)));
  taken(urls.ask(get("/film", wants)));
  untouched(urls.ask(get("/film.mp4", wants)));
  untouched(urls.ask(get("/film", wants + "Accept: video/mp4\r\n")));
  EXPECT_EQ(urls.ask(get("/film")).field("Accept-Ranges"), "") << "the next request's Range would be taken";

  Remora locations(simple_config({app.address()}, "affinity: url_rewrite\n"));
  untouched(locations.ask(get("/page", wants)));
  Remora off(simple_config({app.address()}, "affinity: {kind: url_rewrite, rewrite: [location, html]}\n") +
             "routes:\n  - {path: /, pool: app, affinity: off}\n");
  untouched(off.ask(get("/page", wants)));
}

}  // namespace
}  // namespace remora::test
