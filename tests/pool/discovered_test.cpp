// What DNS answered over time, by a manual clock.

#include "pool/discovered.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

using std::chrono::seconds;

DnsRecord at(const std::string& ip, std::uint16_t port = 0, std::uint16_t priority = 0,
             std::uint32_t weight = 1) {
  DnsRecord r;
  r.ip = ip;
  r.port = port;
  r.priority = priority;
  r.weight = weight;
  return r;
}

class Discovered : public ::testing::Test {
 protected:
  std::string text() const {
    std::string out;
    for (const auto& f : set.found())
      out += (out.empty() ? "" : " ") + f.record.ip + (f.vanished ? "(gone)" : "") +
             (f.backup ? "(backup)" : "");
    return out;
  }
  DiscoveredSet set;
  Clock::Steady now{};
};

TEST_F(Discovered, OnlyADifferentAnswerIsAChange) {
  EXPECT_FALSE(set.update({}, now));
  EXPECT_TRUE(set.update({at("10.0.0.2"), at("10.0.0.1")}, now));
  EXPECT_FALSE(set.update({at("10.0.0.1"), at("10.0.0.2")}, now)) << "the order means nothing";
  EXPECT_FALSE(set.update({at("10.0.0.1"), at("10.0.0.1"), at("10.0.0.2")}, now)) << "nor does a repetition";
  EXPECT_EQ(text(), "10.0.0.1 10.0.0.2");
  EXPECT_TRUE(set.update({at("10.0.0.1", 0, 0, 5), at("10.0.0.2")}, now)) << "a weight does";
}

TEST_F(Discovered, WhatVanishesIsHeldAndTakenBack) {
  set.update({at("10.0.0.1"), at("10.0.0.2")}, now);
  EXPECT_TRUE(set.update({at("10.0.0.2")}, now + seconds(1)));
  EXPECT_EQ(text(), "10.0.0.1(gone) 10.0.0.2");
  EXPECT_FALSE(set.update({at("10.0.0.2")}, now + seconds(2))) << "it has not vanished anew";
  EXPECT_EQ(set.next_expiry(seconds(10)), now + seconds(11));
  EXPECT_FALSE(set.expire(seconds(10), now + seconds(10)));
  EXPECT_TRUE(set.update({at("10.0.0.1"), at("10.0.0.2")}, now + seconds(3)));
  EXPECT_EQ(text(), "10.0.0.1 10.0.0.2");
  EXPECT_FALSE(set.next_expiry(seconds(10)));
}

TEST_F(Discovered, AfterItsHoldItIsForgotten) {
  set.update({at("10.0.0.1"), at("10.0.0.2")}, now);
  set.update({}, now);
  EXPECT_EQ(text(), "10.0.0.1(gone) 10.0.0.2(gone)");
  EXPECT_TRUE(set.expire(seconds(10), now + seconds(10)));
  EXPECT_EQ(text(), "");
}

TEST_F(Discovered, OnlyTheVanishedCanBeDroppedAsDead) {
  set.update({at("10.0.0.1"), at("10.0.0.2")}, now);
  set.update({at("10.0.0.2")}, now);
  EXPECT_TRUE(set.drop_dead([](const std::string&, std::uint16_t) { return true; }));
  EXPECT_EQ(text(), "10.0.0.2");
  EXPECT_FALSE(set.drop_dead([](const std::string&, std::uint16_t) { return true; }));
}

TEST_F(Discovered, PrioritiesAboveTheLowestAreBackups) {
  set.update({at("10.0.0.1", 80, 20), at("10.0.0.2", 80, 10), at("10.0.0.3", 80, 10)}, now);
  EXPECT_EQ(text(), "10.0.0.1(backup) 10.0.0.2 10.0.0.3");
  EXPECT_TRUE(set.update({at("10.0.0.1", 80, 20)}, now));
  EXPECT_EQ(text(), "10.0.0.1 10.0.0.2(gone) 10.0.0.3(gone)");
}

TEST_F(Discovered, OneAddressWithTwoPortsIsTwo) {
  set.update({at("10.0.0.1", 80), at("10.0.0.1", 81)}, now);
  EXPECT_EQ(set.found().size(), 2U);
}

}  // namespace
}  // namespace remora
