// A connection to a store's server that the test plays itself: when it counts as up, when commands give up on
// it, and when it is tried again.

#include "session/store_connection.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "net/tls.h"
#include "support/manual_loop.h"
#include "support/unix_listener.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::Accepted;

/// One command on its way, and its caller.
struct Call {
  explicit Call(DeadlineWheel& wheel) : wake(wheel) {}
  EventFlags wake;
  std::optional<Result<Reply>> result;
  bool ended() const { return result.has_value(); }
  error_code error() const { return ended() && !result->has_value() ? result->error() : error_code(); }
  std::string text() const { return ended() && result->has_value() ? (*result)->text : ""; }
};

class StoreConnecting : public ::testing::Test {
 protected:
  StoreConnecting() {
    config::StoreNode node;
    node.address = server.address();
    start(node);
  }
  ~StoreConnecting() override {
    connection->stop();
    loop.settle();
  }
  void start(const config::StoreNode& node) {
    StoreConnection::Greeting greeting;
    greeting.text = "PING\r\n";
    greeting.replies = 1;
    greeting.check = [](std::span<const Reply> replies) {
      return replies.front().text == "PONG" ? std::string() : "not a store";
    };
    connection = std::make_shared<StoreConnection>(around, node, greeting, make_resp_reader);
    connection->start();
    loop.settle();
  }
  /// The connection that was made meanwhile, greeted; nothing: none was made.
  Accepted serve() {
    Accepted accepted = server.accept();
    if (!accepted) return accepted;
    EXPECT_EQ(accepted.received(), "PING\r\n");
    accepted.send("+PONG\r\n");
    loop.settle();
    return accepted;
  }
  std::unique_ptr<Call> ask(std::chrono::milliseconds limit = 50ms) {
    auto call = std::make_unique<Call>(loop.wheel);
    const StoreCall how{call->wake, loop.now() + limit};
    asio::co_spawn(
        loop.ctx.get_executor(), connection->ask("GET\r\n", how),
        [&call = *call](const std::exception_ptr&, Result<Reply> r) { call.result = std::move(r); });
    loop.settle();
    return call;
  }
  /// How long it takes until the next attempt. The server ends it at once.
  std::chrono::nanoseconds next_attempt() {
    const Clock::Steady from = loop.now();
    EXPECT_TRUE(loop.advance_until([&] { return static_cast<bool>(server.accept()); }, 1min));
    const auto took = loop.now() - from;
    loop.settle();
    return took;
  }
  /// `pause` with its jitter, and what waiting in whole ticks adds.
  static void expect_pause(std::chrono::nanoseconds took, std::chrono::milliseconds pause) {
    EXPECT_GE(took, pause * 3 / 4) << pause.count();
    EXPECT_LE(took, pause * 5 / 4 + 2 * DeadlineWheel::tick) << pause.count();
  }

  test::ManualLoop loop;
  test::UnixListener server;
  std::shared_ptr<StoreSurroundings> around = std::make_shared<StoreSurroundings>(
      StoreSurroundings{loop, loop.clock, {}, {}, nullptr, FastRandom(7)});
  std::shared_ptr<StoreConnection> connection;
  std::vector<std::unique_ptr<Call>> large;
};

TEST_F(StoreConnecting, IsUpOnceItsGreetingWasAnswered) {
  EXPECT_TRUE(connection->available());  // hopeful: the first requests wait for it
  EXPECT_FALSE(connection->up());
  const Accepted accepted = serve();
  EXPECT_TRUE(connection->up());
  loop.advance(1h);
  EXPECT_TRUE(connection->up());
}

TEST_F(StoreConnecting, AWrongAnswerToTheGreetingEndsIt) {
  Accepted accepted = server.accept();
  accepted.send("+NO\r\n");
  loop.settle();
  EXPECT_FALSE(connection->available());
  EXPECT_EQ(connection->problem(), "not a store");
  EXPECT_TRUE(accepted.received() == "PING\r\n" && accepted.ended());
}

TEST_F(StoreConnecting, MoreRepliesThanItsGreetingAskedForEndIt) {
  Accepted accepted = server.accept();
  accepted.send("+PONG\r\n+PONG\r\n");
  loop.settle();
  EXPECT_FALSE(connection->available());
  EXPECT_TRUE(accepted.received() == "PING\r\n" && accepted.ended());
}

TEST_F(StoreConnecting, AServerThatAcceptsAndSaysNothingIsDownAfterASecond) {
  Accepted mute = server.accept();
  loop.advance(990ms);
  EXPECT_TRUE(connection->available());
  loop.advance(20ms);
  EXPECT_FALSE(connection->available());
  mute.received();
  EXPECT_TRUE(mute.ended());
}

TEST_F(StoreConnecting, AHandshakeHasASecond) {
  connection->stop();
  loop.settle();
  while (server.accept()) {
  }
  std::string why;
  around->tls = ClientTls::load({}, why);
  ASSERT_TRUE(around->tls) << why;
  config::StoreNode node;
  node.address = server.address();
  node.tls = true;
  start(node);
  const Accepted mute = server.accept();
  ASSERT_TRUE(mute);
  loop.advance(990ms);
  EXPECT_TRUE(connection->available());
  loop.advance(20ms);
  EXPECT_FALSE(connection->available());
}

TEST_F(StoreConnecting, ThePausesBetweenAttemptsGrowToTwoSeconds) {
  server.accept();
  loop.settle();
  for (const auto pause : {100ms, 200ms, 400ms, 800ms, 1600ms, 2000ms, 2000ms, 2000ms, 2000ms})
    expect_pause(next_attempt(), pause);
}

TEST_F(StoreConnecting, AServerThatWasAwayForLongIsFoundWithinThePause) {
  server.close();
  loop.advance(1h);
  EXPECT_FALSE(connection->available());
  EXPECT_FALSE(connection->problem().empty());
  server.open();
  EXPECT_TRUE(loop.advance_until([&] { return static_cast<bool>(serve()); }, 2600ms));
}

TEST_F(StoreConnecting, AConnectionThatServedIsSoonMadeAnew) {
  server.accept();
  loop.settle();
  for (int i = 0; i < 5; ++i) next_attempt();  // the pauses have grown
  Accepted accepted;
  ASSERT_TRUE(loop.advance_until([&] { return static_cast<bool>(accepted = serve()); }, 3s));
  loop.advance(1s);
  accepted.close();
  loop.settle();
  EXPECT_FALSE(connection->available());
  expect_pause(next_attempt(), 50ms);
}

TEST_F(StoreConnecting, AConnectionThatBreaksAtOnceCountsAsAFailedAttempt) {
  for (const auto pause : {100ms, 200ms, 400ms, 800ms}) {
    Accepted accepted;
    const Clock::Steady from = loop.now();
    ASSERT_TRUE(loop.advance_until([&] { return static_cast<bool>(accepted = serve()); }, 3s));
    if (pause > 100ms) expect_pause(loop.now() - from, pause / 2);
    EXPECT_TRUE(connection->up());
    accepted.close();
    loop.settle();
  }
}

TEST_F(StoreConnecting, RepliesComeInTheOrderOfTheCommands) {
  Accepted accepted = serve();
  const auto first = ask(), second = ask();
  EXPECT_EQ(accepted.received(), "GET\r\nGET\r\n");
  accepted.send("+one\r\n+t");
  loop.settle();
  EXPECT_EQ(first->text(), "one");
  EXPECT_FALSE(second->ended());
  accepted.send("wo\r\n");
  loop.settle();
  EXPECT_EQ(second->text(), "two");
}

TEST_F(StoreConnecting, ACommandGivesUpAtItsDeadlineAndItsLateReplyGoesToNobody) {
  Accepted accepted = serve();
  const auto late = ask(50ms);
  loop.advance(40ms);
  EXPECT_FALSE(late->ended());
  loop.advance(10ms);
  EXPECT_EQ(late->error(), StoreErrc::timeout);
  EXPECT_TRUE(connection->up());
  const auto next = ask(50ms);
  accepted.send("+late\r\n+next\r\n");
  loop.settle();
  EXPECT_EQ(next->text(), "next");
}

TEST_F(StoreConnecting, ThreeLateRepliesInARowEndTheConnection) {
  Accepted accepted = serve();
  const auto expires = [&] {
    const auto call = ask(50ms);
    loop.advance(50ms);
    return call->error() == StoreErrc::timeout;
  };
  EXPECT_TRUE(expires() && expires());
  accepted.send("+one\r\n+two\r\n");  // it lives: the count begins anew
  loop.settle();
  EXPECT_TRUE(expires() && expires());
  EXPECT_TRUE(connection->available());
  EXPECT_TRUE(expires());
  EXPECT_FALSE(connection->available());
}

TEST_F(StoreConnecting, WhileItIsDownCommandsFailAtOnce) {
  Accepted accepted = serve();
  accepted.close();
  loop.settle();
  EXPECT_EQ(ask(1h)->error(), StoreErrc::unavailable);
}

TEST_F(StoreConnecting, WhoWaitsForAReplyHearsAtOnceThatTheConnectionBroke) {
  Accepted accepted = serve();
  const auto waits = ask(1h);
  accepted.close();
  loop.settle();
  EXPECT_EQ(waits->error(), StoreErrc::unavailable);
}

TEST_F(StoreConnecting, WhatElseTheCallerWaitsForIsKept) {
  Accepted accepted = serve();
  const auto call = ask(50ms);
  call->wake.set(EventFlags::client);
  EXPECT_FALSE(call->ended());
  accepted.send("+one\r\n");
  loop.settle();
  EXPECT_EQ(call->text(), "one");
  EXPECT_EQ(call->wake.take(), static_cast<unsigned>(EventFlags::client));
  loop.advance(1s);
  EXPECT_EQ(call->wake.take(), 0U);  // no deadline is left behind
}

TEST_F(StoreConnecting, StoppedItEndsAndIsNotMadeAnew) {
  const Accepted accepted = serve();
  connection->stop();
  loop.settle();
  EXPECT_TRUE(accepted.ended());
  loop.advance(1min);
  EXPECT_FALSE(server.accept());
  EXPECT_EQ(ask()->error(), StoreErrc::unavailable);
}

TEST_F(StoreConnecting, CommandsThatTheServerDoesNotReadYetFollowWhenItDoes) {
  Accepted accepted = serve();
  const std::string command(1U << 20, 'x');
  for (int i = 0; i < 10; ++i) {
    auto call = std::make_unique<Call>(loop.wheel);
    const StoreCall how{call->wake, loop.now() + 50ms};
    asio::co_spawn(
        loop.ctx.get_executor(), connection->ask(command, how),
        [&call = *call](const std::exception_ptr&, Result<Reply> r) { call.result = std::move(r); });
    loop.settle();
    large.push_back(std::move(call));
  }
  std::size_t received = 0;
  for (int i = 0; i < 1000 && received < 10 * command.size(); ++i) {
    received += accepted.received().size();
    loop.settle();
  }
  EXPECT_EQ(received, 10 * command.size());
  for (int i = 0; i < 10; ++i) accepted.send("+" + std::to_string(i) + "\r\n");
  loop.settle();
  for (std::size_t i = 0; i < large.size(); ++i) EXPECT_EQ(large[i]->text(), std::to_string(i));
}

TEST_F(StoreConnecting, AServerThatClosesWhileCommandsWaitToBeSentFailsThemAll) {
  Accepted accepted = serve();
  const auto first = ask(1h);
  for (int i = 0; i < 40; ++i) large.push_back(ask(1h));
  accepted.close();
  loop.settle();
  EXPECT_EQ(first->error(), StoreErrc::unavailable);
  for (const auto& call : large) EXPECT_EQ(call->error(), StoreErrc::unavailable);
}

}  // namespace
}  // namespace remora
