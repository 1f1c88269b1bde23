// What a request's head is like for the backend: upgrades, nominated fields, disguised names, trailers.

#include "proxy/edits.h"

#include <gtest/gtest.h>

#include "http/h1/head.h"

namespace remora {
namespace {

class Edits : public ::testing::Test {
 protected:
  Edits() {
    member_.backend = std::make_shared<Backend>("app", "b");
    member_.address = {config::Address::Kind::tcp, "10.0.0.1", 80};
  }
  /// The fields that the backend gets: "Name: value\n" each.
  std::string send(const std::string& fields, const std::string& start = "GET / HTTP/1.1") {
    text_ = start + "\r\nHost: a\r\n" + fields + "\r\n";
    const Parsed parsed = parse_request_head(text_, limits_, head_);
    if (parsed.status != Parsed::Status::ok) return parsed.why;
    if (!arrival_.trusted) drop_stripped(head_.fields, stripped_);
    head_.tunnel = head_.tunnel && passes_upgrade(head_.fields, route_.config);
    arena_.clear();
    const RequestContext context{head_, arrival_,       pool_, route_, member_,        edits_,  {},
                                 {},    "X-Request-Id", "id",  false,  claim_headers_, passed_, stripped_};
    edit_request(context, arena_, out_);
    std::string all;
    for (const Field& f : out_.fields) all.append(f.name).append(": ").append(f.value).append("\n");
    return all;
  }
  bool has(const std::string& all, const std::string& line) {
    return ("\n" + all).find("\n" + line) != std::string::npos;
  }

  config::ListenerLimits limits_;
  RequestHead head_;
  Arrival arrival_;
  PoolView pool_;
  RouteView route_;
  Member member_;
  TextArena arena_;
  RequestEdits edits_{arena_};
  PassedVerifiers passed_;
  std::vector<std::string> claim_headers_{"X-User-Id"}, stripped_;
  std::string text_;
  OutHead out_;
};

TEST_F(Edits, OnlyNamedProtocolsAreAskedFor) {
  struct Row {
    std::vector<std::string> route;
    const char *asked, *passed;
  };
  for (const Row& row : std::vector<Row>{
           {{"websocket"}, "websocket", "websocket"},
           {{"websocket"}, "WebSocket", "WebSocket"},
           {{"websocket"}, "h2c", ""},
           {{"websocket"}, "h2c, websocket", "websocket"},
           {{"websocket"}, "websocket/13", ""},
           {{"websocket"}, "websockets", ""},
           {{"websocket"}, "TLS/1.0", ""},
           {{"websocket", "spdy/3"}, "spdy/3, websocket, h2c", "spdy/3, websocket"},
           {{}, "websocket", ""},
       }) {
    route_.config.upgrades = row.route;
    send("Connection: Upgrade\r\nUpgrade: " + std::string(row.asked) + "\r\n");
    EXPECT_EQ(out_.tunnel, row.passed) << row.asked;
    EXPECT_EQ(head_.tunnel, *row.passed != '\0') << row.asked;
  }
  route_.config.upgrades = {"websocket"};
  send("Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n");
  EXPECT_EQ(out_.tunnel, "websocket");
}

TEST_F(Edits, Http2SettingsNeverPass) {
  for (const char* connection : {"Upgrade", "Upgrade, HTTP2-Settings", "close"}) {
    const std::string got = send("Connection: " + std::string(connection) +
                                 "\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nHttp2_Settings: y\r\n");
    EXPECT_EQ(got.find("ettings"), std::string::npos) << got;
  }
}

TEST_F(Edits, ConnectionTakesNothingAwayThatWasLookedAt) {
  route_.config.headers = {{"X-Version", "2"}};
  const std::string got = send(
      "Connection: X-Own, Authorization, Cookie, Host, Content-Type, Content-Length, X-Version, Origin, "
      "Sec-Fetch-Site, X-Forwarded-For, Via, If-Match\r\nX-Own: 1\r\nAuthorization: b\r\nCookie: c=d\r\n"
      "Content-Type: t\r\nContent-Length: 0\r\nX-Version: 2\r\nOrigin: o\r\nSec-Fetch-Site: s\r\nIf-Match: "
      "m\r\n");
  EXPECT_FALSE(has(got, "X-Own")) << got;
  for (const char* kept : {"Authorization: b", "Cookie: c=d", "Host: a", "Content-Type: t", "X-Version: 2",
                           "Origin: o", "Sec-Fetch-Site: s", "X-Forwarded-For: ", "Via: ", "If-Match: m"})
    EXPECT_TRUE(has(got, kept)) << kept << "\n" << got;
}

TEST_F(Edits, MoreThan32ConnectionOptionsAreRefused) {
  const auto options = [](std::size_t n) {
    std::string all = "Connection: x";
    for (std::size_t i = 1; i < n; ++i) all += ",x";
    return all + "\r\n";
  };
  EXPECT_TRUE(has(send(options(32)), "Host: a"));
  EXPECT_EQ(send(options(33)), "too many Connection options");
  EXPECT_EQ(send(options(20) + options(20)), "too many Connection options");
  EXPECT_EQ(send("Connection: " + std::string(3000, ',') + "\r\n"), "too many Connection options");
  ResponseHead response;
  const Parsed parsed =
      parse_response_head("HTTP/1.1 200 OK\r\n" + options(33) + "\r\n", Method::get, response);
  EXPECT_EQ(parsed.code, 502);
}

TEST_F(Edits, NamesThatAppsTakeForGuardedOnesAreRemoved) {
  pool_.config.headers.set = {{"X-Internal-Key", "1"}};
  route_.config.request_headers.remove = {"X-Debug-Mode"};
  for (const char* name :
       {"X_Forwarded_For",     "X-Forwarded_For",     "x_forwarded_proto", "X_Forwarded_Anything",
        "X_Real_IP",           "X-Real_IP",           "X_Request_Id",      "Content_Length",
        "Transfer_Encoding",   "Content_Type",        "Remora_Session",    "Remora.Session",
        "REMORA-Session",      "Remora~State",        "X_User_Id",         "X-User.Id",
        "X-User-Id",           "X_Internal_Key",      "X.Internal.Key",    "X_Debug_Mode",
        "Proxy_Authorization", "HTTP2_Settings",      "X-Real-IP",         "X-Forwarded-Port",
        "X-Forwarded-User",    "X_Forwarded",         "Client_Cert",       "True_Client_IP",
        "Front_End_Https",     "HTTP_X_FORWARDED_FOR"}) {
    const std::string got = send(std::string(name) + ": evil\r\n");
    EXPECT_EQ(got.find("evil"), std::string::npos) << name;
  }
  for (const char* name :
       {"X_Custom", "X_User_Ids", "My.Field", "X_Forward", "Contents_Length", "X-Custom"}) {
    const std::string got = send(std::string(name) + ": fine\r\n");
    EXPECT_TRUE(has(got, std::string(name) + ": fine")) << name;
  }
  arrival_.trusted = true;
  EXPECT_TRUE(has(send("X-Real-IP: 1.2.3.4\r\n"), "X-Real-IP: 1.2.3.4"));
  EXPECT_EQ(send("X_Real_IP: evil\r\n").find("evil"), std::string::npos);
}

TEST_F(Edits, OnlyTrailersThatMayPassAreAnnounced) {
  const std::string got = send(
      "Transfer-Encoding: chunked\r\nTrailer: My-Result, Authorization, X-User-Id, X_User_Id, "
      "X-Request-Id\r\n"
      "Trailer: Content-Length, ETag\r\n",
      "POST / HTTP/1.1");
  EXPECT_TRUE(has(got, "Trailer: My-Result, ETag\n")) << got;
  EXPECT_EQ(out_.trailers, "My-Result, ETag");
  EXPECT_FALSE(has(send("Trailer: My-Result\r\n"), "Trailer"));  // there is no body that could have them
}

// RFC 7239 8.1; keycloak/keycloak #50443: links and decisions of apps must not come from strangers.
TEST_F(Edits, WhatOnlyProxiesSayDoesNotComeFromStrangers) {
  for (const char* name : {"X-Forwarded-Port",
                           "X-Forwarded-Prefix",
                           "X-Forwarded-Ssl",
                           "X-Forwarded-Scheme",
                           "X-Forwarded",
                           "X-Real-IP",
                           "X-Client-IP",
                           "Client-IP",
                           "True-Client-IP",
                           "X-Cluster-Client-IP",
                           "X-Scheme",
                           "X-Url-Scheme",
                           "Front-End-Https",
                           "X-Original-URL",
                           "X-Rewrite-URL",
                           "Client-Cert",
                           "Client-Cert-Chain",
                           "X-Forwarded-Client-Cert",
                           "X-Host",
                           "Remote-User",
                           "Proxy"}) {
    arrival_.trusted = false;
    EXPECT_EQ(send(std::string(name) + ": evil\r\n").find("evil"), std::string::npos) << name;
    arrival_.trusted = true;
    const bool said_anew = std::string_view(name) == "X-Forwarded-Port" ||
                           std::string_view(name).ends_with("Ssl") ||
                           std::string_view(name).ends_with("Scheme") || *name == 'F';
    const bool never = std::string_view(name) == "Proxy";  // httpoxy
    EXPECT_EQ(send(std::string(name) + ": word\r\n").find(": word") != std::string::npos,
              !said_anew && !never)
        << name;
  }
}

TEST_F(Edits, AListenerCanNameMoreFieldsThatStrangersMayNotSend) {
  stripped_ = {"x-tenant", "x-internal-*", "accept-language"};
  for (const char* name : {"X-Tenant", "X_Tenant", "x-tenant", "X-Internal-", "X-Internal-Role",
                           "X_INTERNAL_ROLE", "Accept-Language"})
    EXPECT_EQ(send(std::string(name) + ": evil\r\n").find("evil"), std::string::npos) << name;
  for (const char* name : {"X-Tenants", "X-Internal", "Accept"})
    EXPECT_TRUE(has(send(std::string(name) + ": fine\r\n"), std::string(name) + ": fine")) << name;
  EXPECT_FALSE(
      has(send("Transfer-Encoding: chunked\r\nTrailer: X-Tenant\r\n", "POST / HTTP/1.1"), "Trailer"));
  arrival_.trusted = true;
  EXPECT_TRUE(has(send("X-Tenant: a\r\n"), "X-Tenant: a"));
  EXPECT_EQ(send("X_Tenant: evil\r\n").find("evil"), std::string::npos);
}

TEST_F(Edits, ThePortIsToldThatLinksNeed) {
  const auto port = [&](const std::string& fields) {
    const std::string all = send(fields);
    const auto at = all.find("X-Forwarded-Port: ");
    return at == std::string::npos ? "" : all.substr(at + 18, all.find('\n', at) - at - 18);
  };
  arrival_.trusted = true;
  EXPECT_EQ(port(""), "80");
  arrival_.secure = true;
  EXPECT_EQ(port(""), "443");
  arrival_.host = "shop.test:8443";
  EXPECT_EQ(port(""), "8443");
  arrival_.host = "[::1]:8443";
  EXPECT_EQ(port(""), "8443");
  arrival_.host = "[::1]";
  EXPECT_EQ(port(""), "443");
  arrival_.host = "shop.test:nonsense";
  EXPECT_EQ(port(""), "443");
  arrival_.port = "9443";
  EXPECT_EQ(port("X-Forwarded-Port: 9443\r\n"), "9443");
  for (const char* nonsense : {"0", "65536", "a", "-1", ""}) {
    arrival_.port = nonsense;
    EXPECT_EQ(port(""), "443") << nonsense;
  }
  arrival_.trusted = false;  // a stranger's word on host and port is none
  arrival_.port = "1";
  EXPECT_EQ(port(""), "443");
  pool_.config.forwarded = config::Forwarded::rfc7239;
  EXPECT_EQ(port(""), "");
  arrival_.trusted = true;
  EXPECT_EQ(port("X-Forwarded-Port: 7\r\n"), "7");  // not ours to say then
}

// traefik/traefik PR #6752: Spring refuses schemes that it does not know, and Rack believes X-Forwarded-Ssl
// first.
TEST_F(Edits, AllThatTellTheSchemeTellTheSame) {
  arrival_.trusted = arrival_.secure = true;
  const std::string secure = send(
      "X-Forwarded-Proto: wss\r\nX-Forwarded-Ssl: off\r\nFront-End-Https: On\r\nX-Forwarded-Scheme: wss\r\n"
      "X-Scheme: http\r\nX-Url-Scheme: https\r\n");
  for (const char* line : {"X-Forwarded-Proto: https\n", "X-Forwarded-Ssl: on\n", "Front-End-Https: On\n",
                           "X-Forwarded-Scheme: https\n", "X-Scheme: https\n", "X-Url-Scheme: https\n"})
    EXPECT_TRUE(has(secure, line)) << line << secure;
  arrival_.secure = false;
  const std::string plain = send("X-Forwarded-Ssl: on\r\nX-Scheme: ws\r\n");
  for (const char* line : {"X-Forwarded-Proto: http\n", "X-Forwarded-Ssl: off\n", "X-Scheme: http\n"})
    EXPECT_TRUE(has(plain, line)) << line << plain;
}

TEST_F(Edits, APrefixThatWasTakenOffIsTold) {
  route_.config.strip_prefix = "/beta/";
  const std::string all = send("X-Forwarded-Prefix: /evil\r\n", "GET /b%65ta/x HTTP/1.1");
  EXPECT_EQ(out_.target, "/x");
  EXPECT_TRUE(has(all, "X-Forwarded-Prefix: /beta\n")) << all;
  arrival_.trusted = true;
  EXPECT_TRUE(
      has(send("X-Forwarded-Prefix: /shop/\r\n", "GET /beta HTTP/1.1"), "X-Forwarded-Prefix: /shop/beta\n"));
  EXPECT_TRUE(
      has(send("X-Forwarded-Prefix: /a, /b\r\n", "GET /beta HTTP/1.1"), "X-Forwarded-Prefix: /a/b/beta\n"));
  EXPECT_TRUE(has(send("X-Forwarded-Prefix: /shop\r\n"), "X-Forwarded-Prefix: /shop\n"));  // nothing taken
  EXPECT_FALSE(has(send(""), "X-Forwarded-Prefix"));
}

// caddyserver/caddy #7263: `::` is nobody's address.
TEST_F(Edits, APeerWithoutAnAddressIsUnknown) {
  pool_.config.forwarded = config::Forwarded::both;
  arrival_.peer_text_size = arrival_.peer.format(arrival_.peer_text);
  std::string all = send("X-Forwarded-For: 6.6.6.6\r\n");
  EXPECT_TRUE(has(all, "X-Forwarded-For: unknown\n")) << all;
  EXPECT_TRUE(has(all, "Forwarded: for=unknown;proto=http;host=a\n")) << all;
  arrival_.trusted = true;
  all = send("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\nForwarded: for=9.9.9.9\r\n");
  EXPECT_TRUE(has(all, "X-Forwarded-For: 9.9.9.9, 8.8.8.8\n")) << all;
  EXPECT_TRUE(has(all, "Forwarded: for=9.9.9.9\n")) << all;
  EXPECT_TRUE(has(send(""), "X-Forwarded-For: unknown\n"));
}

// apache/apisix #12615, nginx-proxy/nginx-proxy #139: nginx and IIS compress nothing for a proxy.
TEST_F(Edits, ViaCanBeLeftOut) {
  EXPECT_TRUE(has(send("Via: 1.1 cdn\r\n"), "Via: 1.1 remora\n"));
  pool_.config.via = false;
  EXPECT_FALSE(has(send(""), "Via"));
  EXPECT_TRUE(has(send("Via: 1.1 cdn\r\n"), "Via: 1.1 cdn\n"));  // another's word
  pool_.config.via = true;
  pool_.config.headers.remove = {"via"};
  EXPECT_FALSE(has(send("Via: 1.1 cdn\r\n"), "Via"));
  pool_.config.headers = {};
  route_.config.request_headers.remove = {"Via"};
  EXPECT_FALSE(has(send("Via: 1.1 cdn\r\n"), "Via"));
}

TEST_F(Edits, WhatTheConfigurationSaysOfAFieldHoldsForOursToo) {
  pool_.config.forwarded = config::Forwarded::both;
  pool_.config.headers.set = {{"X-Forwarded-Proto", "https"}, {"Via", "1.1 edge"}, {"X-Both", "pool"}};
  pool_.config.headers.remove = {"X-Forwarded-Host", "X-Request-Id"};
  route_.config.request_headers.set = {{"Forwarded", "proto=https"}, {"X-Both", "route"}};
  const std::string all = send("");
  for (const char* line :
       {"X-Forwarded-Proto: https\n", "Via: 1.1 edge\n", "Forwarded: proto=https\n", "X-Both: route\n"})
    EXPECT_TRUE(has(all, line)) << line << all;
  for (const char* line : {"X-Forwarded-Proto: http\n", "Via: 1.1 remora", "Forwarded: for",
                           "X-Forwarded-Host", "X-Request-Id", "X-Both: pool"})
    EXPECT_FALSE(has(all, line)) << line << all;
}

TEST_F(Edits, ResponsesObeyTheSameSwitches) {
  const auto answer = [&](const std::string& text, bool via = true, Method asked = Method::get) {
    ResponseHead head;
    EXPECT_EQ(parse_response_head(text, asked, head).status, Parsed::Status::ok) << text;
    ResponseEdits edits(arena_);
    OutHead out;
    if (head.status < 200 && head.status != 101)
      edit_interim(head, out);
    else
      edit_response({head, route_, edits, "now", false, via}, out);
    std::string all;
    for (const Field& f : out.fields) all.append(f.name).append(": ").append(f.value).append("\n");
    return all;
  };
  const std::string plain = "HTTP/1.1 200 OK\r\nVia: 1.1 cdn\r\nContent-Length: 0\r\n\r\n";
  EXPECT_TRUE(has(answer(plain), "Via: 1.1 remora\n"));
  EXPECT_FALSE(has(answer(plain, false), "Via: 1.1 remora\n"));
  EXPECT_TRUE(has(answer(plain, false), "Via: 1.1 cdn\n"));
  route_.config.response_headers.remove = {"Via", "Date"};
  EXPECT_FALSE(has(answer(plain), "Via"));
  EXPECT_FALSE(has(answer(plain), "Date"));
  route_.config.response_headers = {};
  // What a head that no body follows says of one.
  for (const char* status :
       {"204 No Content", "103 Early Hints", "100 Continue", "101 Switching Protocols"}) {
    const std::string head = std::string("HTTP/1.1 ") + status + "\r\nX-A: b\r\n";
    for (const char* length : {"Content-Length: 0\r\n", "Content-Length: 5\r\n", "Content-Length: x\r\n"}) {
      EXPECT_FALSE(has(answer(head + length + "\r\n"), "Content-Length")) << head << length;
      EXPECT_TRUE(has(answer(head + length + "\r\n"), "X-A: b")) << head << length;
    }
  }
  EXPECT_TRUE(has(answer("HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n"), "Content-Length: 9\n"));
  EXPECT_TRUE(
      has(answer("HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n", true, Method::head), "Content-Length: 9\n"));
  EXPECT_FALSE(has(answer("HTTP/1.1 304 X\r\nContent-Length: 9, 9\r\n\r\n"), "Content-Length"));
}

TEST_F(Edits, TraceIsRefused) {
  EXPECT_EQ(send("", "TRACE / HTTP/1.1"), "TRACE");
}

// Responses -----------------------------------------------------------------------------------------

class ResponseEditing : public ::testing::Test {
 protected:
  std::string send(const std::string& fields, const std::string& start = "HTTP/1.1 200 OK") {
    text_ = start + "\r\n" + fields + "\r\n";
    const Parsed parsed = parse_response_head(text_, Method::get, head_);
    if (parsed.status != Parsed::Status::ok) return parsed.why;
    edit_response({head_, route_, edits_, {}, false, true, Method::get}, out_);
    std::string all;
    for (const Field& f : out_.fields)
      if (f.known != Known::via) all.append(f.name).append(": ").append(f.value).append("\n");
    return all;
  }
  bool offered() { return offered_to_shared_caches(head_, Method::get, route_, Clock::Wall{}); }

  RouteView route_;
  TextArena arena_;
  ResponseEdits edits_{arena_};
  ResponseHead head_;
  std::string text_;
  OutHead out_;
};

TEST_F(ResponseEditing, OnlyWhatCarriesATokenIsClosedToSharedCaches) {
  EXPECT_EQ(send("Cache-Control: public, max-age=60\r\nCDN-Cache-Control: max-age=600\r\n"),
            "Cache-Control: public, max-age=60\nCDN-Cache-Control: max-age=600\n");
  edits_.make_private = true;
  EXPECT_EQ(send("Cache-Control: public, max-age=60\r\nCDN-Cache-Control: max-age=600\r\n"),
            "Cache-Control: private, max-age=60\n");
  EXPECT_EQ(send("Cache-Control: no-store, no-cache\r\n"), "Cache-Control: no-store, no-cache\n");
}

TEST_F(ResponseEditing, WhatTheRouteSetsIsClosedLikewise) {
  edits_.make_private = true;
  route_.config.response_headers.set = {{"Cache-Control", "public, max-age=60"},
                                        {"CDN-Cache-Control", "max-age=60"}};
  EXPECT_EQ(send("Cache-Control: private\r\nX: y\r\n"), "X: y\nCache-Control: private, max-age=60\n");
  EXPECT_TRUE(offered()) << "the app's own Cache-Control does not reach the client";
  route_.config.response_headers.set.clear();
  route_.config.response_headers.remove = {"Cache-Control"};
  EXPECT_EQ(send("Cache-Control: no-store\r\n"), "Cache-Control: private\n");
  EXPECT_FALSE(offered());
  send("Cache-Control: public\r\n");
  EXPECT_FALSE(offered());
}

// Esri/resource-proxy PR #174: Accept-Ranges passed, Range did not, and viewers of PDF hung.
TEST_F(ResponseEditing, RangesThatWereTakenOffAreNotPromised) {
  EXPECT_EQ(send("Accept-Ranges: bytes\r\n"), "Accept-Ranges: bytes\n");
  edits_.no_ranges = true;
  EXPECT_EQ(send("Accept-Ranges: bytes\r\nX: y\r\n"), "X: y\n");
}

TEST_F(Edits, AnIfRangeGoesWithItsRange) {
  const std::string fields = "Range: bytes=0-1\r\nIf-Range: \"x\"\r\nAccept-Encoding: gzip\r\n";
  EXPECT_TRUE(has(send(fields), "Range: bytes=0-1\nIf-Range: \"x\"\nAccept-Encoding: gzip\n"));
  edits_.identity_coding = true;
  const std::string got = send(fields);
  EXPECT_EQ(got.find("Range"), std::string::npos) << got;
  EXPECT_TRUE(has(got, "Accept-Encoding: identity\n"));
}

// RFC 9110 7.8: a server switches only to what was asked for.
TEST(Switching, OnlyToAProtocolThatWasAskedForAndPassed) {
  config::Route route;
  route.upgrades = {"websocket", "x/2"};
  const auto switches = [&](const char* asked, std::vector<std::string> taken) {
    std::vector<Field> fields;
    for (const auto& t : taken) fields.push_back({"Upgrade", t, Known::upgrade});
    return switches_as_asked(fields, {{"Upgrade", asked, Known::upgrade}}, route);
  };
  EXPECT_TRUE(switches("websocket", {"websocket"}));
  EXPECT_TRUE(switches("WebSocket", {"websocket"}));
  EXPECT_TRUE(switches("foo, websocket", {"WebSocket"}));
  EXPECT_TRUE(switches("websocket", {"websocket/13"}));
  EXPECT_TRUE(switches("x/2, websocket", {"x/2"}));
  EXPECT_FALSE(switches("x/2", {"x/3"}));
  EXPECT_FALSE(switches("websocket", {"h2c"}));
  EXPECT_FALSE(switches("websocket, h2c", {"h2c"})) << "the route did not let it pass";
  EXPECT_FALSE(switches("websocket", {"websocket, h2c"}));
  EXPECT_FALSE(switches("websocket", {"websocket", "foo"}));
  EXPECT_FALSE(switches("websocket", {"x/2"}));
  EXPECT_FALSE(switches("websocket", {}));
}

}  // namespace
}  // namespace remora
