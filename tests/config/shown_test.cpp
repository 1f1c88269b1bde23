// The file as it may be shown, and error lines: neither gives a secret away.

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <vector>

#include "affinity/registry.h"
#include "config/loader.h"
#include "util/text.h"

namespace remora::config {
namespace {

Loaded load(const std::string& text) {
  return load_text(text, "f", affinity_kinds());
}

std::string shown(const std::string& text) {
  const Loaded loaded = load(text);
  if (const auto* e = std::get_if<LoadError>(&loaded)) return "refused: " + e->lines.front();
  return std::get<Config>(loaded).shown;
}

std::string in_quotes(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out.append(c == '\'' ? 2 : 1, c);
  return out + "'";
}

std::string with_redis(const std::string& node) {
  return "store: {kind: redis, index_key: {env: REMORA_TEST_KEY}, redis: {nodes: [" + node +
         "]}}\nlisteners: [127.0.0.1:80]\n";
}

const std::string pools = "pools: {a: {backends: [127.0.0.1:1]}}\n";

struct Shown : testing::Test {
  Shown() {
    ::setenv("REMORA_TEST_KEY", "0123456789abcdef-of-the-environment", 1);
    ::setenv("REMORA_TEST_KEY32", base64_encode(std::string(32, 'k')).c_str(), 1);
  }
};

TEST_F(Shown, NoPasswordWhateverItIsMadeOf) {
  std::mt19937 random(7);
  const std::string alphabet = "abZ019/,'\" ]}[{@%:?#&;=$!*|>\\-_.~";
  const auto any = [&](const std::string& from) { return from[random() % from.size()]; };
  for (int i = 0; i < 2000; ++i) {
    std::string password = "Zq";
    for (unsigned n = 4 + random() % 12; n > 0; --n) {
      const char c = any(alphabet);
      if (c == '%') {
        password += "%4" + std::string(1, any("0123456789ABCDEF"));
      } else {
        password.append(c == '$' ? 2 : 1, c);  // $$: a dollar sign
      }
    }
    const std::string node =
        in_quotes("redis://" + std::string(i % 2 == 0 ? "joe" : "") + ":" + password + "@db");
    const std::string text =
        shown(with_redis(node) + "pools: {a: {backends: [127.0.0.1:1], headers: {set: {X-Api-Key: " +
              in_quotes(password) + "}}}}\n");
    ASSERT_FALSE(text.starts_with("refused")) << text << password;
    ASSERT_NE(text.find("redis://***@db"), std::string::npos) << text;
    ASSERT_EQ(text.find("Zq"), std::string::npos) << text;
  }
}

TEST_F(Shown, SecretsByTheirPlaceAndAllElseAsItWas) {
  const std::string text = shown(
      "# a comment with hunter2\n"
      "listeners:\n  - {bind: '127.0.0.1:80', name: web}\n"
      "routes:\n"
      "  - {path: /a, headers: {X-Api-Key: hunter2, X-Kind: plain}, pool: a}\n"
      "  - {path: /b, pool: a, response_headers: {set: {Set-Cookie: id=hunter2, X-Frame-Options: DENY}, "
      "remove: [Cookie]}}\n"
      "  - {path: /, redirect: {to: 'https://joe:hunter2@example.com/?token=hunter2'}}\n"
      "jwt:\n  main: {algorithms: [RS256], keys: {jwks_url: 'https://id.example.com/keys?x=hunter2'}}\n"
      "keys: [{env: REMORA_TEST_KEY32}]\n"
      "pools:\n  a:\n    backends: [127.0.0.1:1]\n    headers: {set: {X-One: 'Bearer hunter2', X-Two: "
      "'${REMORA_TEST_KEY}'}}\n");
  ASSERT_FALSE(text.starts_with("refused")) << text;
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  EXPECT_EQ(text.find("of-the-environment"), std::string::npos) << text;
  for (const char* kept :
       {"127.0.0.1:80", "name: web", "X-Kind: plain", "X-Frame-Options: DENY", "remove: [Cookie]",
        "https://***@example.com/?token=***", "https://id.example.com/keys?***", "RS256",
        "{env: REMORA_TEST_KEY32}", "${REMORA_TEST_KEY}"})
    EXPECT_NE(text.find(kept), std::string::npos) << kept << "\n" << text;
}

TEST_F(Shown, IsReadAgainAsTheSameTree) {
  const std::string text = shown(
      "listeners: ['127.0.0.1:80']\nlog: {access: 'off'}\npools:\n  a:\n    affinity: cookie\n"
      "    headers: {set: {X-A: 'it''s: a [b] #c', X-B: \"\\\\\"}}\n"
      "    session: {idle_timeout: 10m}\n    backends: [{address: 127.0.0.1:1, weight: 2}]\n");
  ASSERT_FALSE(text.starts_with("refused")) << text;
  EXPECT_EQ(shown(text), text);
}

TEST_F(Shown, AnAliasWithinItsOwnAnchorEnds) {
  const std::string text = shown("listeners: [127.0.0.1:80]\n" + pools + "zz: &x {k: *x}\n");
  EXPECT_LT(text.size(), 100'000U);
}

TEST_F(Shown, AliasesOfAliasesDoNotGrowWithoutBound) {
  std::string text = "listeners: [127.0.0.1:80]\n" + pools + "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*x" + std::to_string(i - 1);
    text += "x" + std::to_string(i) + ": &x" + std::to_string(i) + " [";
    for (int n = 0; n < 9; ++n) text += last + ", ";
    text += last + "]\n";
  }
  EXPECT_TRUE(shown(text).starts_with("refused"));  // it has unknown keys; what counts is that this returns
}

TEST_F(Shown, ErrorLinesQuoteNoSecret) {
  ::setenv("REMORA_TEST_SECRET", "hunter2", 1);
  for (const std::string& text : std::vector<std::string>{
           "workers: '${REMORA_TEST_SECRET}'\nlisteners: [127.0.0.1:80]\n" + pools,
           "listeners: ['joe:hunter2@127.0.0.1:80']\n" + pools,
           "listeners: ['http://joe:hunter2@127.0.0.1:80']\n" + pools,
           "listeners: [127.0.0.1:80]\npools: {a: {backends: ['${REMORA_TEST_SECRET}']}}\n",
           "admin: {token: hunter2}\nlisteners: [127.0.0.1:80]\n" + pools,
           "keys: [hunter2]\nlisteners: [127.0.0.1:80]\n" + pools,
           with_redis("'redis://:hunter2'") + pools,
           with_redis("'redis://joe:hunter2@db/x'") + pools,
           with_redis("'redis://joe:hunter2@d b'") + pools,
           with_redis("'http://joe:hunter2@db'") + pools,
           with_redis("{'redis://joe:hunter2@db': 1}") + pools,
           "jwt: {main: {algorithms: [RS256], keys: {jwks_url: 'https://joe:hunter2@x/'}}}\nlisteners: "
           "[127.0.0.1:80]\n" +
               pools,
           "log: {level: 'https://x/?y=hunter2'}\nlisteners: [127.0.0.1:80]\n" + pools,
       }) {
    const Loaded loaded = load(text);
    const auto* e = std::get_if<LoadError>(&loaded);
    ASSERT_NE(e, nullptr) << text;
    for (const std::string& line : e->lines) EXPECT_EQ(line.find("hunter2"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace remora::config
