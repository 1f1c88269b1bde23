// What routes, limits and listeners guard, over the real binary: the bytes that a backend gets, or does not.

#include <gtest/gtest.h>

#include <fstream>
#include <mutex>

#include "support/remora.h"

namespace remora::test {
namespace {

/// A backend that answers with the head and body that it got.
Origin::Script mirror() {
  return answering([](const std::string& head, const std::string& body) { return ok(head + body); });
}

// Routes --------------------------------------------------------------------------------------------

class GuardedPath : public ::testing::Test {
 protected:
  static std::string config(const std::string& backend, const std::string& pool) {
    const std::string folder = make_folder();
    std::ofstream(folder + "/secret") << std::string(40, 's');
    return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nlisteners: [127.0.0.1:0]\n"
           "jwt: {main: {algorithms: [HS256], keys: {secret: {file: " +
           folder +
           "/secret}}}}\nroutes:\n  - {path: /admin, auth: main, pool: app}\n  - {path: /, pool: app}\n"
           "pools: {app: {" +
           pool + "backends: [" + backend + "]}}\n";
  }
};

TEST_F(GuardedPath, OtherSpellingsAreRefusedAndNeverSent) {
  std::mutex mutex;
  std::string sent;
  Origin origin(answering([&](const std::string& head, const std::string&) {
    const std::lock_guard lock(mutex);
    sent += head.substr(0, head.find('\r')) + "\n";
    return ok();
  }));
  for (const char* pool : {"", "affinity: {kind: url_rewrite, rewrite: [location]}, "}) {
    Remora remora(config(origin.address(), pool));
    EXPECT_EQ(remora.ask(get("/admin")).status, 401);
    EXPECT_EQ(remora.ask(get("/x/../admin")).status, 401);
    for (const char* target :
         {"//admin", "/admin;a=b", "/ADMIN", "/x/..;/admin", "/x/..;a=b/%2e%2e;/admin", "/x/..%2fadmin",
          "/x/..%252fadmin", "/x/..%5cadmin", "/x\\..\\admin", "/admin%20", "/admin.", "/%c0%ae%c0%ae/admin",
          "/x/..;rsid=q/admin", "/;rsid=q/admin", "/admin/../x"})
      EXPECT_EQ(remora.ask(get(target)).status, 400) << target;
    EXPECT_EQ(remora.ask(get("/a%2fb;c=d//e")).status, 200);
    EXPECT_TRUE(remora.wait_for_log("ambiguous_target"));
    // The connection goes on: nothing was wrong with its framing.
    Socket s = remora.connect();
    s.send(get("//admin") + get("/x"));
    EXPECT_EQ(s.receive_reply().status, 400);
    EXPECT_EQ(s.receive_reply().status, 200);
  }
  const std::lock_guard lock(mutex);
  EXPECT_EQ(sent,
            "GET /a%2fb;c=d//e HTTP/1.1\nGET /x HTTP/1.1\nGET /a%2fb;c=d//e HTTP/1.1\nGET /x HTTP/1.1\n");
}

// Upgrades ------------------------------------------------------------------------------------------

const std::string h2c =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
    "AAMA\r\n\r\n";

TEST(Upgrades, H2cGoesOnAsPlainHttp) {
  Origin origin(mirror());
  Remora remora(simple_config({origin.address()}));
  const Reply r = remora.ask(h2c);
  EXPECT_EQ(r.status, 200);
  for (const char* name : {"Upgrade", "Connection", "HTTP2-Settings"})
    EXPECT_EQ(count_of(r.body, name), 0) << name;
}

TEST(Upgrades, A101ThatNobodyAskedForIsABadGateway) {
  Origin origin([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    s.closed_by_peer();
  });
  Remora remora(simple_config({origin.address()}));
  EXPECT_EQ(remora.ask(h2c).status, 502);
}

// RFC 9110 7.8
TEST(Upgrades, A101ToAnotherProtocolIsABadGateway) {
  Origin origin([](Socket& s) {
    const std::string taken = field_of(s.receive_head(), "Taken");
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + taken + "\r\n\r\n");
    s.closed_by_peer();
  });
  Remora remora(simple_config({origin.address()}));
  const auto status = [&](const std::string& taken) {
    Socket s = remora.connect();
    s.send(get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\nTaken: " + taken + "\r\n"));
    return field_of(s.receive_head(), "Upgrade").empty() ? 502 : 101;
  };
  EXPECT_EQ(status("WebSocket"), 101);
  EXPECT_EQ(status("h2c"), 502);
  EXPECT_EQ(status("websocket, h2c"), 502);
}

TEST(Upgrades, ARouteMayNameOthers) {
  Origin origin(mirror());
  Remora remora(
      simple_config({origin.address()}, "", "", "routes: [{path: /, pool: app, upgrades: [my-protocol]}]\n"));
  const Reply r = remora.ask(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, My-Protocol, h2c\r\n\r\n");
  EXPECT_EQ(field_of(r.body, "Upgrade"), "My-Protocol");
}

// Trailers ------------------------------------------------------------------------------------------

TEST(TrailerFields, OnlyHarmlessOrAnnouncedOnesPass) {
  std::mutex mutex;
  std::string seen;
  Origin origin([&](Socket& s) {
    std::string all = s.receive_head();
    all += s.receive_until("\r\n\r\n");
    {
      const std::lock_guard lock(mutex);
      seen = all;
    }
    s.send(
        "HTTP/1.1 200 OK\r\nTrailer: My-Result, X-Forwarded-For\r\nTransfer-Encoding: "
        "chunked\r\n\r\n2\r\nhi\r\n0\r\n"
        "My-Result: 1\r\nServer-Timing: a\r\nX-Forwarded-For: 6.6.6.6\r\nLocation: /x\r\nOther: 2\r\n\r\n");
    s.closed_by_peer();
  });
  Remora remora(simple_config({origin.address()}));
  const Reply r = remora.ask(
      "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: My-Sum-Of, Authorization\r\nTransfer-Encoding: "
      "chunked\r\n\r\n2\r\nhi\r\n0\r\nMy-Sum-Of: 7\r\nContent-Digest: d\r\nAuthorization: Basic x\r\n"
      "X-Forwarded-For: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nUnannounced: 1\r\n\r\n");
  EXPECT_EQ(r.trailers, "My-Result: 1\r\nServer-Timing: a\r\n");
  EXPECT_EQ(r.field("Trailer"), "My-Result");
  const std::lock_guard lock(mutex);
  EXPECT_EQ(field_of(seen, "Trailer"), "My-Sum-Of");
  EXPECT_NE(seen.find("0\r\nMy-Sum-Of: 7\r\nContent-Digest: d\r\n\r\n"), std::string::npos) << seen;
}

TEST(Trace, IsRefused) {
  Origin origin(mirror());
  Remora remora(simple_config({origin.address()}));
  EXPECT_EQ(remora.ask("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").status, 501);
  EXPECT_EQ(origin.connections(), 0);
}

// PROXY lines ---------------------------------------------------------------------------------------

TEST(ProxySenders, OnlyThoseThatAreNamedAreBelieved) {
  Origin origin(mirror());
  const std::string line = "PROXY TCP4 9.8.7.6 1.2.3.4 1111 80\r\n" + get("/");
  const auto status = [&](const std::string& listener) {
    Remora remora(simple_config({origin.address()}, "", listener));
    Socket s = remora.connect();
    s.send(line);
    return s.receive_reply().status;
  };
  EXPECT_EQ(status("proxy_protocol: on\n"), 200);  // from this machine
  EXPECT_EQ(status("proxy_protocol: {from: [127.0.0.0/8]}\n"), 200);
  EXPECT_EQ(status("proxy_protocol: {from: [10.0.0.0/8]}\n"), 0);
  EXPECT_EQ(status("proxy_protocol: on\ntrusted_proxies: [10.0.0.0/8]\n"), 0);
  EXPECT_EQ(status("proxy_protocol: on\ntrusted_proxies: [127.0.0.1]\n"), 200);
}

TEST(ProxySenders, RefusedOnesAreCounted) {
  Origin origin(mirror());
  Remora remora(with_admin(simple_config({origin.address()}, "", "proxy_protocol: {from: [10.0.0.0/8]}\n")));
  Socket s = remora.connect();
  s.send("PROXY TCP4 10.0.0.1 1.2.3.4 1111 80\r\n" + get("/"));
  EXPECT_EQ(s.receive_reply().status, 0);
  EXPECT_TRUE(eventually([&] {
    const std::string all = remora.api("GET", "/metrics").body;
    const auto at = all.find("\nremora_proxy_lines_refused_total{");
    return at != std::string::npos && all.substr(all.find("} ", at) + 2, 2) == "1\n";
  }));
}

TEST(ProxySenders, AClaimedAddressSpeaksForOthersOnlyIfItIsATrustedProxys) {
  Origin origin(mirror());
  Remora remora(simple_config({origin.address()}, "",
                              "proxy_protocol: {from: [127.0.0.1]}\ntrusted_proxies: [10.0.0.0/8]\n"
                              "per_client: {requests_per_second: 0.001, burst: 1}\n"));
  const auto ask = [&](const std::string& source, const std::string& hop) {
    Socket s = remora.connect();
    s.send("PROXY TCP4 " + source + " 1.2.3.4 1111 80\r\n" + get("/", "X-Forwarded-For: " + hop + "\r\n"));
    return s.receive_reply();
  };
  EXPECT_EQ(field_of(ask("10.0.0.1", "5.5.5.5").body, "X-Forwarded-For"), "5.5.5.5, 10.0.0.1");
  EXPECT_EQ(field_of(ask("9.9.9.9", "5.5.5.5").body, "X-Forwarded-For"), "9.9.9.9");
  EXPECT_EQ(ask("9.9.9.9", "7.7.7.7").status, 429);  // the claimed address is what limits count
  EXPECT_EQ(ask("10.0.0.2", "5.5.5.5").status, 429);
}

// New sessions --------------------------------------------------------------------------------------

TEST(NewSessions, AreLimitedPerClientAndOldOnesAreNot) {
  Origin origin(mirror());
  Remora remora(simple_config({origin.address()}, "affinity: cookie\n",
                              "per_client: {new_sessions_per_second: 0.001, burst: 2}\n"));
  const Reply first = remora.ask(get("/"));
  EXPECT_EQ(first.status, 200);
  const std::string cookie = first.field("Set-Cookie").substr(0, first.field("Set-Cookie").find(';'));
  EXPECT_EQ(remora.ask(get("/")).status, 200);
  const Reply refused = remora.ask(get("/"));
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(refused.field("Retry-After"), "");
  EXPECT_EQ(refused.count("Set-Cookie"), 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(remora.ask(get("/", "Cookie: " + cookie + "\r\n")).status, 200);
}

// Keys of a route, on answers that no backend makes ---------------------------------------------------

/// A pool `app`, a verifier `main` and these routes; `pool` and `listener` add to theirs.
std::string routed(const std::string& backend, const std::string& routes, const std::string& pool = "",
                   const std::string& listener = "", const std::string& top = "") {
  const std::string folder = make_folder();
  std::ofstream(folder + "/secret") << std::string(40, 's');
  return with_admin(top +
                    "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nworkers: 1\nadmin: off\nlisteners: "
                    "[{bind: 127.0.0.1:0" +
                    listener + "}]\njwt: {main: {algorithms: [HS256], keys: {secret: {file: " + folder +
                    "/secret}}}}\nroutes:\n" + routes + "pools: {app: {" + pool + "backends: [" + backend +
                    "]}}\n");
}

TEST(Redirects, ObeyTheirRoutesAuthentication) {
  const Remora remora(routed("127.0.0.1:1",
                             "  - {path: /private, redirect: {to: /secret-place, status: 302}, auth: main}\n"
                             "  - {path: /open, redirect: /elsewhere}\n  - {path: /, pool: app}\n"));
  const Reply refused = remora.ask(get("/private"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.field("Location"), "");
  EXPECT_NE(refused.field("WWW-Authenticate"), "");
  const Reply open = remora.ask(get("/open"));
  EXPECT_EQ(open.status, 308);
  EXPECT_EQ(open.field("Location"), "/elsewhere");
}

TEST(ResponseHeaders, AreOnAnswersOfOurOwnToo) {
  Origin origin(mirror());
  const std::string edits =
      "response_headers: {set: {Strict-Transport-Security: max-age=9}, remove: [Cache-Control]}";
  const Remora remora(routed(origin.address(), "  - {path: /moved, redirect: /x, " + edits +
                                                   "}\n  - {path: /guarded, pool: app, auth: main, " + edits +
                                                   "}\n  - {path: /dead, pool: app, " + edits +
                                                   "}\n  - {path: /plain, pool: app}\n"));
  for (const auto& [path, status] :
       {std::pair("/moved", 308), std::pair("/guarded", 401), std::pair("/dead", 200)}) {
    const Reply r = remora.ask(get(path));
    EXPECT_EQ(r.status, status) << path;
    EXPECT_EQ(r.field("Strict-Transport-Security"), "max-age=9") << path;
    EXPECT_EQ(r.field("Cache-Control"), "") << path;
  }
  origin.stop();
  const Reply bad = remora.ask(get("/dead"));
  EXPECT_EQ(bad.status, 502);
  EXPECT_EQ(bad.field("Strict-Transport-Security"), "max-age=9");
  EXPECT_EQ(remora.ask(get("/plain")).field("Strict-Transport-Security"), "");
}

TEST(Affinity, IsOffWhereARouteSaysSo) {
  Origin origin(mirror());
  for (const char* announce : {"true", "false"}) {
    const Remora remora(routed(origin.address(),
                               "  - {path: /off, pool: app, affinity: off}\n  - {path: /, pool: app}\n",
                               "affinity: cookie, session: {announce: " + std::string(announce) + "}, "));
    const Reply off = remora.ask(get("/off")), on = remora.ask(get("/"));
    EXPECT_EQ(off.field("Set-Cookie"), "");
    EXPECT_EQ(field_of(off.body, "Remora-Session"), "");
    EXPECT_NE(on.field("Set-Cookie"), "");
    EXPECT_EQ(field_of(on.body, "Remora-Session").empty(), std::string(announce) == "false");
  }
}

TEST(RouteTimeouts, CountInsteadOfThePools) {
  Origin silent([](Socket& s) {
    const std::string head = s.receive_head();
    if (head.find("/body") != std::string::npos) s.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    s.receive_some();
  });
  const std::string route = ", pool: app, timeouts: {";
  const Remora remora(routed("{address: " + silent.address() + ", max_in_flight: 1}",
                             "  - {path: /head" + route + "response: 50ms}}\n  - {path: /body" + route +
                                 "read: 50ms}}\n  - {path: /queue" + route +
                                 "queue: 50ms}}\n  - {path: /, pool: app}\n",
                             "timeouts: {response: 5m, read: 5m, queue: 5m}, failover: {attempts: 1}, "));
  EXPECT_EQ(remora.ask(get("/head")).status, 504);
  EXPECT_FALSE(remora.ask(get("/body")).complete);
  Socket first = remora.connect();
  first.send(get("/"));
  EXPECT_TRUE(eventually([&] { return silent.connections() == 3; }));
  EXPECT_EQ(remora.ask(get("/queue")).status, 503);
}

// What is refused is counted and, at log.level debug, said with its reason -----------------------------

int refused(const Remora& remora, const std::string& what) {
  const std::string metrics = remora.api("GET", "/metrics").body;
  const std::string name = "remora_refused_total{listener=\"web\",what=\"" + what + "\"} ";
  const auto at = metrics.find(name);
  return at == std::string::npos ? -1 : std::atoi(metrics.c_str() + at + name.size());
}

TEST(Refusals, AreCountedByListenerAndSaidAtDebug) {
  Origin origin(mirror());
  const Remora remora(routed(
      origin.address(), "  - {path: /x, pool: app}\n  - {path: /, methods: [GET], pool: app}\n", "",
      ", name: web, proxy_protocol: on, per_client: {requests_per_second: 0.001, burst: 1, connections: 1}",
      "log: {level: debug}\n"));
  const auto from = [&](int n) { return "PROXY TCP4 10.0.0." + std::to_string(n) + " 10.0.0.1 1 1\r\n"; };
  EXPECT_EQ(refused(remora, "proxy_line"), 0);
  remora.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(refused(remora, "proxy_line"), 1);
  EXPECT_EQ(remora.ask(from(2) + "GET / HTTP/9.9\r\nHost: x\r\n\r\n").status, 505);
  EXPECT_EQ(refused(remora, "head"), 1);
  EXPECT_EQ(remora.ask(from(3) + get("/")).status, 200);
  EXPECT_EQ(remora.ask(from(3) + get("/")).status, 429);
  EXPECT_EQ(refused(remora, "requests"), 1);
  Socket first = remora.connect();
  first.send(from(4) + get("/x"));
  EXPECT_EQ(first.receive_reply().status, 200);
  Socket second = remora.connect();
  second.send(from(4) + get("/x"));
  EXPECT_TRUE(second.closed_by_peer());  // one too many is closed: nobody has asked for anything yet
  EXPECT_EQ(refused(remora, "connections"), 1);
  EXPECT_TRUE(remora.wait_for_log("10.0.0.4"));
  const std::string metrics = remora.api("GET", "/metrics").body;
  for (const char* route : {"*/ GET", "*/x"})
    EXPECT_NE(
        metrics.find("remora_route_requests_total{route=\"" + std::string(route) + "\",code=\"2xx\"} 1\n"),
        std::string::npos)
        << route << metrics;
}

TEST(Refusals, OfNewSessionsAreCountedToo) {
  Origin origin(mirror());
  const Remora remora(routed(origin.address(), "  - {path: /, pool: app}\n", "affinity: cookie, ",
                             ", name: web, per_client: {new_sessions_per_second: 0.001}"));
  EXPECT_EQ(remora.ask(get("/")).status, 200);
  EXPECT_EQ(remora.ask(get("/")).status, 429);
  EXPECT_EQ(refused(remora, "new_sessions"), 1);
  EXPECT_EQ(refused(remora, "requests"), 0);
}

}  // namespace
}  // namespace remora::test
