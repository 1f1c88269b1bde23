// Store keys of revoked values, and the cache of the store's replies.

#include "session/revocation.h"

#include <gtest/gtest.h>

#include <set>

#include "session/revocation_cache.h"
#include "support/manual_clock.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

TEST(RevocationKey, OfVisibleAsciiIsTheValueItself) {
  EXPECT_EQ(revocation_key("remora", "jti-1"), "remora:revoked:jti-1");
  EXPECT_EQ(revocation_key("r", "~!\"#"), "r:revoked:~!\"#");
  EXPECT_EQ(revocation_key("r", std::string(200, 'x')), "r:revoked:" + std::string(200, 'x'));
}

TEST(RevocationKey, OfAnythingElseIsItsHash) {
  EXPECT_EQ(revocation_key("r", "abc d").find("r:revoked:sha256:"), 0U);
  EXPECT_EQ(hashed_revocation_of("abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  for (const std::string& value :
       {std::string(), std::string("a b"), std::string("a\n"), std::string("\x7f"), std::string("\x80"),
        std::string("\xff"), std::string(201, 'x'), std::string("a\0b", 3), std::string("sha256:"),
        "sha256:" + std::string(64, '0')})
    EXPECT_EQ(revocation_key("r", value), "r:revoked:" + hashed_revocation_of(value)) << value;
}

TEST(RevocationKey, IsNeverTooLongForMemcached) {
  for (const std::size_t prefix : {1U, 40U, 41U, 42U, 100U, 169U})
    for (const std::size_t size : {1U, 199U, 200U, 201U})
      EXPECT_LE(revocation_key(std::string(prefix, 'p'), std::string(size, 'x')).size(), 250U)
          << prefix << " " << size;
}

TEST(RevocationKey, NoTwoValuesShareOne) {
  std::set<std::string> keys;
  const std::string values[] = {
      "", "a", "a ", " a", "sha256:", hashed_revocation_of("a "), hashed_revocation_of("")};
  for (const std::string& value : values)
    EXPECT_TRUE(keys.insert(revocation_key("r", value)).second) << value;
}

class RevocationMemory : public ::testing::Test {
 protected:
  std::optional<bool> find(const std::string& value) const { return cache.find(value, clock.steady_now()); }
  void put(const std::string& value, bool revoked) { cache.put(value, revoked, clock.steady_now()); }
  test::ManualClock clock;
  RevocationCache cache;
};

TEST_F(RevocationMemory, HoldsBothRepliesForItsTime) {
  cache.trust_for(5s);
  put("good", false);
  put("bad", true);
  clock.advance(4999ms);
  EXPECT_EQ(find("good"), false);
  EXPECT_EQ(find("bad"), true);
  EXPECT_EQ(find("other"), std::nullopt);
  clock.advance(1ms);
  EXPECT_EQ(find("good"), std::nullopt);
  EXPECT_EQ(find("bad"), std::nullopt);
}

TEST_F(RevocationMemory, ALaterReplyReplacesAnEarlierOne) {
  put("a", false);
  clock.advance(1s);
  put("a", true);
  clock.advance(1500ms);
  EXPECT_EQ(find("a"), true);
}

TEST_F(RevocationMemory, KnowsLongValuesFromTheirHashesAndFromEachOther) {
  const std::string one = std::string(5000, 'x') + "1", two = std::string(5000, 'x') + "2";
  put(one, true);
  EXPECT_EQ(find(one), true);
  EXPECT_EQ(find(two), std::nullopt);
  EXPECT_EQ(find(hashed_revocation_of(one)), std::nullopt);  // another value, though it looks like the hash
}

TEST_F(RevocationMemory, IsBounded) {
  for (int i = 0; i < 10000; ++i) put(std::to_string(i), true);
  EXPECT_EQ(find("0"), true);
  put("one more", true);
  EXPECT_EQ(find("0"), std::nullopt);
  EXPECT_EQ(find("one more"), true);
}

}  // namespace
}  // namespace remora
