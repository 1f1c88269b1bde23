// JWTs at the edge: who may pass, what the app hears of it, and sessions by a claim.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <atomic>
#include <ctime>
#include <fstream>
#include <mutex>
#include <set>

#include "support/certificates.h"
#include "support/dns.h"
#include "support/site.h"
#include "support/stores.h"
#include "util/text.h"

namespace remora::test {
namespace {

const std::string secret(32, 'k');

std::string b64(std::string_view s) {
  std::string out;
  base64url_append(out, reinterpret_cast<const std::uint8_t*>(s.data()), s.size());
  return out;
}

std::string token(const std::string& claims, long lives_for = 600, const std::string& key = secret) {
  const std::string part =
      b64(R"({"alg":"HS256","typ":"JWT"})") + "." +
      b64("{\"exp\":" + std::to_string(std::time(nullptr) + lives_for) + "," + claims + "}");
  unsigned char mac[32];
  unsigned int n = 0;
  ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(part.data()), part.size(), mac, &n);
  return part + "." + b64({reinterpret_cast<char*>(mac), n});
}

std::string bearer(const std::string& t) {
  return "Authorization: Bearer " + t + "\r\n";
}

/// Says what it got.
Origin::Script echo(const std::string& name) {
  return answering([name](const std::string& head, const std::string&) {
    return ok(head, "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") + "\r\n");
  });
}

class Jwt : public ::testing::Test {
 protected:
  Jwt() { std::ofstream(folder + "/secret") << secret << "\n"; }
  ~Jwt() override { std::system(("rm -rf " + folder).c_str()); }
  std::string config(const std::string& verifier, const std::string& auth,
                     const std::string& affinity = "none") {
    return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: 127.0.0.1:0\nworkers: 2\nlisteners: "
           "[127.0.0.1:0]\n"
           "jwt:\n  main: {algorithms: [HS256], keys: {secret: {file: " +
           folder + "/secret}}" + verifier +
           "}\n"
           "pools:\n  app:\n    affinity: " +
           affinity + "\n    backends: [{id: a, address: " + a.address() +
           "}, {id: b, address: " + b.address() + "}, {id: c, address: " + c.address() +
           "}]\n"
           "routes:\n  - {path: /open, pool: app}\n  - {path: /, pool: app" +
           auth + "}\n";
  }
  const std::string folder = make_folder();
  Origin a{echo("a")}, b{echo("b")}, c{echo("c")};
};

TEST_F(Jwt, OnlyAValidTokenPassesAndTheAnswerSaysWhy) {
  Remora remora(config("", ", auth: main"));
  const Reply none = remora.ask(get("/"));
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.field("WWW-Authenticate"), "Bearer realm=\"remora\"");  // RFC 6750 3.1
  const Reply bad = remora.ask(get("/", bearer("nonsense")));
  EXPECT_EQ(bad.status, 401);
  EXPECT_NE(bad.field("WWW-Authenticate").find("error=\"invalid_token\""), std::string::npos);
  const Reply old = remora.ask(get("/", bearer(token("\"sub\":\"ann\"", -60))));
  EXPECT_EQ(old.status, 401);
  EXPECT_NE(old.field("WWW-Authenticate").find("the token has expired"), std::string::npos);
  EXPECT_EQ(remora.ask(get("/", bearer(token("\"sub\":\"ann\"", 600, std::string(32, 'x'))))).status, 401);
  EXPECT_EQ(remora.ask(get("/", bearer(token("\"sub\":\"ann\"")) + bearer("other"))).status, 400);
  const std::string good = token("\"sub\":\"ann\"");
  Socket kept = remora.connect();
  for (int i = 0; i < 3; ++i) {  // from the cache too
    kept.send(get("/", bearer(good)));
    EXPECT_EQ(kept.receive_reply().status, 200);
  }
  EXPECT_EQ(remora.ask(get("/open")).status, 200);
  EXPECT_EQ(remora.ask(get("/open", bearer("nonsense"))).status, 200) << "nobody asked for it";
  const std::string metrics = remora.api("GET", "/metrics").body;
  EXPECT_NE(metrics.find("remora_jwt_total{verifier=\"main\",cause=\"fine\"} 3"), std::string::npos);
  EXPECT_NE(metrics.find("remora_jwt_total{verifier=\"main\",cause=\"signature\"} 1"), std::string::npos);
  EXPECT_EQ(remora.log().find(good), std::string::npos) << "a token stands in the log";
}

// The route's own words come first, whatever it answers with.
TEST_F(Jwt, ARedirectIsForThoseWhoMayIn) {
  std::string yaml = config("", "");
  const std::string open = "{path: /open, pool: app}";
  yaml.replace(yaml.find(open), open.size(), "{path: /open, redirect: {to: /x, status: 302}, auth: main}");
  Remora remora(yaml);
  const Reply none = remora.ask(get("/open"));
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.field("Location"), "");
  EXPECT_EQ(remora.ask(get("/open", bearer(token("\"sub\":\"ann\"", -60)))).status, 401);
  const Reply good = remora.ask(get("/open", bearer(token("\"sub\":\"ann\""))));
  EXPECT_EQ(good.status, 302);
  EXPECT_EQ(good.field("Location"), "/x");
}

TEST_F(Jwt, NotRequiredLetsTheTokenlessThroughButNotBadTokens) {
  Remora remora(config("", ", auth: {verifier: main, required: off}"));
  EXPECT_EQ(remora.ask(get("/")).status, 200);
  EXPECT_EQ(remora.ask(get("/", bearer("nonsense"))).status, 401);
  EXPECT_EQ(remora.ask(get("/", bearer(token("\"sub\":\"ann\"")))).status, 200);
}

// A preflight carries no credentials (Fetch standard 3.3), so it can prove nothing: envoyproxy/envoy #12375,
// istio/proxy #651, pomerium/pomerium #78, aspnet/CORS #45.
TEST_F(Jwt, APreflightPassesWithoutATokenAndIsNobody) {
  Remora remora(config(", forward_claims: {sub: X-User-Id}", ", auth: main"));
  const std::string fields =
      "Origin: https://spa.test\r\nAccess-Control-Request-Method: PUT\r\nX-User-Id: root\r\nX_User_Id: "
      "root\r\n";
  const auto options = [](const std::string& target, const std::string& more) {
    return "OPTIONS " + target + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" + more + "\r\n";
  };
  const Reply preflight = remora.ask(options("/", fields));
  EXPECT_EQ(preflight.status, 200);
  EXPECT_NE(preflight.field("X-Backend"), "") << "the app answers it";
  EXPECT_EQ(preflight.body.find("root"), std::string::npos) << preflight.body;
  EXPECT_EQ(preflight.field("Set-Cookie"), "");
  EXPECT_EQ(remora.ask(get("/", fields)).status, 401);
  EXPECT_EQ(remora.ask(options("/", "Origin: https://spa.test\r\n")).status, 401);
  EXPECT_EQ(remora.ask(options("/", "")).status, 401);
  EXPECT_EQ(remora.ask(options("/", fields + bearer("nonsense"))).status, 401) << "no browser sends that";
  EXPECT_EQ(remora.ask(options("/", fields + bearer(token("\"sub\":\"ann\"")))).status, 200);
}

TEST_F(Jwt, APreflightIsVerifiedWhereTheRouteSaysSo) {
  Remora remora(config("", ", auth: {verifier: main, preflight: verify}"));
  EXPECT_EQ(remora
                .ask("OPTIONS / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nOrigin: https://spa.test\r\n"
                     "Access-Control-Request-Method: PUT\r\n\r\n")
                .status,
            401);
}

TEST_F(Jwt, RequiredClaimsMissingAreInsufficientScope) {
  Remora remora(config(", required_claims: {scope: read}", ", auth: main"));
  const Reply r = remora.ask(get("/", bearer(token("\"scope\":\"write\""))));
  EXPECT_EQ(r.status, 403);
  EXPECT_NE(r.field("WWW-Authenticate").find("insufficient_scope"), std::string::npos);
  EXPECT_EQ(remora.ask(get("/", bearer(token("\"scope\":\"write read\"")))).status, 200);
}

TEST_F(Jwt, ClaimsAreForwardedInHeadersThatNoClientCanSet) {
  Remora remora(
      config(", forward_claims: {sub: X-User-Id, name: X-Name}", ", auth: {verifier: main, required: off}"));
  const std::string forged = "X-User-Id: root\r\nx-user-id: root\r\nX_User_Id: root\r\nX-USER_ID: root\r\n";
  const Reply r = remora.ask(get("/", forged + bearer(token("\"sub\":\"ann\""))));
  EXPECT_EQ(field_of(r.body, "X-User-Id"), "ann");
  EXPECT_EQ(r.body.find("root"), std::string::npos) << r.body;
  EXPECT_EQ(field_of(r.body, "X-Name"), "");
  for (const char* path : {"/", "/open"}) {
    const Reply without = remora.ask(get(path, forged));
    EXPECT_EQ(without.status, 200);
    EXPECT_EQ(without.body.find("root"), std::string::npos) << without.body;
  }
  // A claim is somebody's text: it cannot begin a field of its own.
  const Reply split = remora.ask(get("/", bearer(token(R"("sub":"ann\r\nX-Admin: yes","name":"Zo\u00eb")"))));
  EXPECT_EQ(split.body.find("X-Admin"), std::string::npos) << split.body;
  EXPECT_EQ(field_of(split.body, "X-Name"), "Zo\xc3\xab");
}

TEST_F(Jwt, CookiesAndParametersCarryThemAndLogsMaskThem) {
  Remora remora(config(", from: [{cookie: jwt}, {query: access_token}]", ", auth: main"));
  const std::string t = token("\"sub\":\"ann\"");
  EXPECT_EQ(remora.ask(get("/", "Cookie: x=1; jwt=" + t + "\r\n")).status, 200);
  EXPECT_EQ(remora.ask(get("/?access_token=" + t)).status, 200);
  EXPECT_EQ(remora.ask(get("/", bearer(t))).status, 401);
  ASSERT_TRUE(remora.wait_for_log("GET /?access_token=***"));
  EXPECT_EQ(remora.log().find(t), std::string::npos);
}

TEST_F(Jwt, AClaimKeepsItsUsersTogether) {
  Remora remora(config("", ", auth: main", "{kind: jwt_claim, verifier: main, claim: sub}"));
  std::set<std::string> used;
  for (int user = 0; user < 30; ++user) {
    std::set<std::string> of_user;
    for (int i = 0; i < 3; ++i)  // each with a token of its own
      of_user.insert(remora
                         .ask(get("/", bearer(token("\"sub\":\"u" + std::to_string(user) +
                                                    "\",\"jti\":" + std::to_string(i)))))
                         .field("X-Backend"));
    EXPECT_EQ(of_user.size(), 1U);
    used.insert(of_user.begin(), of_user.end());
  }
  EXPECT_EQ(used.size(), 3U);
}

TEST_F(Jwt, AClaimWithATableHasEpochs) {
  Remora remora(config("", ", auth: main", "{kind: jwt_claim, verifier: main, claim: sub, carry: store}"));
  const std::string fields = bearer(token("\"sub\":\"ann\""));
  const Reply first = remora.ask(get("/", fields));
  EXPECT_EQ(announced(first).reason, "new");
  const Reply second = remora.ask(get("/", fields));
  EXPECT_EQ(announced(second).reason, "sticky");
  EXPECT_EQ(second.field("X-Backend"), first.field("X-Backend"));
  EXPECT_EQ(remora.command({"maint", "app/" + first.field("X-Backend")}).code, 0);
  Reply moved;
  ASSERT_TRUE(eventually(
      [&] { return (moved = remora.ask(get("/", fields))).field("X-Backend") != first.field("X-Backend"); }));
  EXPECT_EQ(announced(moved).epoch, 2);
  EXPECT_EQ(announced(moved).reason, "maint");
}

TEST_F(Jwt, ExplainSaysWhatAVerifierThinks) {
  Remora remora(config("", ", auth: main", "{kind: jwt_claim, verifier: main, claim: sub}"));
  EXPECT_NE(remora.command({"explain", "/"}).output.find("jwt main: absent"), std::string::npos);
  EXPECT_NE(remora.command({"explain", "-H", "Authorization: Bearer " + token("\"sub\":\"ann\""), "/"})
                .output.find("jwt main: fine"),
            std::string::npos);
}

// Keys behind a URL ---------------------------------------------------------------------------------

/// An Ed25519 key whose public half stands in a JWK Set.
class Issuer {
 public:
  Issuer() : key_(::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")) {}
  ~Issuer() { ::EVP_PKEY_free(key_); }
  Issuer(const Issuer&) = delete;
  Issuer& operator=(const Issuer&) = delete;
  std::string jwk(const std::string& kid) const {
    unsigned char raw[32];
    std::size_t n = sizeof raw;
    ::EVP_PKEY_get_raw_public_key(key_, raw, &n);
    return R"({"kty":"OKP","crv":"Ed25519","kid":")" + kid + R"(","x":")" +
           b64({reinterpret_cast<char*>(raw), n}) + "\"}";
  }
  std::string token(const std::string& kid) const {
    const std::string part =
        b64(R"({"alg":"EdDSA","kid":")" + kid + "\"}") + "." +
        b64("{\"sub\":\"ann\",\"exp\":" + std::to_string(std::time(nullptr) + 600) + "}");
    EVP_MD_CTX* ctx = ::EVP_MD_CTX_new();
    ::EVP_DigestSignInit(ctx, nullptr, nullptr, nullptr, key_);
    std::string out(64, '\0');
    std::size_t n = out.size();
    ::EVP_DigestSign(ctx, reinterpret_cast<unsigned char*>(out.data()), &n,
                     reinterpret_cast<const unsigned char*>(part.data()), part.size());
    ::EVP_MD_CTX_free(ctx);
    return part + "." + b64(out);
  }

 private:
  EVP_PKEY* key_;
};

class KeySet : public Jwt {
 protected:
  void answer(const std::string& text) {
    const std::lock_guard lock(mutex);
    answer_ = text;
  }
  std::string with(const std::string& keys) {
    std::string text = config("", ", auth: main");
    const std::string before = "{algorithms: [HS256], keys: {secret: {file: " + folder + "/secret}}}";
    return text.replace(text.find(before), before.size(), "{algorithms: [EdDSA], keys: " + keys + "}");
  }
  std::string url() const { return "http://" + server.address() + "/jwks?v=1"; }
  std::mutex mutex;
  std::string answer_ = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";
  std::atomic<int> asked{0};
  Origin server{answering([this](const std::string&, const std::string&) {
    ++asked;
    const std::lock_guard lock(mutex);
    return answer_;
  })};
  Issuer one, two;
};

TEST_F(KeySet, IsFetchedAndRotatedInTheBackground) {
  answer(ok("{\"keys\":[" + one.jwk("one") + "]}"));
  Remora remora(with("{jwks_url: \"" + url() + "\", refresh: 300ms}"));
  EXPECT_EQ(remora.ask(get("/", bearer(one.token("one")))).status, 200);
  EXPECT_EQ(remora.ask(get("/", bearer(two.token("two")))).status, 401);
  answer(ok("{\"keys\":[" + two.jwk("two") + "]}"));
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/", bearer(two.token("two")))).status == 200; }));
  EXPECT_EQ(remora.ask(get("/", bearer(one.token("one")))).status, 401);
}

TEST_F(KeySet, ThatCannotBeFetchedAnyMoreStays) {
  answer(ok("{\"keys\":[" + one.jwk("one") + "]}"));
  Remora remora(with("{jwks_url: \"" + url() + "\", refresh: 100ms}"));
  for (const std::string& bad :
       {std::string("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"), std::string("garbage\r\n\r\n"), ok("{}"),
        ok("{\"keys\":[]}"), ok(std::string(2 * 1024 * 1024, ' '))}) {
    answer(bad);
    const int before = asked;
    ASSERT_TRUE(eventually([&] { return asked >= before + 2; }));
    EXPECT_EQ(remora.ask(get("/", bearer(one.token("one")))).status, 200);
  }
}

TEST_F(KeySet, ThatHasNeverAnsweredIsNotTheClientsFault) {
  Remora remora(with("{jwks_url: \"" + url() + "\", refresh: 200ms}"));
  EXPECT_EQ(remora.ask(get("/", bearer(one.token("one")))).status, 503);
  EXPECT_EQ(remora.ask(get("/")).status, 401);
  answer(ok("{\"keys\":[" + one.jwk("one") + "]}"));
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/", bearer(one.token("one")))).status == 200; }));
}

TEST_F(KeySet, AnUnknownKeyIsAskedForEarlyButOnlyOnceInAWhile) {
  answer(ok("{\"keys\":[" + one.jwk("one") + "]}"));
  Remora remora(with("{jwks_url: \"" + url() + "\", refresh: 1h}"));
  EXPECT_EQ(remora.ask(get("/", bearer(one.token("one")))).status, 200);
  const int before = asked;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(remora.ask(get("/", bearer(two.token("two")))).status, 401);
  EXPECT_EQ(asked, before);  // it was asked a moment ago
}

// envoyproxy/envoy #20636, iterate-ch/cyberduck #16723: only the first address of the name is tried.
TEST_F(KeySet, IsFetchedFromWhicheverAddressOfItsNameAnswers) {
  answer(ok("{\"keys\":[" + one.jwk("one") + "]}"));
  NameServer dns;
  using Type = DnsEntry::Type;
  const std::string before = "state_dir: none\n";
  for (const std::vector<DnsEntry>& addresses :
       {std::vector<DnsEntry>{{Type::a, "127.0.0.9"}, {Type::a, "127.0.0.1"}},
        std::vector<DnsEntry>{{Type::aaaa, "::1"}, {Type::a, "127.0.0.1"}},
        std::vector<DnsEntry>{{Type::aaaa, "2001:db8::1"}, {Type::a, "127.0.0.1"}}}) {
    dns.set("idp.test", addresses);
    std::string text =
        with("{jwks_url: \"http://idp.test:" + std::to_string(server.port()) + "/\", refresh: 300ms}");
    text.replace(text.find(before), before.size(), before + "dns: {servers: [\"" + dns.address() + "\"]}\n");
    Remora remora(text);
    EXPECT_TRUE(eventually([&] { return remora.ask(get("/", bearer(one.token("one")))).status == 200; }))
        << remora.log();
  }
}

/// Somebody did not like its certificate.
bool refused_by(const Remora& terminator) {
  return eventually([&] {
    return terminator.metric("remora_refused_total{listener=\"127.0.0.1:0\",what=\"handshake\"}") > 0;
  });
}

// envoyproxy/gateway #3536 "remoteJWKS needs a caCert option", krakend/krakend-jose PR #15.
TEST_F(KeySet, ComesFromAServerWhoseAuthorityTheFileNames) {
  answer(ok("{\"keys\":[" + one.jwk("one") + "]}"));
  const std::string pair = make_certificate(folder, "localhost"), other = make_certificate(folder, "other");
  Remora terminator("state_dir: none\nadmin: off\nlisteners: [{bind: \"127.0.0.1:0\", tls: {certificates: [" +
                    pair + "]}}]\npools: {keys: {backends: [" + server.address() + "]}}\n");
  const auto text = [&](const std::string& tls) {
    return with("{jwks_url: \"https://localhost:" + std::to_string(terminator.port()) +
                "/\", refresh: 300ms, tls: " + tls + "}");
  };
  Remora trusting(text("{ca: " + folder + "/localhost.pem}"));
  EXPECT_TRUE(eventually([&] { return trusting.ask(get("/", bearer(one.token("one")))).status == 200; }))
      << trusting.log();
  Remora doubting(text("{ca: " + folder + "/other.pem}"));
  EXPECT_TRUE(refused_by(terminator));
  EXPECT_EQ(doubting.ask(get("/", bearer(one.token("one")))).status, 503);
}

TEST_F(KeySet, ComesOverTlsWhenTheCertificateFits) {
  answer(ok("{\"keys\":[" + one.jwk("one") + "]}"));
  const std::string pair = make_certificate(folder, "localhost");
  Remora terminator("state_dir: none\nadmin: off\nlisteners: [{bind: \"127.0.0.1:0\", tls: {certificates: [" +
                    pair + "]}}]\npools: {keys: {backends: [" + server.address() + "]}}\n");
  const std::string text =
      with("{jwks_url: \"https://localhost:" + std::to_string(terminator.port()) + "/\", refresh: 300ms}");
  Remora trusting(text, {"SSL_CERT_FILE=" + folder + "/localhost.pem"});
  EXPECT_TRUE(eventually([&] { return trusting.ask(get("/", bearer(one.token("one")))).status == 200; }))
      << trusting.log();
  Remora doubting(text);
  EXPECT_TRUE(refused_by(terminator));
  EXPECT_EQ(doubting.ask(get("/", bearer(one.token("one")))).status, 503);
}

TEST_F(Jwt, ATokenIsRefusedWhileItsIdIsInTheStoreOfRevokedOnes) {
  for (const bool denies : {false, true}) {
    RedisServer redis;
    Remora remora(
        config(std::string(", revocation: {claims: [jti], on_error: ") + (denies ? "deny" : "allow") + "}",
               ", auth: main") +
        "store: {kind: redis, cache_ttl: 100ms, index_key: {env: REMORA_TEST_KEY}, redis: {nodes: "
        "[\"redis://127.0.0.1:" +
        std::to_string(redis.port()) + "\"]}}\n");
    const std::string one = token("\"jti\":\"one\""), two = token("\"jti\":\"two\"");
    EXPECT_EQ(remora.ask(get("/", bearer(one))).status, 200);
    EXPECT_EQ(remora.ask(get("/", bearer(two))).status, 200);
    EXPECT_EQ(remora.ask(get("/", bearer(token("\"sub\":\"no id\"")))).status, 403);
    ask_store(redis.port(), "SET remora:revoked:one 1 EX 60");
    const auto by_all_workers = [&](const std::string& t, int status) {  // each has a copy of its own
      for (int i = 0; i < 12; ++i)
        if (remora.ask(get("/", bearer(t))).status != status) return false;
      return true;
    };
    EXPECT_TRUE(eventually([&] { return by_all_workers(one, 401); }));
    EXPECT_NE(remora.ask(get("/", bearer(one))).field("WWW-Authenticate").find("revoked"), std::string::npos);
    EXPECT_EQ(remora.ask(get("/", bearer(two))).status, 200);
    EXPECT_EQ(remora.ask(get("/open", bearer(one))).status, 200);  // where none is wanted
    redis.kill();
    EXPECT_TRUE(eventually([&] { return by_all_workers(two, denies ? 503 : 200); }));
  }
}

TEST_F(Jwt, ValuesOfAnyBytesCanBeRevokedAndWhatHasNoTextIsRefused) {
  RedisServer redis;
  MemcachedServer memcached;
  for (const std::string& store :
       {"redis: {nodes: [\"redis://127.0.0.1:" + std::to_string(redis.port()) + "\"]}",
        "memcached: {nodes: [\"127.0.0.1:" + std::to_string(memcached.port()) + "\"]}"}) {
    const bool is_redis = store.starts_with("redis");
    Remora remora(config(", revocation: {claims: [sub], on_error: deny}", ", auth: main") +
                  "store: {kind: " + (is_redis ? "redis" : "memcached") +
                  ", cache_ttl: 50ms, index_key: {env: REMORA_TEST_KEY}, " + store + "}\n");
    const auto status_of = [&](const std::string& sub) {
      return remora.ask(get("/", bearer(token("\"sub\":" + sub)))).status;
    };
    // As docs/state.md says: printf %s 'John Smith' | sha256sum, and so on.
    const std::pair<std::string, std::string> values[] = {
        {"plain", "plain"},
        {"John Smith", "sha256:ef61a579c907bbed674c0dbcbcf7f7af8f851538eef7b8e58c5bee0b8cfdac4a"},
        {"j\xc3\xb6rg", "j\xc3\xb6rg"},  // as it is, where the store can have such a key
        {"j\xc3\xbcrgen", "sha256:19b720a911fced55aecd96bf4ddcada1c69be5a96dc523d5be336b8efbde3109"},
    };
    for (const auto& [value, key] : values) {
      const std::string quoted = "\"" + value + "\"";
      ASSERT_TRUE(eventually([&] { return status_of(quoted) == 200; })) << value;
      ask_store(
          is_redis ? redis.port() : memcached.port(),
          is_redis ? "SET remora:revoked:" + key + " 1 EX 60" : "set remora:revoked:" + key + " 0 60 1\r\n1");
      EXPECT_TRUE(eventually([&] { return status_of(quoted) == 401; })) << value;
    }
    for (const char* other : {"[\"plain\"]", "null", "1.5", "{}"}) EXPECT_EQ(status_of(other), 403) << other;
  }
}

TEST_F(Jwt, KeysAreReadAgainWithAReload) {
  const std::string text = config("", ", auth: main");
  Remora remora(text);
  const std::string fresh(32, 'n');
  EXPECT_EQ(remora.ask(get("/", bearer(token("\"sub\":\"ann\"")))).status, 200);
  std::ofstream(folder + "/secret") << fresh << "\n";
  ASSERT_TRUE(remora.reload(text));
  EXPECT_TRUE(
      eventually([&] { return remora.ask(get("/", bearer(token("\"sub\":\"ann\"")))).status == 401; }));
  EXPECT_EQ(remora.ask(get("/", bearer(token("\"sub\":\"ann\"", 600, fresh)))).status, 200);
  std::ofstream(folder + "/secret") << "short\n";
  EXPECT_FALSE(remora.reload(text));
  EXPECT_NE(remora.api("POST", "/api/v1/reload", "{}").body.find("jwt.main.keys"), std::string::npos);
}

}  // namespace
}  // namespace remora::test
