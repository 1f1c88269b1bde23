// `limits.body_rate`: a request body that comes too slowly, and what does not count as slow.

#include <gtest/gtest.h>

#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using When = BackendScript::When;
using End = Exchange::End;

constexpr const char* two = R"(
pools:
  app:
    balance: first
    timeouts: {response: 20s, read: 20s, write: 20s}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)";
const Fields expects = {{"Content-Length", "5"}, {"Expect", "100-continue"}};

/// Sends one byte a second until the request is over, or for `most`. Returns how many.
int dribble(Trunk& trunk, int most, std::string_view each = "x") {
  for (int i = 0; i < most; ++i) {
    if (trunk.done()) return i;
    trunk.client.arrive(each, false);
    trunk.advance(1s);
  }
  return most;
}

TEST(SlowBody, BelowTheRateIsCutAfterTheGrace) {
  Trunk trunk(two);
  trunk.start("POST", "/", {{"Content-Length", "100000"}}, "", false);
  const int sent = dribble(trunk, 100);
  ASSERT_TRUE(trunk.done());
  EXPECT_GE(sent, 30);
  EXPECT_LE(sent, 32);
  EXPECT_EQ(trunk.delivered().head.status, 408);
  EXPECT_EQ(trunk.end(), End::linger);
}

TEST(SlowBody, AtTheRateIsServed) {
  Trunk trunk(two);
  trunk.start("POST", "/", {{"Content-Length", "100000"}}, "", false);
  EXPECT_EQ(dribble(trunk, 60, std::string(241, 'x')), 60);
  trunk.client.arrive("", true);
  trunk.settle();
  EXPECT_TRUE(trunk.done());
}

TEST(SlowBody, AfterTheResponseBeganIsCutToo) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::at_once, .body = "0123", .stalls_after = 2});
  trunk.start("POST", "/", {{"Content-Length", "100000"}}, "x", false);
  EXPECT_EQ(trunk.delivered().body, "01");
  EXPECT_LE(dribble(trunk, 100), 32);
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().aborted);
}

TEST(SlowBody, WhileTheBackendDoesNotReadTheClientIsNotSlow) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::after_request, .window = 2});
  trunk.start("POST", "/", {{"Content-Length", "5"}}, "hello", true);
  trunk.advance(19s);
  EXPECT_FALSE(trunk.done());
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(SlowBody, WhoWaitsForTheBackendsContinueIsNotSlow) {
  Trunk trunk("listeners: [{bind: 127.0.0.1:0, timeouts: {body: 2s}}]\n" + std::string(two));
  trunk.connector.script("a", {.when = When::on_go});
  trunk.start("POST", "/", expects, "", false);
  trunk.advance(15s);
  EXPECT_FALSE(trunk.done());
  trunk.backend.send_interim("100 Continue\r\n");
  trunk.settle();
  ASSERT_EQ(trunk.delivered().interims.size(), 1U);
  trunk.advance(1s);
  trunk.client.arrive("hello", true);
  trunk.settle();
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(SlowBody, WhatComesAfterAPauseCountsBeforeThePauseIsJudged) {
  Trunk trunk(two);
  trunk.start("POST", "/", {{"Content-Length", "100002"}}, "x", false);
  trunk.advance(25s);
  trunk.client.arrive("x", false);
  trunk.advance(25s);
  EXPECT_FALSE(trunk.done());
  trunk.client.arrive(std::string(100'000, 'x'), true);
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(SlowBody, RateNoneLetsItDribble) {
  Trunk trunk("listeners: [{bind: 127.0.0.1:0, limits: {body_rate: none}}]\n" + std::string(two));
  trunk.start("POST", "/", {{"Content-Length", "100000"}}, "", false);
  EXPECT_EQ(dribble(trunk, 100), 100);
  EXPECT_FALSE(trunk.done());
  trunk.client.reset();
  trunk.settle();
}

}  // namespace
}  // namespace remora::test
