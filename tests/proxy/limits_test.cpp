// Limits per client, with a clock by hand.

#include "proxy/limits.h"

#include <gtest/gtest.h>

#include "net/address.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

ClientAddress numbered(std::uint32_t i) {
  ClientAddress a;  // an IPv6 network of its own
  a.bytes[0] = 0x20;
  for (std::size_t k = 0; k < 4; ++k) a.bytes[4 + k] = static_cast<std::uint8_t>(i >> (8 * k));
  return a;
}

constexpr std::uint32_t more_than_room = 2 * ClientLimits::shard_count * ClientLimits::max_per_shard;

TEST(ClientLimits, ATokenBucketRefillsWithTime) {
  ClientLimits limits({std::nullopt, 2.0, 4});
  ClientAddress a;
  a = *parse_ip("10.0.0.1");
  ClientAddress b = a;
  b = *parse_ip("10.0.0.2");
  Clock::Steady now{};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(limits.request(a, now), 0U);
  EXPECT_EQ(limits.request(a, now), 1U);
  EXPECT_EQ(limits.request(b, now), 0U);
  EXPECT_EQ(limits.request(a, now + 500ms), 0U);
  EXPECT_EQ(limits.request(a, now + 500ms), 1U);
  EXPECT_EQ(limits.request(a, now + 1h), 0U);
}

TEST(ClientLimits, TheTableIsBounded) {
  ClientLimits limits({std::nullopt, 1.0, std::nullopt});
  Clock::Steady now{};
  for (std::uint32_t i = 0; i < 400'000; ++i) {
    ClientAddress a;
    for (std::size_t k = 0; k < 4; ++k) a.bytes[12 + k] = static_cast<std::uint8_t>(i >> (8 * k));
    limits.request(a, now);
  }
  EXPECT_LE(limits.size(), ClientLimits::shard_count * ClientLimits::max_per_shard);
  EXPECT_GT(limits.size(), 0U);
}

TEST(ClientLimits, AnIpv6NetworkIsOneClientAndMappedAddressesAreIpv4) {
  ClientLimits limits({2, 1.0, 1});
  const Clock::Steady now{};
  EXPECT_EQ(limits.request(*parse_ip("2001:db8:1:2::1"), now), 0U);
  EXPECT_EQ(limits.request(*parse_ip("2001:db8:1:2:ffff::99"), now), 1U);
  EXPECT_EQ(limits.request(*parse_ip("2001:db8:1:3::1"), now), 0U);
  EXPECT_EQ(limits.request(*parse_ip("10.0.0.1"), now), 0U);
  EXPECT_EQ(limits.request(*parse_ip("::ffff:10.0.0.1"), now), 1U);
  EXPECT_EQ(limits.request(*parse_ip("10.0.0.2"), now), 0U);
  EXPECT_TRUE(limits.connected(*parse_ip("2001:db8::1"), now));
  EXPECT_TRUE(limits.connected(*parse_ip("2001:db8::2"), now));
  EXPECT_FALSE(limits.connected(*parse_ip("2001:db8::3"), now));
  limits.disconnected(*parse_ip("2001:db8::1"));
  EXPECT_TRUE(limits.connected(*parse_ip("2001:db8::3"), now));
}

TEST(ClientLimits, AFullTableLiftsNoLimitThatIsInForce) {
  ClientLimits limits({std::nullopt, 1.0, 2});
  Clock::Steady now{1h};
  const ClientAddress victim = *parse_ip("10.0.0.1");
  EXPECT_EQ(limits.request(victim, now), 0U);
  EXPECT_EQ(limits.request(victim, now), 0U);
  EXPECT_NE(limits.request(victim, now), 0U);
  for (std::uint32_t i = 0; i < more_than_room; ++i) limits.request(numbered(i), now);
  EXPECT_NE(limits.request(victim, now), 0U);
  EXPECT_LE(limits.size(), ClientLimits::shard_count * ClientLimits::max_per_shard);
}

TEST(ClientLimits, WhoFindsNoRoomSharesAnEntry) {
  ClientLimits limits({std::nullopt, 1.0, 2});
  Clock::Steady now{1h};
  for (std::uint32_t i = 0; i < more_than_room; ++i) limits.request(numbered(i), now);
  int served = 0;
  for (std::uint32_t i = 0; i < 1000; ++i)
    served += limits.request(numbered(more_than_room + i), now) == 0 ? 1 : 0;
  EXPECT_LE(served, 2 * static_cast<int>(ClientLimits::shard_count));
  // Those that have become idle make room: each newcomer has its own again.
  now += 1min;
  served = 0;
  for (std::uint32_t i = 0; i < 1000; ++i)
    served += limits.request(numbered(more_than_room + i), now) == 0 ? 1 : 0;
  EXPECT_EQ(served, 1000);
}

TEST(ClientLimits, ConnectionsWithoutRoomAreCountedAndForgotten) {
  ClientLimits limits({1, std::nullopt, std::nullopt});
  Clock::Steady now{1h};
  std::vector<std::uint32_t> open;
  for (std::uint32_t i = 0; i < more_than_room; ++i)
    if (limits.connected(numbered(i), now)) open.push_back(i);
  EXPECT_LE(limits.size(), ClientLimits::shard_count * ClientLimits::max_per_shard);
  EXPECT_LE(open.size(), ClientLimits::shard_count * (ClientLimits::max_per_shard + 1));
  EXPECT_FALSE(limits.connected(numbered(open.front()), now));
  for (const std::uint32_t i : open) limits.disconnected(numbered(i));
  EXPECT_EQ(limits.size(), 0U);
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_TRUE(limits.connected(numbered(more_than_room + i), now));
}

TEST(ClientLimits, NewSessionsHaveABucketOfTheirOwn) {
  ClientLimits limits({std::nullopt, 100.0, 3, 1.0});
  Clock::Steady now{1h};
  const ClientAddress a = *parse_ip("10.0.0.1");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limits.new_session(a, now), 0U);
  EXPECT_EQ(limits.new_session(a, now), 1U);
  EXPECT_EQ(limits.request(a, now), 0U);
  EXPECT_EQ(limits.new_session(a, now + 1s), 0U);
  ClientLimits none({std::nullopt, 100.0, 3});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(none.new_session(a, now), 0U);
}

TEST(ClientLimits, AReloadKeepsWhatWasSpent) {
  ClientLimits limits({std::nullopt, 1.0, 5});
  Clock::Steady now{1h};
  const ClientAddress a = *parse_ip("10.0.0.1");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limits.request(a, now), 0U);
  limits.set({std::nullopt, 1.0, 2});
  EXPECT_EQ(limits.request(a, now), 4U);
  limits.set({std::nullopt, 1.0, 7});
  EXPECT_EQ(limits.request(a, now), 0U);
}

}  // namespace
}  // namespace remora
