// How open streams of a backend that drains end: what their clients and backends see. When they end is in
// proxy/open_streams_test.cpp.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using End = Exchange::End;
using When = BackendScript::When;

const std::string events = "200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
const std::string calls = "200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n";
const std::string download = "200 OK\r\nContent-Length: 20\r\n";
const std::string chunked = "200 OK\r\nTransfer-Encoding: chunked\r\n";
const BackendScript websocket{.head =
                                  "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"};
const std::string yaml = app("timeouts: {response: 60s, read: 1h}", "ab",
                             "listeners: [{bind: 127.0.0.1:0, timeouts: {tunnel: 1h}}]\n");

/// The streams of `a` are to be ended within ten seconds; or no more.
void drain(Trunk& trunk, bool drains = true) {
  const Backend& a = trunk.backend_of("a");
  std::vector<OpenStreams::Ending> endings;
  if (drains) endings.push_back({&a, 10s});
  const Backend* const living[] = {&a};
  trunk.worker.open_streams.follow(std::move(endings), living, trunk.clock.steady_now());
  trunk.settle();
}

/// A response of `a` that has come as far as `sent`.
void open(Trunk& trunk, const std::string& head, const std::string& sent, const std::string& rest = "more") {
  trunk.member("b").admin = Admin::maint;
  trunk.connector.script("a", {.head = head, .body = sent + rest, .stalls_after = sent.size()});
  trunk.start("GET", "/");
  ASSERT_FALSE(trunk.done());
  ASSERT_EQ(trunk.delivered().body, sent);
}

void open_websocket(Trunk& trunk, const std::string& protocol = "websocket") {
  trunk.member("b").admin = Admin::maint;
  BackendScript script = websocket;
  if (protocol != "websocket") script.head = "101 OK\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\n";
  trunk.connector.script("a", script);
  trunk.client.keep_open();
  trunk.start("GET", "/", {{"Connection", "Upgrade"}, {"Upgrade", protocol}}, "", true);
  ASSERT_FALSE(trunk.done());
  ASSERT_EQ(trunk.delivered().head.status, 101);
}

/// All of it was given back, and the log says why it ended.
void expect_drained(Trunk& trunk) {
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.holds_nothing());
  EXPECT_FALSE(trunk.backend.is_open());
  EXPECT_EQ(trunk.backend_of("a").in_flight.load(), 0U);
  EXPECT_EQ(trunk.backend_of("a").drained_streams.load(), 1U);
  const auto log = trunk.take_log();
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].at("failure").as_string(), "drained");
}

TEST(DrainedEvents, EndInOrderBetweenTwoEvents) {
  Trunk trunk(yaml);
  trunk.keep_log();
  open(trunk, events, "data: 1\n\n");
  drain(trunk);
  EXPECT_FALSE(trunk.done()) << "not all at once";
  trunk.advance(10s);
  expect_drained(trunk);
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_FALSE(trunk.delivered().aborted);
  EXPECT_EQ(trunk.delivered().body, "data: 1\n\n");
  EXPECT_EQ(trunk.end(), End::keep) << "the client's connection can go on";
}

TEST(DrainedEvents, BehindACommentTooAndHoweverLinesEnd) {
  for (const char* sent : {": ping\n\n", "data: 1\r\n\r\n"}) {
    Trunk trunk(yaml);
    trunk.keep_log();
    open(trunk, events, sent);
    drain(trunk);
    trunk.advance(10s);
    expect_drained(trunk);
    EXPECT_TRUE(trunk.delivered().complete) << sent;
  }
}

TEST(DrainedEvents, InTheMiddleOfOneWaitForItsEnd) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.member("b").admin = Admin::maint;
  // Of what comes later, eight pieces are forwarded in one turn: they end with an event.
  std::string later = ": 2\n\n";
  for (int i = 0; i < 7; ++i) later += ": -\n\n";
  const std::string sent = "data: 1\n\ndata";
  trunk.connector.script(
      "a", {.head = events, .body = sent + later + "data: 3", .stalls_after = sent.size(), .piece = 5});
  trunk.start("GET", "/");
  ASSERT_EQ(trunk.delivered().body, sent);
  drain(trunk);
  trunk.advance(6500ms);  // one stream of the first worker: after 6.2 s
  EXPECT_FALSE(trunk.done());
  trunk.backend.go();
  trunk.settle();
  expect_drained(trunk);
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_EQ(trunk.delivered().body, sent + later);
}

TEST(DrainedEvents, ThatDoNotEndAreCutAfterASecond) {
  Trunk trunk(yaml);
  trunk.keep_log();
  open(trunk, events, "data: 1\n\ndata");
  drain(trunk);
  trunk.advance(7s);
  EXPECT_FALSE(trunk.done());
  trunk.advance(300ms);
  expect_drained(trunk);
  EXPECT_TRUE(trunk.delivered().aborted);
  EXPECT_FALSE(trunk.delivered().complete);
}

TEST(DrainedEvents, AreCutIfWhereTheyEndIsHiddenOrFixed) {
  for (const std::string more :
       {"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 100\r\n"}) {
    Trunk trunk(app("timeouts: {response: 1s, read: 1h}", "ab"));
    trunk.keep_log();
    open(trunk, "200 OK\r\nContent-Type: text/event-stream\r\n" + more, "data: 1\n\n");
    drain(trunk);
    trunk.advance(10s);
    expect_drained(trunk);
    EXPECT_TRUE(trunk.delivered().aborted) << more;
  }
}

TEST(DrainedEvents, AClientThatReadsNothingIsCut) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.member("b").admin = Admin::maint;
  trunk.client.shut_window(4);
  trunk.connector.script("a", {.head = events, .body = "data: 1\n\nmore", .stalls_after = 9});
  trunk.start("GET", "/");
  drain(trunk);
  trunk.advance(12s);
  expect_drained(trunk);
  EXPECT_TRUE(trunk.delivered().aborted);
}

TEST(DrainedDownloads, AreCutOnceTheyAreOlderThanARequest) {
  for (const std::string& head : {download, chunked}) {
    Trunk trunk(yaml);
    trunk.keep_log();
    open(trunk, head, "0123456789");
    drain(trunk);
    trunk.advance(59s);
    EXPECT_FALSE(trunk.done()) << "timeouts.response is 60s";
    trunk.advance(1100ms);
    expect_drained(trunk);
    EXPECT_TRUE(trunk.delivered().aborted);
  }
}

TEST(DrainedDownloads, ThatAreOldEndWithinTheSpread) {
  Trunk trunk(yaml);
  trunk.keep_log();
  open(trunk, download, "0123456789");
  trunk.advance(61s);
  drain(trunk);
  EXPECT_FALSE(trunk.done());
  trunk.advance(10s);
  expect_drained(trunk);
}

TEST(DrainedRequests, ThatWaitForAResponseAreServed) {
  Trunk trunk(yaml);
  trunk.member("b").admin = Admin::maint;
  trunk.connector.script("a", {.when = When::on_go});
  trunk.start("GET", "/");
  drain(trunk);
  trunk.advance(30s);
  ASSERT_FALSE(trunk.done());
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
  EXPECT_TRUE(trunk.delivered().complete);
}

TEST(DrainedCalls, EndUnavailable) {
  Trunk trunk(yaml);
  trunk.keep_log();
  trunk.member("b").admin = Admin::maint;
  trunk.version = "HTTP/2";
  trunk.connector.script("a", {.head = calls, .body = "123456", .stalls_after = 3});
  trunk.start("POST", "/pkg.Service/Method", {{"Content-Type", "application/grpc"}, {"TE", "trailers"}});
  drain(trunk);
  EXPECT_FALSE(trunk.done());
  trunk.advance(10s);
  expect_drained(trunk);
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_EQ(field(trunk.delivered().trailers, "grpc-status"), "14");
}

TEST(DrainedWebSockets, GetACloseFrame) {
  Trunk trunk(yaml);
  trunk.keep_log();
  open_websocket(trunk);
  trunk.backend.send_raw("\x81\x02hi");
  trunk.settle();
  drain(trunk);
  EXPECT_FALSE(trunk.done()) << "not all at once";
  trunk.advance(10s);
  expect_drained(trunk);
  EXPECT_EQ(trunk.delivered().body, std::string("\x81\x02hi\x88\x02\x03\xe9"));
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_EQ(trunk.end(), End::linger) << "closed at once, the Close frame could be lost";
}

TEST(DrainedWebSockets, InTheMiddleOfAFrameWaitForItsEnd) {
  Trunk trunk(yaml);
  trunk.keep_log();
  open_websocket(trunk);
  trunk.backend.send_raw("\x81\x06hello");
  trunk.settle();
  drain(trunk);
  trunk.advance(6500ms);
  EXPECT_FALSE(trunk.done());
  trunk.backend.send_raw("!");
  trunk.settle();
  expect_drained(trunk);
  EXPECT_EQ(trunk.delivered().body, std::string("\x81\x06hello!\x88\x02\x03\xe9"));
}

TEST(DrainedWebSockets, NoFrameOfTheBackendsIsBroken) {
  Trunk trunk(yaml);
  trunk.keep_log();
  open_websocket(trunk);
  trunk.backend.send_raw("\x81\x06hello");
  trunk.settle();
  drain(trunk);
  trunk.advance(7300ms);
  expect_drained(trunk);
  EXPECT_EQ(trunk.delivered().body, std::string("\x81\x06hello"));
}

// What the client's stream has not taken of a frame must go first: TLS has begun to send it.
TEST(DrainedWebSockets, AClientThatReadsNothingGetsNoCloseFrame) {
  Trunk trunk(yaml);
  trunk.keep_log();
  open_websocket(trunk);
  trunk.client.shut_window(4);
  trunk.backend.send_raw("\x81\x02hi\x81\x02ho");
  trunk.settle();
  drain(trunk);
  trunk.advance(10s);
  expect_drained(trunk);
  EXPECT_EQ(trunk.delivered().body, std::string("\x81\x02hi"));
}

TEST(DrainedWebSockets, NothingFollowsTheBackendsOwnCloseFrame) {
  Trunk trunk(yaml);
  trunk.keep_log();
  open_websocket(trunk);
  trunk.backend.send_raw(std::string("\x88\x00", 2));
  trunk.settle();
  drain(trunk);
  trunk.advance(10s);
  expect_drained(trunk);
  EXPECT_EQ(trunk.delivered().body, std::string("\x88\x00", 2));
}

TEST(DrainedTunnels, OfOtherProtocolsJustEnd) {
  Trunk trunk(app("timeouts: {read: 1h}", "ab",
                  "listeners: [{bind: 127.0.0.1:0, timeouts: {tunnel: 1h}}]\nroutes: [{path: /, pool: app, "
                  "upgrades: [thing]}]\n"));
  trunk.keep_log();
  open_websocket(trunk, "thing");
  trunk.backend.send_raw("half a mess");
  trunk.settle();
  drain(trunk);
  trunk.advance(6500ms);
  expect_drained(trunk);
  EXPECT_EQ(trunk.delivered().body, "half a mess");
}

TEST(DrainedStreams, StayIfTheDrainIsCalledOff) {
  Trunk trunk(yaml);
  open(trunk, events, "data: 1\n\n");
  drain(trunk);
  trunk.advance(5s);
  drain(trunk, false);
  trunk.advance(1min);
  EXPECT_FALSE(trunk.done());
  trunk.client.reset();
  trunk.settle();
  Trunk tunnel(yaml);
  open_websocket(tunnel);
  drain(tunnel);
  tunnel.advance(5s);
  drain(tunnel, false);
  tunnel.advance(1min);
  EXPECT_FALSE(tunnel.done());
  tunnel.client.reset();
  tunnel.settle();
  EXPECT_TRUE(tunnel.done());
}

TEST(DrainedStreams, LetTheirSessionsMoveBeyondTheRate) {
  Trunk trunk(app("affinity: cookie, timeouts: {read: 1h}", "ab"));
  trunk.member("b").admin = Admin::maint;
  trunk.connector.script("a", {.head = events, .body = "data: 1\n\nmore", .stalls_after = 9});
  trunk.start("GET", "/");
  const std::string token = trunk.cookie();
  ASSERT_FALSE(token.empty());
  drain(trunk);
  trunk.advance(10s);
  ASSERT_TRUE(trunk.done());
  trunk.member("b").admin = Admin::ready;
  trunk.member("a").admin = Admin::drain;
  trunk.member("a").leaving = true;
  DrainMoves& moves = trunk.snapshot().pools[0]->counters->drain;
  EXPECT_TRUE(moves.allow(trunk.clock.steady_now())) << "by the rate";
  EXPECT_TRUE(moves.would_allow(trunk.clock.steady_now())) << "the stream's own";
  trunk.new_connection();
  trunk.get("/", {{"Cookie", token}});
  EXPECT_EQ(told(trunk.connector.requests.back()).backend, "b");
  EXPECT_EQ(told(trunk.connector.requests.back()).reason, "drain");
}

}  // namespace
}  // namespace remora::test
