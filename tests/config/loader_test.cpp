#include "config/loader.h"
#include "affinity/registry.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/reader.h"
#include "util/units.h"

namespace remora::config {
namespace {

const std::string rest = "\nlisteners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:1]}}\n";

std::vector<std::string> errors(const std::string& text) {
  const Loaded loaded = load_text(text, "f", affinity_kinds());
  const auto* e = std::get_if<LoadError>(&loaded);
  return e != nullptr ? e->lines : std::vector<std::string>{};
}

Config good(const std::string& text) {
  Loaded loaded = load_text(text, "f", affinity_kinds());
  if (const auto* e = std::get_if<LoadError>(&loaded)) {
    for (const auto& line : e->lines) ADD_FAILURE() << line;
    return {};
  }
  return std::get<Config>(loaded);
}

// RFC 6265bis 4.1.3.2: without the prefix any host of the domain can plant the cookie.
TEST(Config, ACookieThatNeighborsCanPlantIsDoubted) {
  const auto count = [](const std::string& affinity, const std::string& session) {
    return warnings(good("listeners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:1], affinity: " +
                         affinity + session + "}}\n"))
        .size();
  };
  EXPECT_EQ(count("cookie", ""), 0U);
  EXPECT_EQ(count("cookie", ", session: {state: on}"), 1U);
  EXPECT_EQ(count("{kind: cookie, name: __Host-a}", ", session: {state: on}"), 0U);
  EXPECT_EQ(count("[{kind: app_cookie, name: SID, carry: token}]", ", session: {state: on}"), 0U);
  Config c = good("listeners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:1], affinity: cookie}}\n");
  c.listeners.front().tls.emplace();
  ASSERT_EQ(warnings(c).size(), 1U);
  EXPECT_NE(warnings(c).front().find("__Host-remora-a"), std::string::npos);
}

TEST(Config, APublicListenerWhosePROXYLinesOnlyThisMachineMaySendIsDoubted) {
  const auto count = [](const std::string& listener) {
    return warnings(good("listeners: [{" + listener + "}]\npools: {a: {backends: [127.0.0.1:1]}}\n")).size();
  };
  EXPECT_EQ(count("bind: 0.0.0.0:80, proxy_protocol: on"), 1U);
  EXPECT_EQ(count("bind: 127.0.0.1:80, proxy_protocol: on"), 0U);
  EXPECT_EQ(count("bind: 0.0.0.0:80, proxy_protocol: on, trusted_proxies: [10.0.0.0/8]"), 0U);
  EXPECT_EQ(count("bind: 0.0.0.0:80, proxy_protocol: {from: [10.0.0.0/8]}"), 0U);
  EXPECT_EQ(count("bind: 0.0.0.0:80"), 0U);
}

TEST(Config, TheSmallestUsefulFile) {
  const Config c = good(
      "listeners: [0.0.0.0:8080]\npools:\n  app:\n    affinity: cookie\n    backends: [10.0.0.11:8080, "
      "10.0.0.12:8080]\n");
  ASSERT_EQ(c.listeners.size(), 1U);
  EXPECT_EQ(c.listeners[0].bind.text(), "0.0.0.0:8080");
  ASSERT_EQ(c.pools.size(), 1U);
  EXPECT_EQ(c.pools[0].affinity[0].settings->own_cookie, "remora-app");
  EXPECT_EQ(c.pools[0].backends[1].id, "10.0.0.12:8080");
  ASSERT_EQ(c.routes.size(), 1U);
  EXPECT_EQ(c.routes[0].pool, "app");
}

TEST(Config, TheLeastRateOfARequestBody) {
  const auto rate = [](const std::string& limits) {
    return good("listeners: [{bind: 127.0.0.1:80, limits: {" + limits +
                "}}]\npools: {a: {backends: [127.0.0.1:1]}}\n")
        .listeners.at(0)
        .limits.body_rate;
  };
  EXPECT_EQ(rate(""), 240U);
  EXPECT_EQ(rate("body_rate: 1KiB"), 1024U);
  EXPECT_EQ(rate("body_rate: none"), 0U);
}

TEST(Config, WhatARequestThatWaitsLongDoesIsSaidInItsPool) {
  const auto config = [](const std::string& failover, const std::string& more = "health: /healthz, ") {
    return good("listeners: [127.0.0.1:80]\npools: {a: {" + more + "failover: {" + failover +
                "}, backends: [127.0.0.1:1]}}\n");
  };
  const auto after = [&](const std::string& said) { return config(said).pools[0].failover.suspect_after; };
  EXPECT_EQ(after(""), std::nullopt);
  EXPECT_EQ(after("suspect_after: auto"), std::nullopt);
  EXPECT_EQ(after("suspect_after: off"), Millis(0));
  EXPECT_EQ(after("suspect_after: none"), Millis(0));
  for (const char* off : {"Off", "OFF", "false", "no", "None"})  // as PyYAML and Helm write them
    EXPECT_EQ(after(std::string("suspect_after: ") + off), Millis(0)) << off;
  EXPECT_EQ(after("suspect_after: Auto"), std::nullopt);
  EXPECT_EQ(after("suspect_after: 250ms"), Millis(250));
  EXPECT_EQ(warnings(config("suspect_after: 250ms")).size(), 0U);
  EXPECT_EQ(warnings(config("suspect_after: off", "")).size(), 0U);
  EXPECT_EQ(warnings(config("", "")).size(), 0U);
  EXPECT_EQ(warnings(config("suspect_after: 250ms", "")).size(), 1U);
  EXPECT_EQ(warnings(config("suspect_after: 60s")).size(), 1U);
}

TEST(Config, OpenStreamsEndWithADrainUnlessTheirPoolKeepsThem) {
  const auto config = [](const std::string& drain) {
    return good("listeners: [127.0.0.1:80]\npools: {a: {" + drain + "backends: [127.0.0.1:1]}}\n");
  };
  const Drain plain = config("").pools[0].drain;
  EXPECT_EQ(plain.streams, DrainStreams::end);
  EXPECT_EQ(plain.spread, seconds(10));
  EXPECT_EQ(config("drain: {spread: 500ms}, ").pools[0].drain.spread, Millis(500));
  EXPECT_EQ(warnings(config("drain: {streams: keep}, ")).size(), 0U);
  EXPECT_EQ(warnings(config("drain: {streams: keep, spread: 5s}, ")).size(), 1U);
}

struct Bad {
  const char* text;
  const char* line;
};

TEST(Config, EachMistakeIsSaidWithItsPlace) {
  for (const Bad& b : std::vector<Bad>{
           {"worker: 2", "f:1:1: worker: unknown key (did you mean 'workers'?)"},
           {"workers: 0", "f:1:10: workers: must be auto or 1 to 1024"},
           {"workers: many", "f:1:10: workers: 'many' is not a whole number"},
           {"shutdown_grace: 10", "f:1:17: shutdown_grace: '10' is not a duration (250ms, 10s, 5m, 12h, 7d)"},
           {"shutdown_grace:", "f:1:1: shutdown_grace: needs a value"},
           {"log: {level: loud}", "f:1:14: log.level: 'loud' is none of trace | debug | info | warn | error"},
           {"log: [1]", "f:1:6: log: must be a map of keys"},
           {"admin: 0.0.0.0:9900", ""},
           {"admin: {bind: 0.0.0.0:9900}",
            "f:1:8: admin: bind is neither loopback nor a unix socket, so a token is required (admin.token: "
            "{file: F})"},
           {"keys: [{env: NO_SUCH_VARIABLE}]",
            "f:1:14: keys[0].env: the environment has no 'NO_SUCH_VARIABLE'"},
           {"keys: [{file: /nonexistent}]", "f:1:15: keys[0].file: the file '/nonexistent' cannot be read"},
           {"keys: [plain]", "f:1:8: keys[0]: a secret is given as {file: F} or {env: NAME}"},
           {"state_dir: ${NO_SUCH_VARIABLE}", "f:1:12: state_dir: the environment has no 'NO_SUCH_VARIABLE'"},
           {"store: {kind: redis}",
            "f:1:8: store: index_key is missing: replicas that share a store must call its sessions by the "
            "same names "
            "(index_key: {file: F}, at least 16 characters)"},
           {"store: {kind: disk}", "f:1:15: store.kind: 'disk' is none of memory | redis | memcached"},
           {"store: {timeout: 1s}", "f:1:18: store.timeout: is for `kind: redis` and `kind: memcached`"},
           {"store: {redis: {nodes: []}}", "f:1:16: store.redis: is for `kind: redis`"},
           {"store: {kind: memory, memory_bytes: 5B}", "f:1:37: store.memory_bytes: must be at least 1MiB"},
           {"store: {kind: redis, index_key: {env: PATH}, redis: {nodes: [\"http://u:secret@x\"]}}",
            "f:1:62: store.redis.nodes[0]: is no redis://[user:password@]host:port[/database] (rediss:// for "
            "TLS)"},
           {"store: {kind: redis, index_key: {env: PATH}, redis: {nodes: [\"redis://x\", \"redis://y\"]}}",
            "f:1:53: store.redis: several nodes need `mode: sentinel` or `mode: cluster`"},
           {"store: {kind: redis, index_key: {env: PATH}, redis: {mode: cluster, nodes: [\"redis://x/1\"]}}",
            "f:1:53: store.redis: a cluster has no databases: leave the number out of the nodes"},
           {"workers: 1\nworkers: 2", "f:2:1: workers: is given twice"},
       }) {
    const auto lines = errors(b.text + rest);
    if (*b.line == '\0') continue;
    ASSERT_EQ(lines.size(), 1U) << b.text;
    EXPECT_EQ(lines[0], b.line);
  }
}

TEST(Config, TheSessionApiIsForThisMachineAndForPoolsWithState) {
  const auto said = [](const std::string& api, const std::string& session) {
    std::string all;
    for (const auto& line :
         errors("session_api: " + api +
                "\nlisteners: [127.0.0.1:80]\npools: {a: {affinity: cookie, session: {state: " + session +
                "}, backends: [127.0.0.1:1]}}\n"))
      all += line + "\n";
    return all;
  };
  EXPECT_EQ(said("unix:/x", "on"), "");
  EXPECT_EQ(said("unix:/x", "off"), "f:1:1: session_api: no pool keeps state (pools.NAME.session.state)\n");
  EXPECT_EQ(said("10.0.0.1:80", "on"),
            "f:1:14: session_api: it hands out sessions: bind it to a unix socket or loopback\n");
  EXPECT_EQ(said("127.0.0.1:80", "on"),
            "f:1:14: session_api: every local user could connect: set a token ({file: F}), or bind it "
            "to a unix "
            "socket\n");
  EXPECT_EQ(
      said("{bind: unix:/x, tls: {}}", "on"),
      "f:1:35: session_api.tls: the session API never leaves this machine (unix socket or loopback), so "
      "it has no TLS\n");
}

TEST(Config, MistakesInListenersRoutesAndPools) {
  const auto listener = [](const std::string& l) {
    return errors("listeners: [" + l + "]\npools: {a: {backends: [127.0.0.1:1]}}\n");
  };
  const auto pool = [](const std::string& p) {
    return errors("listeners: [127.0.0.1:80]\npools: {a: {" + p + "}}\n");
  };
  const auto route = [](const std::string& r) {
    return errors(
        "listeners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:1]}, b: {backends: "
        "[127.0.0.1:2]}}\nroutes: [" +
        r + "]\n");
  };
  const std::string backends = "backends: [127.0.0.1:1]";
  struct Row {
    std::vector<std::string> got;
    const char* wanted;
  };
  for (const Row& row : std::vector<Row>{
           {listener("nonsense"), "is not an address"},
           {listener("127.0.0.1:99999"), "the port must be 0 to 65535"},
           {listener("unix:relative"), "a unix socket needs an absolute path"},
           {listener("127.0.0.1:80, 127.0.0.1:80"), "a second listener"},
           {listener("{bind: 127.0.0.1:80, tls: {}}"), "needs `certificates"},
           {listener("{bind: 127.0.0.1:80, tls: {certificates: [{cert: /no, key: /no}]}}"),
            "the file '/no' cannot be read"},
           {listener("{bind: 127.0.0.1:80, trusted_proxies: [10.0.0.0/99]}"), "is not an address block"},
           {listener("{bind: 127.0.0.1:80, timeouts: {header: 0s}}"), "must be more than zero"},
           {listener("{bind: 127.0.0.1:80, limits: {header_bytes: 1B}}"), "header_bytes must be"},
           {listener("{bind: 127.0.0.1:80, limits: {body_rate: 0B}}"), "must be at least 1B"},
           {listener("{bind: 127.0.0.1:80, limits: {body_rate: fast}}"), "is not a size"},
           {listener("{bind: 127.0.0.1:80, per_client: {burst: 3}}"), "burst needs requests_per_second"},
           {listener("{bind: 127.0.0.1:80, request_id: Host}"), "belongs to the protocol"},
           {pool("balance: fastest, " + backends), "is none of round_robin | least_requests"},
           {pool("backends: []"), "needs at least one backend"},
           {pool("affinity: cookie"), "needs `backends"},
           {pool("backends: [127.0.0.1:1, 127.0.0.1:1]"), "a second backend with id"},
           {pool("backends: [{dns: app}]"), "is not an address"},
           {pool("backends: [{dns: 10.0.0.1:80}]"), "a fixed address belongs under `address`"},
           {pool("backends: [{dns: app:80, id: x}]"), "has no `id` of its own"},
           {pool("backends: [{dns: app:80, address: a:1}]"), "has both an address and a DNS name"},
           {pool("backends: [{dns: app:80, dns_srv: app}]"), "has both dns and dns_srv"},
           {pool("backends: [{dns_srv: \"app:80\"}]"), "the port comes from them"},
           {pool("backends: [{address: a:1, hold: 1m}]"), "belongs to `dns` or `dns_srv`"},
           {pool("backends: [{address: 10.0.0.1:1, refresh: 1m}]"), "applies to names only"},
           {pool("backends: [{address: \"[::1]:1\", prefer: ipv4}]"), "applies to names only"},
           {pool("backends: [{address: unix:/x, prefer: ipv4}]"), "applies to names only"},
           {pool("backends: [{address: a:1, prefer: v4}]"), "'v4' is none of any | ipv4 | ipv6"},
           {pool("backends: [{dns: a:1, prefer: both}]"), "'both' is none of any | ipv4 | ipv6"},
           {pool("affinity: sticky, " + backends), "'sticky' is none of cookie | url_rewrite | app_cookie"},
           {pool("affinity: [cookie, cookie], " + backends), "the same kind stands in the list twice"},
           {pool("affinity: [], " + backends), "needs at least one kind"},
           {pool("affinity: [ip_hash, cookie], " + backends), "put it last"},
           {pool("affinity: [cookie, none], " + backends), "'none' is none of"},
           {pool("affinity: header, " + backends), "needs `name:`"},
           {pool("affinity: {kind: header, name: 'a b'}, " + backends), "is no name of a cookie or header"},
           {pool("affinity: {kind: header, name: x, on_unknown: reject}, " + backends), "unknown key"},
           {pool("affinity: {kind: header, name: x, bounded_load: 1}, " + backends), "above 1"},
           {pool("affinity: {kind: url_rewrite, name: 'a;b'}, " + backends),
            "is no name for a URL parameter"},
           {pool("affinity: {kind: url_rewrite, rewrite: []}, " + backends), "needs location, html or both"},
           {pool("affinity: {kind: app_cookie, route_separator: ab}, " + backends), "must be one character"},
           {pool("affinity: {kind: app_cookie, domain: x}, " + backends), "unknown key"},
           {pool("affinity: {kind: jwt_claim}, " + backends), "needs `verifier:`"},
           {pool("affinity: {kind: jwt_claim, verifier: main}, " + backends), "there is no verifier 'main'"},
           {pool("affinity: ip_hash, session: {on_lost: reject}, " + backends), "cannot be kept"},
           {pool("affinity: {kind: header, name: x}, session: {idle_timeout: 1m}, " + backends),
            "cannot be kept"},
           {pool("affinity: cookie, session: {rebalance: {min_idle: 1m}}, " + backends), "without_state: on"},
           {pool("affinity: cookie, session: {rebalance: {threshold: 1, without_state: on}}, " + backends),
            "above 1"},
           {pool("affinity: {name: x}, " + backends), "needs `kind:`"},
           {pool("affinity: {kind: cookie, same_site: none, secure: off}, " + backends),
            "same_site: none needs Secure"},
           {pool("affinity: {kind: cookie, name: __Host-x, path: /a}, " + backends),
            "needs path / and no domain"},
           {pool("affinity: {kind: ip_hash, bounded_load: some}, " + backends), "is not a number above 0"},
           {pool("session: {state: on}, " + backends), "does nothing without an `affinity`"},
           {pool("affinity: url_rewrite, session: {state: on}, " + backends), "refused with url_rewrite"},
           {pool("affinity: ip_hash, session: {state: on}, " + backends), "session.state: cannot be kept"},
           {pool("affinity: cookie, session: {state: {max_bytes: 33KiB}}, " + backends), "1B to 32KiB"},
           {pool("affinity: cookie, session: {state: {replay: always}}, " + backends), "none of on_move"},
           {pool("affinity: cookie, session: {state: on, announce: false}, " + backends),
            "state needs `announce`"},
           {pool("affinity: cookie, session: {idle_timeout: 2h, max_lifetime: 1h}, " + backends),
            "idle_timeout is longer"},
           {pool("health: {eject: {for: 0s}}, " + backends), "must be more than zero"},
           {pool("health: {eject: {consecutive_failures: 0}}, " + backends), "`eject: off` turns it off"},
           {pool("health: {eject: {max_share: 2}}, " + backends), "is not a percentage"},
           {pool("health: {slow_start: fast}, " + backends), "is not a duration"},
           {pool("health: {panic: 200%}, " + backends), "is not a percentage"},
           {pool("health: {probe: {path: x}}, " + backends), "begins with '/'"},
           {pool("health: {probe: {path: /, expect: 99}}, " + backends), "is not a status or a range"},
           {pool("failover: {attempts: 0}, " + backends), "attempts must be 1 to 10"},
           {pool("failover: {retry_on: [500]}, " + backends), "is none of connect"},
           {pool("failover: {budget: 20}, " + backends), "is not a percentage"},
           {pool("failover: {suspect_after: soon}, " + backends), "is not a duration"},
           {pool("failover: {suspect_after: 0s}, " + backends), "must be more than zero"},
           {pool("drain: {streams: maybe}, " + backends), "'maybe' is none of end | keep"},
           {pool("drain: {spread: 0s}, " + backends), "must be more than zero"},
           {pool("drain: {spread: -5s}, " + backends), "is not a duration"},
           {pool("drain: {deadline: 5s}, " + backends), "unknown key"},
           {pool("drain: keep, " + backends), "must be a map"},
           {pool("headers: {set: {Content-Length: 1}}, " + backends), "belongs to the protocol"},
           {pool("headers: {set: {Remora-X: 1}}, " + backends), "is remora's own"},
           {pool("protocol: h3, " + backends), "is none of http1 | h2 | auto"},
           {pool("timeouts: {conect: 1s}, " + backends), "did you mean 'connect'?"},
           {route("{path: x, pool: a}"), "must begin with '/'"},
           {route("{path: /, pool: c}"), "there is no pool 'c'"},
           {route("{path: /, pool: a, split: {a: 1}}"), "exactly one of pool, split and redirect"},
           {route("{path: /, pool: a}, {path: /, pool: b}"), "cannot be told apart"},
           {route("{path: /x, pool: a}, {path: /x/, pool: b}"), "cannot be told apart"},
           {route("{path: /caf\u00e9, pool: a}, {path: /caf%c3%a9, pool: b}"), "cannot be told apart"},
           {route("{path: /x;y, pool: a}"), "write '/x'"},
           {route("{path: /a%2fb, pool: a}"), "write '/a'"},
           {route("{path: /%61, pool: a}"), "write '/a'"},
           {route("{path: /, redirect: {to: \"{nonsense}\"}}"), "is none of {scheme}"},
           {route("{path: /, pool: a, auth: main}"), "there is no verifier 'main' under `jwt`"},
           {route("{host: a.*.b, path: /, pool: a}"), "'*' can only stand first"},
       }) {
    ASSERT_FALSE(row.got.empty()) << row.wanted;
    EXPECT_NE(row.got[0].find(row.wanted), std::string::npos) << row.got[0];
  }
}

TEST(Config, MistakesInVerifiers) {
  ::setenv("REMORA_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1);
  const std::string others = "\nlisteners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:1]}}\n";
  const auto said = [&](const std::string& verifier) {
    std::string all;
    for (const auto& line : errors("jwt: {main: {" + verifier + "}}" + others)) all += line + "\n";
    return all;
  };
  const std::string keys = "keys: {secret: {env: REMORA_KEY}}";
  EXPECT_EQ(said("algorithms: [HS256], " + keys), "");
  struct Row {
    std::string verifier;
    const char* wanted;
  };
  for (const Row& row : std::vector<Row>{
           {keys, "needs `algorithms"},
           {"algorithms: [HS256]", "needs `keys"},
           {"algorithms: [none], " + keys, "is never accepted"},
           {"algorithms: [NoNe], " + keys, "is never accepted"},
           {"algorithms: [XS256], " + keys, "'XS256' is none of HS256"},
           {"algorithms: [HS256, RS256], " + keys, "mixes HMAC with public keys"},
           {"algorithms: [RS256], " + keys, "a secret serves HS256"},
           {"algorithms: [HS256], keys: {public_key: /dev/null}", "HMAC needs"},
           {"algorithms: [RS256], keys: {}", "needs exactly one of"},
           {"algorithms: [RS256], keys: {public_key: /no}", "the file '/no' cannot be read"},
           {"algorithms: [RS256], keys: {jwks_url: \"ftp://x/\"}", "must be a URL of https"},
           {"algorithms: [HS256], keys: {jwks_url: \"https://x/\"}", "HMAC needs"},
           {"algorithms: [RS256], keys: {jwks_url: \"http://x/\", tls: {ca: /dev/null}}",
            "belongs to a URL of https"},
           {"algorithms: [RS256], keys: {public_key: /dev/null, tls: on}", "belongs to `jwks_url`"},
           {"algorithms: [HS256], " + keys + ", revocation: {claims: [jti]}", "revocation needs `store"},
           {"algorithms: [HS256], " + keys + ", from: []", "needs at least one place"},
           {"algorithms: [HS256], " + keys + ", from: [header]", "must be bearer"},
           {"algorithms: [HS256], " + keys + ", from: [{cookie: a, query: b}]", "must be bearer"},
           {"algorithms: [HS256], " + keys + ", forward_claims: {sub: Connection}",
            "belongs to the protocol"},
           {"algorithms: [HS256], " + keys + ", forward_claims: {sub: Remora-User}", "is remora's own"},
           {"algorithms: [HS256], " + keys + ", issuers: x", "unknown key"},
       })
    EXPECT_NE(said(row.verifier).find(row.wanted), std::string::npos) << row.verifier << "\n"
                                                                      << said(row.verifier);
}

TEST(Config, AllMistakesAtOnceInTheOrderOfTheFile) {
  const auto lines = errors("workers: x\nlog: {levl: info}\nlisteners: [bad]\npools:\n  a: {balance: no}\n");
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0].substr(0, 5), "f:1:1");
  EXPECT_EQ(lines[1].substr(0, 4), "f:2:");
  EXPECT_EQ(lines[2].substr(0, 4), "f:3:");
  EXPECT_EQ(lines[4].substr(0, 4), "f:5:");
}

TEST(Config, SyntaxErrorsHintAtQuoting) {
  EXPECT_NE(errors("routes:\n  - host: *.example.com").at(0).find("quote it: \"*.example.com\""),
            std::string::npos);
  EXPECT_FALSE(errors("").empty());
  EXPECT_FALSE(errors("---\na: 1\n---\nb: 2\n").empty());
  EXPECT_FALSE(errors("just text").empty());
  EXPECT_FALSE(errors("[1, 2]").empty());
}

TEST(Config, ManyPoolsNeedRoutesAndTheirOwnCookies) {
  EXPECT_NE(
      errors("listeners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:1]}, b: {backends: [127.0.0.1:2]}}")
          .at(0)
          .find("`routes` is missing"),
      std::string::npos);
  const std::string pools =
      "listeners: [127.0.0.1:80]\npools:\n  a: {affinity: {kind: cookie, name: s}, backends: [127.0.0.1:1]}\n"
      "  b: {affinity: {kind: cookie, name: s}, backends: [127.0.0.1:2]}\n";
  EXPECT_NE(errors(pools + "routes: [{path: /, pool: a}, {path: /b, pool: b}]")
                .at(0)
                .find("share the cookie name 's'"),
            std::string::npos);
  EXPECT_TRUE(
      errors(pools + "routes: [{host: a.com, path: /, pool: a}, {host: b.com, path: /b, pool: b}]").empty());
}

TEST(Config, ValuesComeFromTheEnvironmentAndCannotChangeTheStructure) {
  ::setenv("REMORA_TEST_BIND", "127.0.0.1:81", 1);
  EXPECT_EQ(good("listeners: [\"${REMORA_TEST_BIND}\"]\npools: {a: {backends: [127.0.0.1:1]}}")
                .listeners[0]
                .bind.port,
            81);
  ::setenv("REMORA_TEST_BIND", "127.0.0.1:81, 127.0.0.1:82", 1);
  EXPECT_FALSE(errors("listeners: [\"${REMORA_TEST_BIND}\"]\npools: {a: {backends: [127.0.0.1:1]}}").empty());
}

TEST(Config, SecretsNeverShowInErrors) {
  ::setenv("REMORA_TEST_SECRET", "hunter2hunter2", 1);
  for (const auto& line : errors("keys: [{env: REMORA_TEST_SECRET}]" + rest))
    EXPECT_EQ(line.find("hunter2"), std::string::npos);
}

TEST(Durations, AndSizes) {
  EXPECT_EQ(remora::parse_duration("250ms"), Millis(250));
  EXPECT_EQ(remora::parse_duration("1.5s"), Millis(1500));
  EXPECT_EQ(remora::parse_duration("7d"), Millis(7 * 86400000LL));
  for (const char* bad : {"", "s", "1", "-1s", "1 s", "1y", "1.2.3s", "99999999999999d"})
    EXPECT_FALSE(remora::parse_duration(bad)) << bad;
  EXPECT_EQ(remora::parse_size("16KiB"), 16384U);
  EXPECT_EQ(remora::parse_size("1MiB"), 1048576U);
  for (const char* bad : {"", "1", "1KB", "-1B", "1k"}) EXPECT_FALSE(remora::parse_size(bad)) << bad;
}

// What is shipped must load, and what can be written must be documented ------------------------------

TEST(Examples, EachLoads) {
  ::setenv("REMORA_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1);
  ::setenv("REMORA_ADMIN_TOKEN", "t", 1);
  ::setenv("JWT_SECRET", "of tests, and of nothing else, 32 bytes", 1);
  ::setenv("REMORA_INDEX_KEY", "an index key of tests", 1);
  ::setenv("REDIS_PASSWORD", "of tests", 1);
  ::setenv("SENTINEL_PASSWORD", "of tests too", 1);
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(REMORA_SOURCE_DIR "/config")) {
    if (entry.path().extension() != ".yaml") continue;
    ++count;
    const Loaded loaded = load_file(entry.path(), affinity_kinds());
    if (const auto* e = std::get_if<LoadError>(&loaded))
      for (const auto& line : e->lines) ADD_FAILURE() << line;
  }
  EXPECT_GE(count, 3);
}

TEST(Config, AnAddressWithANameIsFollowed) {
  const Config config = good(
      "listeners: [127.0.0.1:80]\npools: {app: {backends: [a:1, 10.0.0.1:1, \"[::1]:1\", unix:/x, "
      "localhost:2, "
      "{address: b:1, refresh: 1s, prefer: ipv4}, {dns: c:1, prefer: ipv6}]}}\n");
  const auto& backends = config.pools.front().backends;
  std::string follows;
  for (const Backend& b : backends) follows += b.follow ? 'x' : '-';
  EXPECT_EQ(follows, "x---xx-");
  EXPECT_EQ(backends[0].follow, Follow());
  EXPECT_EQ(backends[5].follow, (Follow{seconds(1), Prefer::ipv4}));
  EXPECT_EQ(backends[6].discovery->prefer, Prefer::ipv6);
}

// Both on one port: IPv4 is the other's.
TEST(Config, TheAnyAddressTakesIpv4UnlessTheFileGivesThatPortToSomebodyElse) {
  const auto v6_only = [](const std::string& listeners, const std::string& more = "") {
    return good("listeners: [" + listeners + "]\n" + more + "pools: {app: {backends: [127.0.0.1:1]}}\n")
        .listeners.front()
        .v6_only;
  };
  EXPECT_FALSE(v6_only("\"[::]:80\""));
  EXPECT_FALSE(v6_only("\"[::]:80\", 0.0.0.0:81"));
  EXPECT_FALSE(v6_only("\"[::]:0\", 0.0.0.0:0"));
  EXPECT_TRUE(v6_only("\"[::]:80\", 0.0.0.0:80"));
  EXPECT_TRUE(v6_only("\"[::]:80\", 127.0.0.1:80"));
  EXPECT_TRUE(v6_only("\"[::]:80\"", "admin: 127.0.0.1:80\n"));
}

}  // namespace
}  // namespace remora::config
