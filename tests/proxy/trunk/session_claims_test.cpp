// Sessions by a claim of a verified token, and tokens that have been revoked.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>
#include <set>

#include "proxy/trunk/sessions.h"
#include "session/revocation.h"
#include "util/text.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

std::string base64url(std::string_view s) {
  std::string out;
  base64url_append(out, reinterpret_cast<const std::uint8_t*>(s.data()), s.size());
  return out;
}

Fields bearer(const std::string& subject, const std::string& more = "") {
  const std::string key(32, 'j');
  const std::string part = base64url(R"({"alg":"HS256"})") + "." +
                           base64url(R"({"exp":4000000000,"sub":")" + subject + "\"" + more + "}");
  unsigned char mac[32];
  unsigned int n = 0;
  ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(part.data()), part.size(), mac, &n);
  return {{"Authorization", "Bearer " + part + "." + base64url({reinterpret_cast<char*>(mac), n})}};
}

std::string verifier(const std::string& more) {
  ::setenv("REMORA_TEST_JWT_SECRET", std::string(32, 'j').c_str(), 1);
  return "jwt: {main: {algorithms: [HS256], keys: {secret: {env: REMORA_TEST_JWT_SECRET}}" + more + "}}\n";
}

TEST(Claims, AreHashedOrKeptInTheStore) {
  const std::string jwt = verifier("");
  for (const std::string carry : {"nothing", "store"}) {
    Trunk trunk(app("affinity: {kind: jwt_claim, verifier: main, carry: " + carry + "}", "abcd", jwt));
    std::set<std::string> used;
    for (int i = 0; i < 12; ++i) {
      const Fields user = bearer("user" + std::to_string(i));
      const Told first = Browser().ask(trunk, "/", user);
      EXPECT_EQ(first.status, 200);
      EXPECT_EQ(first.id.empty(), carry == "nothing");
      const Told again = Browser().ask(trunk, "/", user);
      EXPECT_EQ(again.backend, first.backend);
      EXPECT_EQ(again.id, first.id);
      used.insert(first.backend);
    }
    EXPECT_GT(used.size(), 1U);
    EXPECT_EQ(trunk.memory->learned.size(), carry == "store" ? 12U : 0U);
  }
}

TEST(Claims, OfARevokedTokenAreRefusedWhileTheMarkIsInTheStore) {
  ::setenv("REMORA_TEST_INDEX_KEY", std::string(32, 'i').c_str(), 1);
  const std::string store =
      "store: {kind: redis, index_key: {env: REMORA_TEST_INDEX_KEY}, redis: {nodes: "
      "[redis://127.0.0.1:1]}}\n";
  for (const std::string jti : {"t1", "two words"}) {
    for (const std::string on_error : {"allow", "deny"}) {
      Trunk trunk(store + verifier(", revocation: {claims: [jti], on_error: " + on_error + "}") +
                  app("affinity: cookie") + "routes: [{path: /, pool: app, auth: main}]\n");
      const Fields token = bearer("ann", R"(,"jti":")" + jti + "\"");
      EXPECT_EQ(Browser().ask(trunk, "/", token).status, 200);
      EXPECT_EQ(Browser().ask(trunk, "/", bearer("ann")).status, 403);  // it could never be revoked
      const auto now = trunk.clock.steady_now();
      trunk.memory->values->swap(revocation_key("remora", jti), 0, "1", 1h, now);
      trunk.rest(5s);
      EXPECT_EQ(Browser().ask(trunk, "/", token).status, 401);
      EXPECT_EQ(Browser().ask(trunk, "/", bearer("bob", R"(,"jti":"t2")")).status, 200);
      trunk.rest(5s);
      trunk.store->away = true;
      EXPECT_EQ(Browser().ask(trunk, "/", bearer("bob", R"(,"jti":"t3")")).status,
                on_error == "allow" ? 200 : 503);
      EXPECT_TRUE(trunk.holds_nothing());
    }
  }
}

}  // namespace
}  // namespace remora::test
