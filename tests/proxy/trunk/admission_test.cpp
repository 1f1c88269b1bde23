// What is decided before a backend is chosen: limits, routes, redirects, authentication, revocation. And the
// local replies that follow.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>

#include "support/trunk.h"
#include "util/text.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using End = Exchange::End;

constexpr const char* app = "pools: {app: {backends: [{id: a, address: 127.0.0.1:1}]}}\n";

// Routes and redirects ------------------------------------------------------------------------------

TEST(Admission, WithoutARouteTheReplyIs404) {
  Trunk trunk(std::string("routes: [{path: /x, pool: app}]\n") + app);
  EXPECT_EQ(trunk.get("/y").head.status, 404);
  EXPECT_EQ(trunk.end(), End::keep);
  EXPECT_TRUE(trunk.connector.connected.empty());
  EXPECT_EQ(trunk.get("/x").head.status, 200);
}

TEST(Admission, APathThatBackendsCouldReadAsAnotherRoutesIsRefused) {
  Trunk trunk(std::string("routes: [{path: /, pool: app}, {path: /admin, redirect: {to: \"http://x/\"}}]\n") +
              app);
  EXPECT_EQ(trunk.get("/a%2f..%2fadmin").head.status, 400);
  EXPECT_EQ(trunk.connection.listener->shared->refused.of(Refusal::head), 1U);
  EXPECT_TRUE(trunk.connector.connected.empty());
}

TEST(Admission, RedirectsAreExpanded) {
  Trunk trunk(std::string("routes: [{path: /old, redirect: {to: \"https://{host}{uri}\", status: 307}}, "
                          "{path: /, pool: app}]\n") +
              app);
  const Delivered& got = trunk.get("/old/a?b=c", {{"Host", "shop.test"}});
  EXPECT_EQ(got.head.status, 307);
  EXPECT_EQ(field(got.head.fields, "Location"), "https://shop.test/old/a?b=c");
  EXPECT_EQ(trunk.end(), End::keep);
  trunk.version = "HTTP/1.0";
  EXPECT_EQ(trunk.get("/old", {{"Host", ""}}).head.status, 400) << "it needs a host, and there is none";
}

TEST(Admission, AnUnreadBodyBehindALocalReplyEndsTheConnection) {
  Trunk trunk(std::string("routes: [{path: /x, pool: app}]\n") + app);
  trunk.start("POST", "/y", {{"Content-Length", "5"}}, "he", false);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 404);
  EXPECT_EQ(trunk.end(), End::linger);
  EXPECT_TRUE(trunk.delivered().head.close);
}

// Limits --------------------------------------------------------------------------------------------

TEST(Limits, RequestsBeyondTheRateAre429WithRetryAfter) {
  Trunk trunk(
      std::string("listeners: [{bind: 127.0.0.1:0, per_client: {requests_per_second: 2, burst: 3}}]\n") +
      app);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(trunk.get("/").head.status, 200);
  EXPECT_EQ(trunk.get("/").head.status, 429);
  EXPECT_EQ(field(trunk.delivered().head.fields, "Retry-After"), "1");
  EXPECT_EQ(trunk.end(), End::keep);
  EXPECT_EQ(trunk.connection.listener->shared->refused.of(Refusal::requests), 1U);
  trunk.clock.advance(501ms);
  trunk.turn.begin();
  EXPECT_EQ(trunk.get("/").head.status, 200);
}

TEST(Limits, NewSessionsBeyondTheRateAre429AndOldOnesAreServed) {
  Trunk trunk(
      "listeners: [{bind: 127.0.0.1:0, per_client: {new_sessions_per_second: 1}}]\n"
      "pools: {app: {affinity: cookie, backends: [{id: a, address: 127.0.0.1:1}]}}\n");
  trunk.get("/");
  const std::string cookie = trunk.cookie();
  EXPECT_EQ(trunk.get("/").head.status, 429);
  EXPECT_EQ(trunk.connection.listener->shared->refused.of(Refusal::new_sessions), 1U);
  EXPECT_EQ(trunk.get("/", {{"Cookie", cookie}}).head.status, 200);
}

TEST(Limits, WithNobodyInServiceTheReplyIs503) {
  Trunk trunk(app);
  trunk.member("a").health = Health::down;
  trunk.members_changed();
  EXPECT_EQ(trunk.get("/").head.status, 503);
  EXPECT_EQ(field(trunk.delivered().head.fields, "Retry-After"), "1");
}

// Local replies -------------------------------------------------------------------------------------

TEST(LocalReply, SpeaksHtmlOrJsonAsTheClientAsks) {
  Trunk trunk(std::string("routes: [{path: /x, pool: app, response_headers: {set: {X-By: us}}}]\n") + app);
  trunk.member("a").health = Health::down;
  trunk.members_changed();
  struct Case {
    const char* accept;
    const char* type;
  };
  for (const Case& c : {Case{"", "text/html; charset=utf-8"}, Case{"application/json", "application/json"},
                        Case{"application/problem+json;q=0.5", "application/json"},
                        Case{"application/json, text/html", "text/html; charset=utf-8"}}) {
    Fields fields;
    if (*c.accept != '\0') fields.emplace_back("Accept", c.accept);
    const Delivered& got = trunk.get("/x", fields);
    EXPECT_EQ(got.head.status, 503);
    EXPECT_EQ(field(got.head.fields, "Content-Type"), c.type) << c.accept;
    EXPECT_EQ(field(got.head.fields, "Content-Length"), std::to_string(got.body.size()));
    EXPECT_EQ(field(got.head.fields, "Cache-Control"), "no-store");
    EXPECT_TRUE(field(got.head.fields, "Date"));
    EXPECT_EQ(field(got.head.fields, "X-By"), "us");
    EXPECT_NE(got.body.find("503"), std::string::npos);
  }
}

TEST(LocalReply, ToHeadHasNoBodyButItsLength) {
  Trunk trunk(app);
  trunk.member("a").health = Health::down;
  trunk.members_changed();
  const std::size_t length = trunk.get("/").body.size();
  const Delivered& got = trunk.request("HEAD", "/");
  EXPECT_EQ(got.head.status, 503);
  EXPECT_TRUE(got.body.empty());
  EXPECT_TRUE(got.complete);
  EXPECT_EQ(field(got.head.fields, "Content-Length"), std::to_string(length));
}

TEST(LocalReply, ToAHeadThatCouldNotBeRead) {
  for (const std::uint16_t status : std::initializer_list<std::uint16_t>{400, 414, 417, 431, 501, 505}) {
    Trunk trunk(app);
    trunk.keep_log();
    const Delivered& got = trunk.refuse(false, {StreamFailure::Kind::malformed, status, "scripted"});
    EXPECT_EQ(got.head.status, status);
    EXPECT_TRUE(got.complete);
    EXPECT_EQ(trunk.end(), End::linger);
    EXPECT_EQ(trunk.connection.listener->shared->refused.of(Refusal::head), 1U);
    const auto log = trunk.take_log();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_EQ(log.front().at("method").as_string(), "") << "nothing of it was understood";
    EXPECT_EQ(log.front().at("status").as_int64(), status);
    EXPECT_EQ(log.front().at("client").as_string(), "192.0.2.1");
  }
}

TEST(LocalReply, KeepsNothingOfTheRequestBefore) {
  Trunk trunk("pools: {app: {affinity: cookie, backends: [{id: a, address: 127.0.0.1:1}]}}\n");
  trunk.get("/");
  EXPECT_FALSE(trunk.cookie().empty());
  trunk.refuse(false, {StreamFailure::Kind::malformed, 400, "scripted"});
  EXPECT_TRUE(trunk.cookie().empty());
  EXPECT_FALSE(field(trunk.delivered().head.fields, "Server"));
}

// Authentication ------------------------------------------------------------------------------------

constexpr const char* secret = "0123456789abcdef0123456789abcdef";

std::string b64(std::string_view text) {
  std::string out;
  base64url_append(out, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  return out;
}
/// A token that is valid for ten years of the manual clock.
std::string token(const std::string& claims, std::string_view key = secret) {
  const std::string parts = b64(R"({"alg":"HS256"})") + "." + b64("{\"exp\":2100000000" + claims + "}");
  std::uint8_t mac[32];
  unsigned size = 0;
  ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const std::uint8_t*>(parts.data()), parts.size(), mac, &size);
  return parts + "." + b64({reinterpret_cast<const char*>(mac), size});
}
Fields bearer(const std::string& text) {
  return {{"Authorization", "Bearer " + text}};
}
/// A store that other processes could write to, as far as the configuration says; FakeStore stands in for it.
constexpr const char* shared_store =
    "store: {kind: redis, index_key: {env: REMORA_TRUNK_SECRET}, redis: {nodes: [redis://127.0.0.1:1/0]}}\n";
std::string guarded(const std::string& verifier = {}, const std::string& rule = {}) {
  ::setenv("REMORA_TRUNK_SECRET", secret, 1);
  return (verifier.find("revocation") == std::string::npos ? "" : shared_store) +
         std::string("jwt: {main: {algorithms: [HS256], keys: {secret: {env: REMORA_TRUNK_SECRET}}") +
         verifier + "}}\nroutes: [{path: /, pool: app, auth: {verifier: main" + rule + "}}]\n" + app;
}

TEST(Authentication, AValidTokenIsNeededAndItsClaimsAreForwarded) {
  Trunk trunk(guarded(", forward_claims: {sub: X-User-Id}, required_claims: {scope: read}"));
  EXPECT_EQ(trunk.get("/").head.status, 401);
  EXPECT_EQ(field(trunk.delivered().head.fields, "WWW-Authenticate"), "Bearer realm=\"remora\"");
  EXPECT_EQ(trunk.end(), End::keep);
  EXPECT_EQ(trunk.get("/", bearer("nonsense")).head.status, 401);
  EXPECT_EQ(trunk.get("/", bearer(token("", "another key, of thirty-two bytes"))).head.status, 401);
  EXPECT_EQ(trunk.get("/", bearer(token(""))).head.status, 403) << "the claim is missing";
  EXPECT_TRUE(trunk.connector.connected.empty());
  Fields fields = bearer(token(R"(,"sub":"kim","scope":"read")"));
  fields.emplace_back("X-User-Id", "root");
  EXPECT_EQ(trunk.get("/", fields).head.status, 200);
  const Fields& sent = trunk.connector.requests.back().head.fields;
  EXPECT_EQ(field(sent, "X-User-Id"), "kim");
  trunk.clock.advance(std::chrono::hours(24 * 365 * 40));
  EXPECT_EQ(trunk.get("/", fields).head.status, 401) << "expired";
}

TEST(Authentication, RequiredOffLetsRequestsWithoutATokenPass) {
  Trunk trunk(guarded("", ", required: false"));
  EXPECT_EQ(trunk.get("/").head.status, 200);
  EXPECT_EQ(trunk.get("/", bearer("nonsense")).head.status, 401);
}

TEST(Authentication, TwoTokensAreABadRequest) {
  Trunk trunk(guarded());
  EXPECT_EQ(trunk.get("/", {{"Authorization", "Bearer x"}, {"Authorization", "Bearer y"}}).head.status, 400);
}

TEST(Authentication, PreflightsPassWhereTheyMay) {
  const Fields preflight = {{"Origin", "https://x.test"}, {"Access-Control-Request-Method", "PUT"}};
  for (const bool passes : {true, false}) {
    Trunk trunk(guarded("", passes ? ", preflight: pass" : ", preflight: verify"));
    EXPECT_EQ(trunk.request("OPTIONS", "/", preflight).head.status, passes ? 200 : 401);
  }
}

TEST(Revocation, TheStoreIsAskedAndItsReplyKeptForAWhile) {
  Trunk trunk(guarded(", revocation: {claims: [jti]}"));
  const Fields fields = bearer(token(R"(,"jti":"t1")"));
  EXPECT_EQ(trunk.get("/", fields).head.status, 200);
  const unsigned calls = trunk.store->calls;
  EXPECT_GE(calls, 1U);
  EXPECT_EQ(trunk.get("/", fields).head.status, 200);
  EXPECT_EQ(trunk.store->calls, calls);
  trunk.memory->values->swap("remora:revoked:t1", 0, "1", 1h, trunk.clock.steady_now());
  trunk.clock.advance(1min);
  EXPECT_EQ(trunk.get("/", fields).head.status, 401);
  EXPECT_EQ(trunk.get("/", fields).head.status, 401) << "from the cache";
  EXPECT_EQ(trunk.get("/", bearer(token(R"(,"jti":"t2")"))).head.status, 200);
}

TEST(Revocation, ATokenWithoutTheClaimCannotBeRevokedAndIsRefused) {
  Trunk trunk(guarded(", revocation: {claims: [jti]}"));
  EXPECT_EQ(trunk.get("/", bearer(token(""))).head.status, 403);
}

TEST(Revocation, AStoreThatIsAwayOrSilentAllowsOrDenies) {
  for (const bool silent : {false, true})
    for (const bool denies : {false, true}) {
      Trunk trunk(
          guarded(std::string(", revocation: {claims: [jti], on_error: ") + (denies ? "deny}" : "allow}")));
      trunk.store->away = !silent;
      trunk.store->silent = silent;
      const Delivered& got = trunk.get("/", bearer(token(R"(,"jti":"t1")")));
      EXPECT_EQ(got.head.status, denies ? 503 : 200) << silent;
    }
}

TEST(Revocation, OfAVerifierThatTheRouteDoesNotNeedOnlyDropsItsClaims) {
  ::setenv("REMORA_TRUNK_SECRET", secret, 1);
  Trunk trunk(shared_store + std::string("jwt: {main: {algorithms: [HS256], keys: {secret: {env: "
                                         "REMORA_TRUNK_SECRET}}, revocation: {claims: [jti]}}}\n"
                                         "pools: {app: {affinity: {kind: jwt_claim, verifier: main, claim: "
                                         "sub}, backends: [{id: a, address: "
                                         "127.0.0.1:1}]}}\n"));
  trunk.memory->values->swap("remora:revoked:t1", 0, "1", 1h, trunk.clock.steady_now());
  EXPECT_EQ(trunk.get("/", bearer(token(R"(,"jti":"t1","sub":"kim")"))).head.status, 200);
}

}  // namespace
}  // namespace remora::test
