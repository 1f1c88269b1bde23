// What is hidden wherever a configuration is shown.

#include "util/secrets.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(Secrets, AUrlLosesAllThatMayBelongToItsPassword) {
  EXPECT_EQ(without_credentials("redis://joe:hunter2@db/0"), "redis://***@db/0");
  EXPECT_EQ(without_credentials("redis://:se/cr@et@db:6379"), "redis://***@db:6379");
  EXPECT_EQ(without_credentials("redis://u:a ,']}%\"b@db"), "redis://***@db");
  EXPECT_EQ(without_credentials("redis://:a@h1,redis://:b@h2"), "redis://***@h2");
  EXPECT_EQ(without_credentials("https://id.example.com/keys"), "https://id.example.com/keys");
  EXPECT_EQ(without_credentials("someone@example.com"), "someone@example.com");
  EXPECT_EQ(without_user("joe:hunter2@10.0.0.1:80"), "***@10.0.0.1:80");
}

TEST(Secrets, AUrlLosesTheValuesOfSecretParameters) {
  EXPECT_EQ(without_credentials("/health?token=abc&deep=1"), "/health?token=***&deep=1");
  EXPECT_EQ(without_credentials("/health?deep=1&API_KEY=abc#x"), "/health?deep=1&API_KEY=***#x");
  EXPECT_EQ(without_credentials("/health?deep&sig="), "/health?deep&sig=***");
  EXPECT_EQ(without_credentials("/health?"), "/health?");
  EXPECT_EQ(without_query("https://id.example.com/keys?x=abc"), "https://id.example.com/keys?***");
}

TEST(Secrets, AreKnownByTheirNames) {
  for (const char* key : {"password", "Token", "secret", "key", "keys", "index_key", "admin_token"})
    EXPECT_TRUE(is_secret_key(key)) << key;
  for (const char* key : {"public_key", "jwks_file", "monkey", "path", "cookie", ""})
    EXPECT_FALSE(is_secret_key(key)) << key;
  for (const char* name : {"Authorization", "proxy-authorization", "Cookie", "Set-Cookie", "X-Api-Key",
                           "X-Auth-Token", "apikey", "X-Amz-Signature"})
    EXPECT_TRUE(is_secret_field(name)) << name;
  for (const char* name : {"Host", "X-Frame-Options", "Cache-Control", "X-Monkey"})
    EXPECT_FALSE(is_secret_field(name)) << name;
}

}  // namespace
}  // namespace remora
