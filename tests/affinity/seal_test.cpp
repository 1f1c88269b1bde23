#include "affinity/seal.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "util/text.h"

namespace remora {
namespace {

const std::string key_a(32, 'a'), key_b(32, 'b');

std::shared_ptr<const KeyRing> ring(std::vector<std::string> keys) {
  return std::make_shared<KeyRing>(keys);
}

Binding binding() {
  Binding b;
  b.id = new_session_id();
  b.backend = 0x0123456789abcdefULL;
  b.generation = 77;
  b.epoch = 3;
  b.created = Clock::Wall(std::chrono::milliseconds(1'700'000'000'123));
  b.last_seen = b.created + std::chrono::minutes(5);
  return b;
}

std::string hex(const std::uint8_t* p, std::size_t n) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    out += digits[p[i] >> 4];
    out += digits[p[i] & 15];
  }
  return out;
}

// The two examples of the C2SP XAES-256-GCM specification.
TEST(Xaes, PublishedVectors) {
  struct Vector {
    char key;
    const char* associated;
    const char* sealed;
  };
  for (const Vector& v :
       {Vector{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
        Vector{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"}}) {
    const KeyRing keys(std::vector<std::string>{std::string(32, v.key)});
    std::uint8_t nonce[24], out[28];
    std::memcpy(nonce, "ABCDEFGHIJKLMNOPQRSTUVWX", 24);
    const std::string plain = "XAES-256-GCM";
    xaes_256_gcm_seal(keys.keys().front(), nonce, v.associated,
                      {reinterpret_cast<const std::uint8_t*>(plain.data()), plain.size()}, out);
    EXPECT_EQ(hex(out, sizeof out), v.sealed);
  }
}

TEST(TokenSealer, OpensWhatItSealed) {
  CryptoScratch scratch;
  const TokenSealer sealer(ring({key_a}), "app", "cookie", "remora-app");
  const Binding b = binding();
  std::string token;
  sealer.seal(b, scratch, token);
  EXPECT_EQ(token.size(), 128U);  // the contract: at most 200
  for (int cached = 0; cached < 2; ++cached) {
    const auto opened = sealer.open(token, scratch);
    ASSERT_EQ(opened.cause, Cause::none);
    EXPECT_EQ(opened.binding.id, b.id);
    EXPECT_EQ(opened.binding.backend, b.backend);
    EXPECT_EQ(opened.binding.generation, b.generation);
    EXPECT_EQ(opened.binding.epoch, b.epoch);
    EXPECT_EQ(opened.binding.created, b.created);
    EXPECT_EQ(opened.binding.last_seen, b.last_seen);
    EXPECT_FALSE(opened.old_key);
  }
}

TEST(TokenSealer, NoTwoTokensAreAlike) {
  CryptoScratch scratch;
  const TokenSealer sealer(ring({key_a}), "app", "cookie", "n");
  const Binding b = binding();
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    std::string token;
    sealer.seal(b, scratch, token);
    EXPECT_TRUE(seen.insert(token).second);
  }
}

TEST(TokenSealer, EveryFlippedCharacterIsNoticed) {
  CryptoScratch scratch;
  const TokenSealer sealer(ring({key_a}), "app", "cookie", "n");
  std::string token;
  sealer.seal(binding(), scratch, token);
  EXPECT_EQ(sealer.open(token, scratch).cause, Cause::none);  // and in the cache: a near miss must not hit it
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string other = token;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_NE(sealer.open(other, scratch).cause, Cause::none) << i;
  }
  for (const std::string& bad : std::vector<std::string>{"", "A", token.substr(1), token + "A", "!!!!"})
    EXPECT_EQ(sealer.open(bad, scratch).cause, Cause::malformed);
}

TEST(TokenSealer, IsBoundToPoolKindAndName) {
  CryptoScratch scratch;
  const auto keys = ring({key_a});
  const TokenSealer sealer(keys, "app", "cookie", "n");
  std::string token;
  sealer.seal(binding(), scratch, token);
  EXPECT_EQ(sealer.open(token, scratch).cause, Cause::none);
  EXPECT_EQ(TokenSealer(keys, "other", "cookie", "n").open(token, scratch).cause, Cause::forged);
  EXPECT_EQ(TokenSealer(keys, "app", "url_rewrite", "n").open(token, scratch).cause, Cause::forged);
  EXPECT_EQ(TokenSealer(keys, "app", "cookie", "m").open(token, scratch).cause, Cause::forged);
  EXPECT_EQ(TokenSealer(keys, "appc", "ookie", "n").open(token, scratch).cause, Cause::forged);
}

TEST(TokenSealer, KeysRotateWithOverlap) {
  CryptoScratch scratch;
  std::string token;
  TokenSealer(ring({key_a}), "p", "k", "n").seal(binding(), scratch, token);
  const auto during = TokenSealer(ring({key_b, key_a}), "p", "k", "n").open(token, scratch);
  EXPECT_EQ(during.cause, Cause::none);
  EXPECT_TRUE(during.old_key);
  EXPECT_FALSE(TokenSealer(ring({key_a, key_b}), "p", "k", "n").open(token, scratch).old_key);
  EXPECT_EQ(TokenSealer(ring({key_b}), "p", "k", "n").open(token, scratch).cause, Cause::unknown_key);
}

TEST(Base64, IsStrict) {
  EXPECT_EQ(base64_decode("aGk="), "hi");
  EXPECT_EQ(base64_encode("hi"), "aGk=");
  for (const char* bad : {"aGk", "aGl=", "a===", "aG k", "====", "aGk=="})
    EXPECT_FALSE(base64_decode(bad)) << bad;
}

}  // namespace
}  // namespace remora
