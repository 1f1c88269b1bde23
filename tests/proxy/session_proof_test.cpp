// The proof in Remora-Session: who owns a session at which epoch.

#include "proxy/session_proof.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

std::string hex(const std::array<std::uint8_t, 32>& bytes) {
  std::string out;
  for (const std::uint8_t b : bytes) {
    out += "0123456789abcdef"[b >> 4];
    out += "0123456789abcdef"[b & 15];
  }
  return out;
}

TEST(KeyedHash, IsHmacSha256OfRfc4231) {
  EXPECT_EQ(hex(KeyedHash(std::string(20, '\x0b'))("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(KeyedHash("Jefe")("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

class Proof : public ::testing::Test {
 protected:
  static KeyRing ring(std::initializer_list<char> keys) {
    std::vector<std::string> texts;
    for (const char c : keys) texts.emplace_back(32, c);
    return KeyRing(texts);
  }
  std::string field(const SessionProof& by) const {
    std::string out = "\"id\";epoch=3;reason=sticky";
    by.append(binding, Clock::Wall(), out);
    return out;
  }
  Proof() {
    binding.id = new_session_id();
    binding.epoch = 3;
    binding.backend = 0xfedcba9876543210ULL;
  }
  Binding binding;
  const SessionProof one{ring({'1'}), "app"};
};

TEST_F(Proof, SaysWhoOwnsTheSession) {
  const auto owner = one.check(field(one), binding.id, 3);
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->epoch, 3U);
  EXPECT_EQ(owner->backend, binding.backend);
}

TEST_F(Proof, HoldsForNoOtherSessionEpochPoolOrKey) {
  const std::string said = field(one);
  EXPECT_FALSE(one.check(said, new_session_id(), 3));
  EXPECT_FALSE(one.check(said, binding.id, 4));
  EXPECT_FALSE(one.check(said, binding.id, ~std::uint32_t{0}));
  EXPECT_FALSE(SessionProof(ring({'1'}), "other").check(said, binding.id, 3));
  EXPECT_FALSE(SessionProof(ring({'2'}), "app").check(said, binding.id, 3));
}

TEST_F(Proof, OfAnOlderKeyHoldsWhileTheKeyIsInTheRing) {
  const SessionProof rotated(ring({'2', '1'}), "app");
  EXPECT_TRUE(rotated.check(field(one), binding.id, 3));
  EXPECT_FALSE(one.check(field(rotated), binding.id, 3));
}

TEST_F(Proof, NeedsEachOfItsBytes) {
  const std::string said = field(one);
  const std::size_t begin = said.find(";mac=\"") + 6;
  for (std::size_t i = begin; i + 1 < said.size(); ++i) {
    std::string broken = said;
    broken[i] = broken[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(one.check(broken, binding.id, 3)) << i;
    EXPECT_FALSE(one.check(said.substr(0, i), binding.id, 3)) << i;
  }
  EXPECT_FALSE(one.check("", binding.id, 3));
  EXPECT_FALSE(one.check(said.substr(0, begin - 6), binding.id, 3));
}

TEST_F(Proof, SaysWhenTheRequestCame) {
  const Clock::Wall sent(std::chrono::milliseconds(1764326400123));
  std::string field = "\"00\";epoch=3;reason=new";
  one.append(binding, sent, field);
  EXPECT_NE(field.find(";at=1764326400123;mac="), std::string::npos) << field;
  EXPECT_EQ(SessionProof::sent_at(field), sent);
  EXPECT_TRUE(one.check(field, binding.id, 3));
  for (const char* none : {"", ";at=", ";at=x", ";at=-1", ";at=99999999999999999999", ";at=7000000000001"})
    EXPECT_EQ(SessionProof::sent_at(none), Clock::Wall()) << none;
}

}  // namespace
}  // namespace remora
