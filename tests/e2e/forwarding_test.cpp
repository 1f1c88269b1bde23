// What changes on the way, and what must not: hop-by-hop fields, Host, Forwarded, Via, cookies, routes,
// limits.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>

#include "support/remora.h"

namespace remora::test {
namespace {

/// Answers with the head that it saw as the body.
Origin::Script mirror(const std::string& name = "") {
  return answering([name](const std::string& head, const std::string&) {
    return ok(head, name.empty() ? "" : "X-Backend: " + name + "\r\n");
  });
}

class Forwarding : public ::testing::Test {
 protected:
  Origin origin_{mirror()};
  std::string seen_by_backend(const std::string& fields, const std::string& pool = "",
                              const std::string& listener = "") {
    Remora remora(simple_config({origin_.address()}, pool, listener));
    const Reply r = remora.ask(get("/x?y=1", fields));
    EXPECT_EQ(r.status, 200);
    return r.body;
  }
};

TEST_F(Forwarding, HopByHopFieldsStayBehind) {
  const std::string head = seen_by_backend(
      "Connection: X-Mine, close-not\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: "
      "keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\n");
  for (const char* name : {"Connection", "X-Mine", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade"})
    EXPECT_EQ(count_of(head, name), 0) << name;
}

TEST_F(Forwarding, ConnectionCannotRemoveWhatWeAddOrWhatFramesTheMessage) {
  const std::string head = seen_by_backend("Connection: X-Forwarded-For, Host, Via, X-Request-Id\r\n");
  EXPECT_EQ(field_of(head, "X-Forwarded-For"), "127.0.0.1");
  EXPECT_EQ(field_of(head, "Host"), "test");
  EXPECT_EQ(field_of(head, "Via"), "1.1 remora");
  EXPECT_EQ(count_of(head, "X-Request-Id"), 1);
}

TEST_F(Forwarding, OrderCaseAndDuplicatesAreKept) {
  const std::string head = seen_by_backend("b-Field: 1\r\nA-field: 2\r\nb-Field: 3\r\n");
  EXPECT_NE(head.find("b-Field: 1\r\nA-field: 2\r\nb-Field: 3\r\n"), std::string::npos) << head;
  EXPECT_EQ(head.substr(0, head.find("\r\n")), "GET /x?y=1 HTTP/1.1");
}

TEST_F(Forwarding, StrangersCannotSayWhoTheyAre) {
  const std::string head = seen_by_backend(
      "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: "
      "mine\r\n");
  EXPECT_EQ(field_of(head, "X-Forwarded-For"), "127.0.0.1");
  EXPECT_EQ(field_of(head, "X-Forwarded-Proto"), "http");
  EXPECT_EQ(field_of(head, "X-Forwarded-Host"), "test");
  EXPECT_EQ(field_of(head, "X-Forwarded-Port"), "80");
  EXPECT_EQ(count_of(head, "Forwarded"), 0);
  EXPECT_EQ(field_of(head, "X-Request-Id").size(), 32U);
}

TEST_F(Forwarding, TrustedProxiesAreBelieved) {
  const std::string head =
      seen_by_backend("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Request-Id: theirs\r\n",
                      "forwarded: both\n", "trusted_proxies: [127.0.0.0/8]\n");
  EXPECT_EQ(field_of(head, "X-Forwarded-For"), "9.9.9.9, 127.0.0.1");
  EXPECT_EQ(field_of(head, "X-Forwarded-Proto"), "https");
  EXPECT_EQ(field_of(head, "X-Request-Id"), "theirs");
  EXPECT_EQ(field_of(head, "Forwarded"), "for=127.0.0.1;proto=https;host=test");
}

TEST_F(Forwarding, AListenerNamesMoreThatStrangersMayNotSay) {
  const std::string more = "X-Tenant: evil\r\nx_tenant: evil\r\nX-Internal-Role: evil\r\nX-Other: fine\r\n";
  const std::string names = "strip_client_headers: [X-Tenant, X-Internal-*]\n";
  const std::string head = seen_by_backend(more, "", names);
  EXPECT_EQ(head.find("evil"), std::string::npos) << head;
  EXPECT_EQ(field_of(head, "X-Other"), "fine");
  EXPECT_EQ(
      field_of(seen_by_backend("X-Tenant: a\r\n", "", names + "trusted_proxies: [127.0.0.1]\n"), "X-Tenant"),
      "a");
}

/// Nor does what they say there choose a route.
TEST_F(Forwarding, AFieldThatStrangersMayNotSendMatchesNoRoute) {
  const auto ask = [&](const std::string& listener) {
    Remora remora("admin: off\nlisteners: [{bind: 127.0.0.1:0, strip_client_headers: [X-Role]" + listener +
                  "}]\npools: {app: {backends: [" + origin_.address() +
                  "]}}\nroutes: [{path: /, headers: {X-Role: admin}, pool: app}]\n");
    return remora.ask(get("/", "X-Role: admin\r\n")).status;
  };
  EXPECT_EQ(ask(""), 404);
  EXPECT_EQ(ask(", trusted_proxies: [127.0.0.1]"), 200);
}

TEST_F(Forwarding, ViaCanBeSwitchedOff) {
  Remora remora(simple_config({origin_.address()}, "via: off\n"));
  const Reply r = remora.ask(get("/"));
  EXPECT_EQ(count_of(r.body, "Via"), 0);
  EXPECT_EQ(r.count("Via"), 0);
}

// traefik/traefik #6388: a WebSocket's scheme, and all that follows from it.
TEST_F(Forwarding, ASecureWebSocketIsSecure) {
  Remora remora(
      "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nlisteners: [{bind: 127.0.0.1:0, "
      "trusted_proxies: "
      "[127.0.0.1]}]\npools: {app: {affinity: cookie, backends: [" +
      origin_.address() +
      "]}}\nroutes: [{path: /old, redirect: \"{scheme}://{host}{uri}\"}, {path: /, pool: app}]\n");
  for (const bool secure : {true, false}) {
    const std::string said = std::string("X-Forwarded-Proto: ") + (secure ? "wss" : "ws") + "\r\n";
    const Reply r = remora.ask(get("/ws", said));
    EXPECT_EQ(field_of(r.body, "X-Forwarded-Proto"), secure ? "https" : "http");
    EXPECT_EQ(field_of(r.body, "X-Forwarded-Port"), secure ? "443" : "80");
    EXPECT_EQ(r.field("Set-Cookie").find("; Secure") != std::string::npos, secure);
    EXPECT_EQ(remora.ask(get("/old", said)).field("Location"),
              secure ? "https://test/old" : "http://test/old");
  }
}

// alphagov/frontend #734
TEST_F(Forwarding, QueriesArriveAsTheyWereSent) {
  for (const char* affinity : {"", "affinity: {kind: url_rewrite, style: query}\n",
                               "affinity: {kind: app_cookie, name: SID, query_parameter: sid}\n"}) {
    Remora remora(simple_config({origin_.address()}, affinity));
    for (const char* target :
         {"/s?q=100%", "/s?sid=%&rsid=%zz%", "/s?h=%00%94d6p%2b", "/s?q=a|{b}\\\"^`[1]<x>"}) {
      const Reply r = remora.ask(get(target));
      EXPECT_EQ(r.status, 200) << target;
      EXPECT_TRUE(r.body.starts_with(std::string("GET ") + target + " HTTP/1.1\r\n") ||
                  std::string_view(target).find("rsid") != std::string_view::npos)
          << r.body;
    }
    EXPECT_EQ(remora.ask(get("/100%")).status, 400);
  }
}

TEST_F(Forwarding, RemoraFieldsFromClientsAreRemovedInEveryDisguise) {
  const std::string head = seen_by_backend(
      "Remora-Session: \"x\";epoch=9\r\nREMORA-State: x\r\nremora_session: y\r\nRemora_Anything: "
      "z\r\nRemoral: stays\r\n");
  EXPECT_EQ(head.find("emora-S"), std::string::npos) << head;
  EXPECT_EQ(head.find("remora_"), std::string::npos);
  EXPECT_EQ(head.find("Remora_"), std::string::npos);
  EXPECT_EQ(field_of(head, "Remoral"), "stays");
}

TEST_F(Forwarding, HostModes) {
  EXPECT_EQ(field_of(seen_by_backend("", "host: client\n"), "Host"), "test");
  EXPECT_EQ(field_of(seen_by_backend("", "host: backend\n"), "Host"), origin_.address());
  EXPECT_EQ(field_of(seen_by_backend("", "host: app.internal\n"), "Host"), "app.internal");
}

TEST_F(Forwarding, ConfiguredEditsApplyToBothHeads) {
  Remora remora("admin: off\nlisteners: [127.0.0.1:0]\npools: {app: {backends: [" + origin_.address() +
                "], headers: {set: {X-Pool: p}, remove: [X-Gone]}}}\n"
                "routes: [{path: /, pool: app, headers: {set: {X-Route: r}}, response_headers: {set: {X-Out: "
                "o}, remove: [X-Backend]}}]\n");
  const Reply r = remora.ask(get("/", "X-Gone: 1\r\nX-Pool: client\r\n"));
  EXPECT_EQ(field_of(r.body, "X-Gone"), "");
  EXPECT_EQ(field_of(r.body, "X-Pool"), "p");
  EXPECT_EQ(field_of(r.body, "X-Route"), "r");
  EXPECT_EQ(r.field("X-Out"), "o");
}

TEST_F(Forwarding, Http10RequestsReachTheBackendAsHttp11) {
  Remora remora(simple_config({origin_.address()}));
  const Reply r = remora.ask("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(r.body.substr(0, 14), "GET / HTTP/1.1");
  EXPECT_EQ(field_of(r.body, "Host"), origin_.address());
  EXPECT_EQ(field_of(r.body, "Via"), "1.0 remora");
}

// Routes --------------------------------------------------------------------------------------------

TEST(Routing, TheMostSpecificRouteWins) {
  Origin a(mirror("a")), b(mirror("b")), c(mirror("c")), d(mirror("d"));
  Remora remora("admin: off\nlisteners: [127.0.0.1:0]\npools:\n  a: {backends: [" + a.address() +
                "]}\n  b: {backends: [" + b.address() + "]}\n  c: {backends: [" + c.address() +
                "]}\n  d: {backends: [" + d.address() +
                "]}\nroutes:\n  - {path: /, pool: a}\n  - {path: /api/, pool: b, strip_prefix: /api}\n"
                "  - {host: \"*.example.com\", path: /, pool: c}\n  - {host: shop.example.com, path: /, "
                "methods: [POST], pool: d}\n"
                "  - {path: /old, redirect: {to: \"https://{host}{uri}\", status: 301}}\n"
                "  - {path: /api, headers: {X-Version: \"2\"}, pool: d}\n");
  const auto backend = [&](const std::string& request) { return remora.ask(request).field("X-Backend"); };
  EXPECT_EQ(backend(get("/")), "a");
  EXPECT_EQ(backend(get("/apix")), "a");
  EXPECT_EQ(backend(get("/api")), "b");
  EXPECT_EQ(backend(get("/api/x")), "b");
  EXPECT_EQ(backend(get("/x/%2e%2e/api/x")), "b");  // a disguised path cannot slip past a route
  EXPECT_EQ(backend(get("/api/x", "X-Version: 2\r\n")), "d");
  EXPECT_EQ(backend("GET / HTTP/1.1\r\nHost: www.Example.com:80\r\n\r\n"), "c");
  EXPECT_EQ(backend("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), "a");
  EXPECT_EQ(backend("POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 0\r\n\r\n"), "d");
  EXPECT_EQ(backend("GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"), "c");
  EXPECT_EQ(remora.ask(get("/api/x?y")).body.substr(0, 17), "GET /x?y HTTP/1.1");
  EXPECT_EQ(remora.ask(get("/x/../%61pi/x?y")).body.substr(0, 17), "GET /x?y HTTP/1.1");
  EXPECT_EQ(remora.ask(get("/api//evil.test/")).body.substr(0, 25), "GET /evil.test/ HTTP/1.1\r");
  EXPECT_EQ(field_of(remora.ask(get("/api/x")).body, "X-Forwarded-Prefix"), "/api");
  EXPECT_EQ(remora.ask("GET /old/x HTTP/1.1\r\nHost: test:8080\r\n\r\n").field("Location"),
            "https://test/old/x");
  EXPECT_EQ(remora.ask("GET /old/x HTTP/1.0\r\n\r\n").status, 400);  // `https:///old/x` is the host `old`
  EXPECT_EQ(remora.ask("GET /old/x HTTP/1.0\r\n\r\n").count("Location"), 0);
  const Reply r = remora.ask(get("/old/x?y=1"));
  EXPECT_EQ(r.status, 301);
  EXPECT_EQ(r.field("Location"), "https://test/old/x?y=1");
}

TEST(Routing, NoRouteIs404) {
  Origin a(mirror());
  Remora remora("admin: off\nlisteners: [127.0.0.1:0]\npools: {a: {backends: [" + a.address() +
                "]}}\nroutes: [{path: /only, pool: a}]\n");
  EXPECT_EQ(remora.ask(get("/")).status, 404);
  EXPECT_EQ(remora.ask(get("/only/this")).status, 200);
}

TEST(Routing, ASplitFollowsItsWeightsAndTheToken) {
  Origin a(mirror("a")), b(mirror("b"));
  Remora remora(
      "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nlisteners: [127.0.0.1:0]\npools:\n  a: "
      "{affinity: cookie, backends: [" +
      a.address() + "]}\n  b: {affinity: cookie, backends: [" + b.address() +
      "]}\nroutes: [{path: /, split: {a: 50, b: 50}}]\n");
  int count = 0;
  std::string cookie, pool;
  for (int i = 0; i < 100; ++i) {
    const Reply r = remora.ask(get("/"));
    count += r.field("X-Backend") == "a" ? 1 : 0;
    cookie = r.field("Set-Cookie").substr(0, r.field("Set-Cookie").find(';'));
    pool = r.field("X-Backend");
  }
  EXPECT_GT(count, 20);
  EXPECT_LT(count, 80);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(remora.ask(get("/", "Cookie: " + cookie + "\r\n")).field("X-Backend"), pool);
}

// Limits --------------------------------------------------------------------------------------------

TEST(Limits, RequestsPerSecondOfOneClient) {
  Origin a(mirror());
  Remora remora(simple_config({a.address()}, "", "per_client: {requests_per_second: 1, burst: 3}\n"));
  int refused = 0;
  for (int i = 0; i < 6; ++i) {
    const Reply r = remora.ask(get("/"));
    if (r.status != 429) continue;
    ++refused;
    EXPECT_EQ(r.field("Retry-After"), "1");
  }
  EXPECT_GE(refused, 1);
  EXPECT_LE(refused, 3);
}

TEST(Limits, ConnectionsOfOneClient) {
  Origin a(mirror());
  Remora remora(simple_config({a.address()}, "", "per_client: {connections: 2}\n"));
  Socket one = remora.connect(), two = remora.connect();
  for (Socket* s : {&one, &two}) {
    s->send(get("/"));
    EXPECT_EQ(s->receive_reply().status, 200);
  }
  Socket three = remora.connect();
  three.send(get("/"));
  EXPECT_EQ(three.receive_reply().status, 0);
  one.close();
  for (int i = 0; i < 100; ++i) {
    Socket again = remora.connect();
    again.send(get("/"));
    if (again.receive_reply().status == 200) return;
    std::this_thread::sleep_for(10ms);
  }
  ADD_FAILURE() << "a closed connection was not forgotten";
}

// PROXY protocol, unix sockets ----------------------------------------------------------------------

TEST(ProxyProtocol, TheLineSaysWhoTheClientIs) {
  Origin a(mirror());
  Remora remora(simple_config({a.address()}, "", "proxy_protocol: on\n"));
  Socket s = remora.connect();
  s.send("PROXY TCP4 9.8.7.6 1.2.3.4 1111 80\r\n" + get("/"));
  EXPECT_EQ(field_of(s.receive_reply().body, "X-Forwarded-For"), "9.8.7.6");
  Socket binary = remora.connect();
  binary.send(std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x05\x06\x07\x08\1\2\3\4\x11\x11\0\x50", 28) +
              get("/"));
  EXPECT_EQ(field_of(binary.receive_reply().body, "X-Forwarded-For"), "5.6.7.8");
  Socket without = remora.connect();
  without.send(get("/"));
  EXPECT_EQ(without.receive_reply().status, 0);
}

TEST(UnixSockets, ServeClientsAndReachBackends) {
  const std::string folder = make_folder();
  Origin a(mirror());
  Remora inner("admin: off\nlisteners: [unix:" + folder + "/in.sock]\npools: {app: {backends: [" +
               a.address() + "]}}\n");
  Remora outer(simple_config({"unix:" + folder + "/in.sock"}));
  EXPECT_EQ(outer.ask(get("/through")).body.substr(0, 12), "GET /through");
}

/// One listener on a unix socket, and what its backend got of a request.
class BehindUnix : public ::testing::Test {
 protected:
  Origin origin_{mirror()};
  const std::string folder_ = make_folder(), path_ = folder_ + "/l.sock";
  std::string config(const std::string& listener, const std::string& pool = "") const {
    return "admin: off\nlisteners: [{bind: unix:" + path_ + listener + "}]\npools: {app: {backends: [" +
           origin_.address() + "]" + pool + "}}\n";
  }
  Reply ask(const std::string& fields) const {
    Socket s = Socket::connect_unix(path_);
    s.send(get("/", fields));
    return s.receive_reply();
  }
  mode_t mode() const {
    struct stat info{};
    return ::stat(path_.c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
  }
};

// caddyserver/caddy #7263, nextcloud/documentation #12908
TEST_F(BehindUnix, TheProxyCanBeTrusted) {
  const std::string said = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n";
  {
    Remora remora(config(", trusted_proxies: [unix]"));
    const Reply r = ask(said);
    EXPECT_EQ(field_of(r.body, "X-Forwarded-For"), "9.9.9.9");
    EXPECT_EQ(field_of(r.body, "X-Forwarded-Proto"), "https");
  }
  Remora remora(config(", trusted_proxies: [127.0.0.0/8, \"0.0.0.0/0\"]", ", forwarded: both"));
  const Reply r = ask(said);
  EXPECT_EQ(field_of(r.body, "X-Forwarded-For"), "unknown");
  EXPECT_EQ(field_of(r.body, "Forwarded"), "for=unknown;proto=http;host=test");
  EXPECT_EQ(field_of(r.body, "X-Forwarded-Proto"), "http");
}

TEST_F(BehindUnix, ClientsAreLimitedByTheAddressThatTheProxySays) {
  Remora remora(config(
      ", trusted_proxies: [unix], per_client: {requests_per_second: 0.001, burst: 1, connections: 1}"));
  Socket held = Socket::connect_unix(path_);  // the proxy's own connections are not a client's
  for (const char* client : {"9.9.9.1", "9.9.9.2", "9.9.9.3"}) {
    const std::string fields = std::string("X-Forwarded-For: ") + client + "\r\n";
    EXPECT_EQ(ask(fields).status, 200) << client;
    EXPECT_EQ(ask(fields).status, 429) << client;
  }
}

TEST_F(BehindUnix, NobodyIsLimitedForAllWhereClientsCannotBeToldApart) {
  Remora remora(config(", per_client: {requests_per_second: 0.001, burst: 1, connections: 1}"));
  Socket held = Socket::connect_unix(path_);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask("").status, 200);
}

// ohwgiles/laminar #160, nginx/unit #644: `connect() failed (13: Permission denied)`
TEST_F(BehindUnix, TheSocketIsForOwnerAndGroupOrWhomTheFileSays) {
  const mode_t before = ::umask(0077);  // whatever the process's own is
  {
    Remora remora(config(""));
    EXPECT_EQ(mode(), 0660U);
  }
  Remora remora(config(", mode: 0666, group: " + std::to_string(::getegid())));
  EXPECT_EQ(mode(), 0666U);
  EXPECT_EQ(ask("").status, 200);
  EXPECT_TRUE(remora.reload(config(", mode: 0620")));
  EXPECT_TRUE(eventually([&] { return mode() == 0620U; }));
  EXPECT_EQ(ask("").status, 200);
  ::umask(before);
}

}  // namespace
}  // namespace remora::test
