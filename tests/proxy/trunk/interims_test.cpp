// What happens besides a request's simple course: 100-continue and other interim responses, early responses,
// requests that break while the response comes, clients that leave, bodies that come too slowly.

#include <gtest/gtest.h>

#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using When = BackendScript::When;
using Fails = BackendScript::Fails;
using End = Exchange::End;

constexpr const char* two = R"(
pools:
  app:
    balance: first
    timeouts: {response: 20s, read: 20s, write: 20s}
    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]
)";
const Fields expects = {{"Content-Length", "5"}, {"Expect", "100-continue"}};

// Interim responses ---------------------------------------------------------------------------------

TEST(Continue, OnlyTheBackendSendsItAndTheBodyFollows) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::after_request, .interims = {"100 Continue\r\n"}});
  trunk.start("POST", "/", expects, "", false);
  ASSERT_EQ(trunk.delivered().interims.size(), 1U);
  EXPECT_EQ(trunk.delivered().interims.front().status, 100);
  EXPECT_EQ(field(trunk.connector.requests.back().head.fields, "Expect"), "100-continue");
  EXPECT_FALSE(trunk.done());
  trunk.client.arrive("hello", true);
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
  EXPECT_EQ(trunk.connector.requests.back().body, "hello");
  EXPECT_EQ(trunk.end(), End::keep);
}

TEST(Continue, WithoutItTheWaitIsTheBackends) {
  Trunk trunk(two);  // the client's own timeout would be 30 s and 408
  trunk.connector.script("a", {.when = When::never});
  trunk.start("POST", "/", expects, "", false);
  trunk.advance(19s);
  EXPECT_FALSE(trunk.done());
  trunk.advance(2s);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 504);
  EXPECT_EQ(trunk.end(), End::linger) << "the body never came, but may still";
}

TEST(Continue, AfterItTheWaitIsTheClients) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::after_request, .interims = {"100 Continue\r\n"}});
  trunk.start("POST", "/", expects, "", false);
  trunk.advance(25s);
  EXPECT_FALSE(trunk.done()) << "timeouts.body is 30 s";
  trunk.advance(6s);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 408);
}

TEST(Continue, AFinalResponseInsteadEndsTheConnection) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::at_once, .head = "417 No\r\nContent-Length: 0\r\n"});
  trunk.start("POST", "/", expects, "", false);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 417);
  EXPECT_TRUE(trunk.delivered().head.close) << "the client must not wait for a response to its next request";
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_EQ(trunk.end(), End::linger);
  EXPECT_TRUE(trunk.connector.kept.empty()) << "its request is not complete";
}

TEST(Continue, AnHttp10ClientNeverWaitsForOne) {
  Trunk trunk(two);
  trunk.version = "HTTP/1.0";
  EXPECT_EQ(trunk.request("POST", "/", expects, "hello").head.status, 200);
  EXPECT_FALSE(field(trunk.connector.requests.back().head.fields, "Expect"));
}

TEST(Interims, AreForwardedAtOnceWithoutHopByHopFields) {
  Trunk trunk(two);
  trunk.connector.script(
      "a",
      {.when = When::on_go, .interims = {"103 Early Hints\r\nLink: </x>\r\nConnection: X-Y\r\nX-Y: 1\r\n"}});
  trunk.start("GET", "/");
  ASSERT_EQ(trunk.delivered().interims.size(), 1U);
  const OwnedHead& hints = trunk.delivered().interims.front();
  EXPECT_EQ(hints.status, 103);
  EXPECT_EQ(hints.fields, (Fields{{"Link", "</x>"}}));
  EXPECT_FALSE(trunk.done());
  trunk.backend.go();
  trunk.settle();
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(Interims, AHundredPassAndOneMoreIsABadGateway) {
  for (const std::size_t count : {100U, 101U}) {
    Trunk trunk(two);
    trunk.connector.script("a", {.interims = std::vector<std::string>(count, "102 Processing\r\n")});
    const Delivered& got = trunk.get("/");
    EXPECT_EQ(got.head.status, count == 100 ? 200 : 502);
    EXPECT_EQ(got.interims.size(), 100U);
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(Interims, ThatTrickleDoNotProlongTheResponseTimeout) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::never});
  trunk.start("GET", "/");
  for (int second = 0; second < 19; ++second) {
    trunk.backend.send_interim("102 Processing\r\n");
    trunk.advance(1s);
    EXPECT_FALSE(trunk.done());
  }
  trunk.advance(1001ms);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 504);
  EXPECT_EQ(trunk.delivered().interims.size(), 19U);
}

TEST(Interims, AClientThatDoesNotReadThemIsGivenUp) {
  Trunk trunk(two);
  trunk.connector.script("a", {.interims = {"103 Early Hints\r\n"}});
  trunk.client.shut_window();
  trunk.start("GET", "/");
  trunk.advance(29s);
  EXPECT_FALSE(trunk.done());
  trunk.advance(2s);
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().aborted);
  EXPECT_TRUE(trunk.holds_nothing());
}

TEST(Interims, AClientThatReadsLaterGetsAll) {
  Trunk trunk(two);
  trunk.connector.script("a", {.interims = {"103 Early Hints\r\n"}});
  trunk.client.shut_window();
  trunk.start("GET", "/");
  trunk.advance(5s);
  trunk.client.open_window();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(Interims, ARetryCountsThemAnew) {
  Trunk trunk(two);
  trunk.connector.script(
      "a", {.fails = Fails::closes, .interims = std::vector<std::string>(60, "102 Processing\r\n")});
  trunk.connector.script("b", {.interims = std::vector<std::string>(60, "102 Processing\r\n")});
  EXPECT_EQ(trunk.get("/").head.status, 200);
  EXPECT_EQ(trunk.delivered().interims.size(), 120U);
}

// Early responses -----------------------------------------------------------------------------------

TEST(EarlyResponse, IsDeliveredWhileTheRequestIsStillComing) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::at_once, .body = "early", .stalls_after = 3});
  trunk.start("PUT", "/", {{"Content-Length", "10"}}, "hello", false);
  EXPECT_EQ(trunk.delivered().head.status, 200);
  EXPECT_EQ(trunk.delivered().body, "ear");
  trunk.client.arrive("world", true);
  trunk.settle();
  EXPECT_EQ(trunk.connector.requests.back().body, "helloworld");
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().body, "early");
  EXPECT_EQ(trunk.end(), End::keep);
}

const Fields sized = {{"Content-Length", "10"}}, chunked = {{"Transfer-Encoding", "chunked"}};

TEST(EarlyResponse, ThatEndsBeforeTheRequestKeepsTheConnectionIfTheRestComesSoon) {
  for (const Fields& length : {sized, chunked}) {
    Trunk trunk(two);
    trunk.connector.script("a", {.when = When::at_once, .body = "early"});
    trunk.start("PUT", "/", length, "hello", false);
    EXPECT_TRUE(trunk.delivered().complete);
    EXPECT_FALSE(trunk.delivered().head.close);
    EXPECT_TRUE(trunk.holds_nothing());
    EXPECT_FALSE(trunk.done());
    trunk.advance(1s);
    trunk.client.arrive("world", true);
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.end(), End::keep);
    EXPECT_FALSE(trunk.delivered().aborted);
    EXPECT_TRUE(trunk.connector.kept.empty()) << "its request is not complete";
    EXPECT_EQ(trunk.get("/").head.status, 200);
  }
}

TEST(EarlyResponse, EndsTheConnectionIfTheRestOfTheRequestIsLateOrTooLong) {
  for (const bool late : {true, false}) {
    Trunk trunk(two);
    trunk.connector.script("a", {.when = When::at_once, .body = "early"});
    trunk.start("PUT", "/", chunked, "hello", false);
    ASSERT_FALSE(trunk.done());
    if (late) {
      trunk.advance(4s);
      EXPECT_FALSE(trunk.done());
      trunk.advance(2s);
    } else {
      trunk.client.arrive(std::string(300'000, 'x'), false);
      trunk.settle();
    }
    ASSERT_TRUE(trunk.done());
    EXPECT_TRUE(trunk.delivered().complete);
    EXPECT_EQ(trunk.end(), End::linger);
  }
}

TEST(EarlyResponse, SaysThatTheConnectionClosesIfTheRequestIsTooLongToBeReadOff) {
  struct Way {
    const char* name;
    Fields length;
    BackendScript script;
    bool closes;
  };
  const std::string refused = "413 Content Too Large\r\nContent-Length: 2\r\n";
  const std::string stream = "200 OK\r\nTransfer-Encoding: chunked\r\n";
  const Fields large = {{"Content-Length", "1000000"}};
  const Way ways[] = {
      {"a short response", large, {.when = When::at_once, .head = refused, .body = "no"}, true},
      {"a stream", large, {.when = When::at_once, .head = stream, .body = "no", .stalls_after = 1}, false},
      {"the backend stops reading",
       large,
       {.when = When::at_once, .resets_after = 3, .head = stream, .body = "no", .stalls_after = 1},
       true},
      {"and the length is not known",
       chunked,
       {.when = When::at_once, .resets_after = 3, .head = refused, .body = "no"},
       true},
      {"the backend closes",
       chunked,
       {.when = When::at_once, .head = "413 No\r\nContent-Length: 2\r\nConnection: close\r\n", .body = "no"},
       true},
      {"the length is not known", chunked, {.when = When::at_once, .head = refused, .body = "no"}, false},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    Trunk trunk(two);
    trunk.connector.script("a", way.script);
    trunk.start("POST", "/", way.length, "hello", false);
    EXPECT_EQ(trunk.delivered().head.close, way.closes);
    if (trunk.done()) {
      EXPECT_EQ(trunk.end(), End::linger);
    }
    trunk.client.reset();
    trunk.settle();
    EXPECT_TRUE(trunk.done());
  }
}

TEST(EarlyResponse, OfABackendThatStopsReadingIsStillDelivered) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::at_once,
                               .resets_after = 3,
                               .head = "413 Content Too Large\r\nContent-Length: 2\r\n",
                               .body = "no"});
  trunk.start("POST", "/", {{"Content-Length", "10"}}, "hello", false);
  trunk.client.arrive("world", true);  // dropped
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.connector.requests.back().body, "hel");
  EXPECT_EQ(trunk.delivered().head.status, 413);
  EXPECT_EQ(trunk.delivered().body, "no");
  EXPECT_EQ(trunk.end(), End::keep);
}

TEST(EarlyResponse, ARequestThatBreaksMeanwhileAbortsIt) {
  for (const auto kind : {StreamFailure::Kind::malformed, StreamFailure::Kind::ended,
                          StreamFailure::Kind::too_large, StreamFailure::Kind::reset}) {
    Trunk trunk(two);
    trunk.connector.script("a", {.when = When::at_once, .body = "early", .stalls_after = 3});
    trunk.start("PUT", "/", {{"Content-Length", "10"}}, "hello", false);
    EXPECT_EQ(trunk.delivered().body, "ear");
    trunk.client.fail({kind, 400, "scripted"});
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_TRUE(trunk.delivered().aborted);
    EXPECT_FALSE(trunk.delivered().complete);
    EXPECT_TRUE(trunk.connector.kept.empty());
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

// Clients that leave or fail ------------------------------------------------------------------------

TEST(ClientFailure, BeforeTheResponseGetsTheStatusOfItsKind) {
  struct Way {
    StreamFailure failure;
    std::uint16_t status;
    const char* logged;
  };
  const Way ways[] = {{{StreamFailure::Kind::malformed, 400, "chunk"}, 400, "client_malformed"},
                      {{StreamFailure::Kind::malformed, 431, "trailers"}, 431, "client_malformed"},
                      {{StreamFailure::Kind::too_large, 413, "body"}, 413, "too_large"},
                      {{StreamFailure::Kind::ended, 0, "cut"}, 0, "client_gone"},
                      {{StreamFailure::Kind::reset, 0, "reset"}, 0, "client_gone"}};
  for (const Way& way : ways) {
    SCOPED_TRACE(way.failure.why);
    Trunk trunk(two);
    trunk.keep_log();
    trunk.start("PUT", "/", {{"Transfer-Encoding", "chunked"}}, "hel", false);
    trunk.client.fail(way.failure);
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.delivered().head.status, way.status);
    EXPECT_EQ(trunk.delivered().complete, way.status != 0);
    EXPECT_EQ(trunk.end(), way.status != 0 ? End::linger : End::close);
    EXPECT_FALSE(trunk.connector.requests.back().complete) << "the backend must not see an end";
    EXPECT_EQ(trunk.connector.connected.size(), 1U);
    EXPECT_TRUE(trunk.connector.kept.empty());
    EXPECT_TRUE(trunk.holds_nothing());
    const auto log = trunk.take_log();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_EQ(log.front().at("failure").as_string(), way.logged);
    EXPECT_EQ(log.front().at("method").as_string(), "PUT") << "its head was understood";
  }
}

TEST(ClientLeaves, InEachPhaseWithoutATrace) {
  struct Phase {
    const char* name;
    BackendScript script;
    bool whole;
  };
  const Phase phases[] = {{"connecting", {.connect = BackendScript::Connect::silent}, true},
                          {"sending", {}, false},
                          {"backend does not take it", {.when = When::never, .window = 2}, true},
                          {"waiting", {.when = When::never}, true},
                          {"in the response", {.body = "0123456789", .stalls_after = 3}, true}};
  for (const Phase& phase : phases) {
    SCOPED_TRACE(phase.name);
    Trunk trunk(two);
    trunk.connector.script("a", phase.script);
    trunk.start("PUT", "/", {{"Content-Length", "5"}}, phase.whole ? "hello" : "he", phase.whole);
    EXPECT_FALSE(trunk.done());
    trunk.client.reset();
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_FALSE(trunk.delivered().complete);
    EXPECT_TRUE(trunk.delivered().aborted);
    EXPECT_EQ(trunk.end(), End::close);
    EXPECT_EQ(trunk.connector.connected.size(), 1U) << "nobody to retry for";
    EXPECT_TRUE(trunk.connector.kept.empty());
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(ClientLeaves, AResetThatRaisedNoEventIsNoticedWithinASecond) {
  Trunk trunk(two);
  trunk.connector.script("a", {.when = When::never});
  trunk.client.reset(true);
  trunk.start("GET", "/");
  trunk.advance(900ms);
  EXPECT_FALSE(trunk.done());
  trunk.advance(200ms);
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().aborted);
}

TEST(ClientLeaves, AnEndOfStreamInMidRequestWhileConnectingEndsIt) {
  Trunk trunk(two);
  trunk.connector.script("a", {.connect = BackendScript::Connect::silent});
  trunk.start("PUT", "/", {{"Content-Length", "5"}}, "he", false);
  trunk.client.half_close();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().aborted);
}

TEST(ClientLeaves, AnEndOfStreamBehindARequestDoesNotEndIt) {
  Trunk trunk(two);
  trunk.connector.script("a", {.fails = Fails::closes});
  trunk.connector.script("b", {.when = When::on_go});
  trunk.start("GET", "/");
  trunk.client.half_close();
  trunk.advance(10s);
  EXPECT_FALSE(trunk.done());
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

}  // namespace
}  // namespace remora::test
