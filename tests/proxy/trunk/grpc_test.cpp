// Calls of gRPC on the request path: replies of our own, deadlines, retries, and what becomes of a call whose
// backend is lost.

#include <gtest/gtest.h>

#include "pool/permit.h"
#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using When = BackendScript::When;
using Strings = std::vector<std::string>;
using namespace std::chrono_literals;

const std::string trailers_only = "200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n";
const BackendScript unavailable{.head = trailers_only + "grpc-status: 14\r\n"};
const std::string streams = "200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n";
const BackendScript refuses{.connect = Connect::refuses};

Fields call_fields(Fields more = {}) {
  more.insert(more.begin(), {{"Content-Type", "application/grpc"}, {"TE", "trailers"}});
  return more;
}
void start_call(Trunk& trunk, const Fields& more = {}) {
  trunk.version = "HTTP/2";
  trunk.start("POST", "/pkg.Service/Method", call_fields(more));
}
const Delivered& call(Trunk& trunk, const Fields& more = {}) {
  trunk.version = "HTTP/2";
  return trunk.request("POST", "/pkg.Service/Method", call_fields(more));
}

/// The gRPC status of a reply of our own; its HTTP status if it is another.
std::string status_of(const Delivered& got) {
  if (got.head.status != 200) return "HTTP " + std::to_string(got.head.status);
  EXPECT_EQ(field(got.head.fields, "Content-Type"), "application/grpc");
  EXPECT_TRUE(got.head.body.is_empty());
  EXPECT_EQ(got.body, "");
  EXPECT_TRUE(got.complete);
  EXPECT_FALSE(field(got.head.fields, "grpc-message").value_or("").empty());
  return field(got.head.fields, "grpc-status").value_or("none");
}

// Replies of our own --------------------------------------------------------------------------------

TEST(GrpcReplies, AreTrailersOnly) {
  Trunk trunk(app("", "a"));
  trunk.connector.always("a", refuses);
  const Delivered& got = call(trunk);
  EXPECT_EQ(status_of(got), "14");
  EXPECT_EQ(field(got.head.fields, "grpc-message"), "Bad Gateway");
  EXPECT_EQ(field(got.head.fields, "Content-Length"), std::nullopt);
  EXPECT_TRUE(trunk.holds_nothing());
}

TEST(GrpcReplies, StandForTheHttpStatus) {
  Trunk trunk(app("", "a",
                  "routes: [{path: /pkg.Service/, pool: app}]\nlisteners: [{bind: 127.0.0.1:0, "
                  "per_client: {requests_per_second: 4}}]\n"));
  trunk.version = "HTTP/2";
  EXPECT_EQ(status_of(trunk.request("POST", "/other", call_fields())), "12");
  trunk.connector.always("a", {.when = When::never});
  EXPECT_EQ(status_of(call(trunk)), "14");
  trunk.member("a").health = Health::down;
  const Delivered& none = call(trunk);
  EXPECT_EQ(status_of(none), "14");
  EXPECT_EQ(field(none.head.fields, "Retry-After"), "1");
  trunk.new_connection();
  std::string last;
  for (int i = 0; i < 20 && last != "8"; ++i) last = status_of(call(trunk));
  EXPECT_EQ(last, "8");
}

TEST(GrpcReplies, AreForItsContentTypesOnly) {
  Trunk trunk(app("", "a"));
  trunk.connector.always("a", refuses);
  trunk.version = "HTTP/2";
  const auto with = [&](const std::string& type) {
    return status_of(trunk.request("POST", "/", {{"Content-Type", type}}));
  };
  EXPECT_EQ(with("application/grpc+proto"), "14");
  EXPECT_EQ(with("application/grpc+json"), "14");
  EXPECT_EQ(with("application/grpc-web"), "HTTP 502");
  EXPECT_EQ(with("application/json"), "HTTP 502");
}

TEST(GrpcReplies, OverHttp1HaveALength) {
  Trunk trunk(app("", "a"));
  trunk.connector.always("a", refuses);
  const Delivered& got = trunk.request("POST", "/", call_fields());
  EXPECT_EQ(status_of(got), "14");
  EXPECT_EQ(field(got.head.fields, "Content-Length"), "0");
}

TEST(GrpcReplies, AreLoggedWithTheirFailure) {
  Trunk trunk(app("", "a"));
  trunk.connector.always("a", refuses);
  trunk.keep_log();
  call(trunk);
  const auto log = trunk.take_log();
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].at("status").as_int64(), 200);
  EXPECT_EQ(log[0].at("failure").as_string(), "refused");
}

// Deadlines -----------------------------------------------------------------------------------------

TEST(GrpcDeadline, EndsACallThatTheBackendDoesNotAnswer) {
  Trunk trunk(app("", "a"));
  trunk.connector.always("a", {.when = When::never});
  trunk.keep_log();
  start_call(trunk, {{"grpc-timeout", "2S"}});
  trunk.advance(1900ms);
  EXPECT_FALSE(trunk.done());
  trunk.advance(200ms);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(status_of(trunk.delivered()), "4");
  EXPECT_FALSE(trunk.backend.is_open());  // cancelled
  EXPECT_TRUE(trunk.holds_nothing());
  EXPECT_EQ(trunk.take_log().at(0).at("failure").as_string(), "deadline");
}

TEST(GrpcDeadline, SaysNothingAgainstTheBackend) {
  Trunk trunk(app("health: {eject: {consecutive_failures: 1}}", "a"));
  trunk.connector.always("a", {.when = When::never});
  EXPECT_EQ(status_of(call(trunk, {{"grpc-timeout", "1S"}})), "4");
  EXPECT_TRUE(trunk.reported_failures.empty());
}

TEST(GrpcDeadline, CountsConnecting) {
  Trunk trunk(app("", "a"));
  trunk.connector.always("a", {.connect = Connect::silent});
  start_call(trunk, {{"grpc-timeout", "500m"}});
  trunk.advance(600ms);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(status_of(trunk.delivered()), "4");
  EXPECT_EQ(trunk.connector.connected.size(), 1U);
}

TEST(GrpcDeadline, CountsTheQueue) {
  Trunk trunk("pools: {app: {backends: [{id: a, address: 127.0.0.1:1, max_in_flight: 1}]}}\n");
  Backend& a = trunk.backend_of("a");
  ASSERT_TRUE(a.queue->enter(a, 1));
  const Permit held(trunk.member("a").backend, true);
  start_call(trunk, {{"grpc-timeout", "1S"}});
  trunk.advance(1100ms);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(status_of(trunk.delivered()), "4");
  EXPECT_TRUE(trunk.connector.requests.empty());
}

TEST(GrpcDeadline, PassesAsItIsWhileNoTimeHasPassed) {
  Trunk trunk(app("", "a"));
  call(trunk, {{"grpc-timeout", "10S"}});
  EXPECT_EQ(field(trunk.connector.requests.at(0).head.fields, "grpc-timeout"), "10S");
}

TEST(GrpcDeadline, ARetryHasTheRestOfIt) {
  Trunk trunk(app("balance: first, timeouts: {connect: 1s}", "ab"));
  trunk.connector.always("a", {.connect = Connect::silent});
  call(trunk, {{"grpc-timeout", "10S"}});
  ASSERT_EQ(trunk.connector.requests.size(), 1U);
  const std::string rest = field(trunk.connector.requests[0].head.fields, "grpc-timeout").value_or("");
  ASSERT_EQ(rest.back(), 'u');
  EXPECT_LE(std::stoll(rest), 9'000'000);
  EXPECT_GT(std::stoll(rest), 8'000'000);
}

TEST(GrpcDeadline, ThePoolsTimeoutsHoldBesides) {
  Trunk trunk(app("timeouts: {response: 2s}", "a"));
  trunk.connector.always("a", {.when = When::never});
  start_call(trunk, {{"grpc-timeout", "99999999H"}});
  trunk.advance(3s);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(status_of(trunk.delivered()), "14");
}

TEST(GrpcDeadline, OneThatHasPassedAlreadyReachesNoBackend) {
  Trunk trunk(app("", "a"));
  EXPECT_EQ(status_of(call(trunk, {{"grpc-timeout", "0n"}})), "4");
  EXPECT_TRUE(trunk.connector.requests.empty());
}

TEST(GrpcDeadline, AMalformedOneReachesNoBackend) {
  for (const char* value : {"1", "soon", "123456789S", "1s"}) {
    Trunk trunk(app("", "a"));
    EXPECT_EQ(status_of(call(trunk, {{"grpc-timeout", value}})), "13") << value;
    EXPECT_TRUE(trunk.connector.connected.empty());
  }
}

TEST(GrpcDeadline, IsOfGrpcAlone) {
  Trunk trunk(app("", "a"));
  EXPECT_EQ(trunk.request("POST", "/", {{"grpc-timeout", "soon"}}).head.status, 200);
  EXPECT_EQ(field(trunk.connector.requests.at(0).head.fields, "grpc-timeout"), "soon");
}

// Responses that cannot be completed ----------------------------------------------------------------

TEST(GrpcStream, EndsUnavailableWhenItsBackendIsLost) {
  Trunk trunk(app("", "a"));
  trunk.connector.script("a", {.head = streams, .body = "123456", .stalls_after = 3});
  start_call(trunk);
  EXPECT_EQ(trunk.delivered().body, "123");
  trunk.backend.reset();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_FALSE(trunk.delivered().aborted);
  EXPECT_EQ(field(trunk.delivered().trailers, "grpc-status"), "14");
  EXPECT_EQ(field(trunk.delivered().trailers, "grpc-message"), "Bad Gateway");
  EXPECT_TRUE(trunk.holds_nothing());
}

TEST(GrpcStream, EndsAtItsDeadline) {
  Trunk trunk(app("", "a"));
  trunk.connector.script("a", {.head = streams, .body = "123456", .stalls_after = 3});
  start_call(trunk, {{"grpc-timeout", "3S"}});
  trunk.advance(2900ms);
  EXPECT_FALSE(trunk.done());
  trunk.advance(200ms);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(field(trunk.delivered().trailers, "grpc-status"), "4");
  EXPECT_FALSE(trunk.backend.is_open());
}

TEST(GrpcStream, WaitsABoundedTimeForAClientThatDoesNotRead) {
  Trunk trunk(app("", "a"));
  trunk.connector.script("a", {.head = streams, .body = "123456", .stalls_after = 3});
  trunk.client.shut_window(0);
  start_call(trunk, {{"grpc-timeout", "3S"}});
  trunk.advance(1min);
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.holds_nothing());
}

TEST(GrpcStream, AnythingElseIsAborted) {
  for (const std::string head : {"200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n",
                                 "200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 6\r\n"}) {
    Trunk trunk(app("", "a"));
    trunk.connector.script("a", {.head = head, .body = "123456", .breaks_after = 3});
    EXPECT_TRUE(call(trunk).aborted) << head;
  }
  Trunk trunk(app("", "a"));
  trunk.connector.script("a", {.head = streams, .body = "123456", .breaks_after = 3});
  EXPECT_TRUE(trunk.request("POST", "/", call_fields()).aborted) << "HTTP/1.1";
}

// retry_on: grpc-unavailable ------------------------------------------------------------------------

const std::string listed = "failover: {retry_on: [grpc-unavailable]}";

TEST(GrpcUnavailable, IsDeliveredByDefault) {
  Trunk trunk(app("balance: first", "ab"));
  trunk.connector.script("a", unavailable);
  EXPECT_EQ(field(call(trunk).head.fields, "grpc-status"), "14");
  EXPECT_EQ(trunk.connector.connected, (Strings{"a"}));
}

TEST(GrpcUnavailable, WhereListedTheCallGoesElsewhere) {
  Trunk trunk(app("balance: first, " + listed, "ab"));
  trunk.connector.script("a", unavailable);
  trunk.connector.script("b", {.head = trailers_only + "grpc-status: 0\r\n"});
  trunk.keep_log();
  EXPECT_EQ(field(call(trunk).head.fields, "grpc-status"), "0");
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "b"}));
  EXPECT_TRUE(trunk.holds_nothing());
  EXPECT_EQ(trunk.take_log().at(0).at("failure").as_string(), "grpc_unavailable");
}

TEST(GrpcUnavailable, OtherStatusesAndOtherRequestsAreNot) {
  Trunk trunk(app("balance: first, " + listed, "ab"));
  trunk.connector.script("a", {.head = trailers_only + "grpc-status: 13\r\n"});
  EXPECT_EQ(field(call(trunk).head.fields, "grpc-status"), "13");
  trunk.connector.script("a", unavailable);
  EXPECT_EQ(field(trunk.request("POST", "/").head.fields, "grpc-status"), "14");
  // After the first byte of a message it cannot be taken back.
  trunk.connector.script("a", {.head = streams, .body = "1", .trailers = {{"grpc-status", "14"}}});
  EXPECT_EQ(field(call(trunk).trailers, "grpc-status"), "14");
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "a", "a"}));
}

TEST(GrpcUnavailable, IsBoundedByAttemptsAndBackends) {
  Trunk trunk(app("failover: {attempts: 2, retry_on: [grpc-unavailable]}", "abc"));
  for (const char* id : {"a", "b", "c"}) trunk.connector.always(id, unavailable);
  EXPECT_EQ(field(call(trunk).head.fields, "grpc-status"), "14");
  EXPECT_EQ(trunk.connector.connected.size(), 2U);
  Trunk one(app(listed, "a"));
  one.connector.always("a", unavailable);
  EXPECT_EQ(field(call(one).head.fields, "grpc-status"), "14");
  EXPECT_EQ(one.connector.connected.size(), 1U);
}

TEST(GrpcUnavailable, MovesASessionOnlyIfItsOwnListSaysSo) {
  const auto moves = [](const std::string& rules) {
    Trunk trunk(app("affinity: cookie, failover: " + rules, "ab"));
    Browser browser;
    const std::string home = browser.ask(trunk).backend;
    trunk.connector.always(home, unavailable);
    trunk.version = "HTTP/2";
    return browser.ask(trunk, "/", call_fields(), "POST").backend != home;
  };
  EXPECT_FALSE(moves("{retry_on: [grpc-unavailable]}"));
  EXPECT_TRUE(moves("{bound: {same_backend: 0, retry_on: [grpc-unavailable]}}"));
}

// Fields and affinity -------------------------------------------------------------------------------

TEST(GrpcCall, OfTeOnlyTrailersPasses) {
  Trunk trunk(app("", "a"));
  trunk.version = "HTTP/2";
  trunk.request("POST", "/", {{"Content-Type", "application/grpc"}, {"TE", "gzip, trailers"}});
  EXPECT_EQ(field(trunk.connector.requests.at(0).head.fields, "TE"), "trailers");
  trunk.request("POST", "/", {{"Content-Type", "application/grpc"}});
  EXPECT_EQ(field(trunk.connector.requests.at(1).head.fields, "TE"), std::nullopt);
}

TEST(GrpcCall, ATrailersOnlyResponsePassesAsItIs) {
  Trunk trunk(app("", "a"));
  trunk.connector.script("a", {.head = trailers_only + "grpc-status: 5\r\ngrpc-message: no%20such\r\n"});
  const Delivered& got = call(trunk);
  EXPECT_EQ(field(got.head.fields, "grpc-status"), "5");
  EXPECT_EQ(field(got.head.fields, "grpc-message"), "no%20such");
  EXPECT_TRUE(got.head.body.is_empty());
}

/// Whatever names the session, a stream that loses its backend ends UNAVAILABLE, and the next call is at the
/// new one.
struct Kind {
  const char* name;
  const char* affinity;
  Fields metadata;
  bool counts;  // there is a session, with epochs
};
void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

class GrpcAffinity : public ::testing::TestWithParam<Kind> {};

TEST_P(GrpcAffinity, HoldsAndMovesOnce) {
  const Kind& kind = GetParam();
  Trunk trunk(app("affinity: " + std::string(kind.affinity), "abc"));
  trunk.version = "HTTP/2";
  answer_with(trunk, "Mcp-Id: one\r\n");
  Browser browser;
  const auto ask = [&] { return browser.ask(trunk, "/s.S/M", call_fields(kind.metadata), "POST"); };
  const Told first = ask();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask().backend, first.backend);

  trunk.connector.script(first.backend, {.head = streams, .body = "123456", .stalls_after = 3});
  browser.begin(trunk, "/s.S/M", call_fields(kind.metadata), "POST");
  trunk.backend.reset();
  trunk.settle();
  trunk.connector.always(first.backend, refuses);
  browser.end(trunk);
  EXPECT_EQ(field(trunk.delivered().trailers, "grpc-status"), "14");

  const Told moved = ask();
  EXPECT_EQ(moved.status, 200);
  EXPECT_NE(moved.backend, first.backend);
  if (kind.counts) {
    EXPECT_EQ(moved.epoch, 2U);
    EXPECT_EQ(moved.reason, "failover");
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask().backend, moved.backend);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, GrpcAffinity,
    ::testing::Values(Kind{"cookie", "cookie", {}, true},
                      Kind{
                          "metadata", "{kind: header, name: mcp-id, learn: true}", {{"mcp-id", "one"}}, true},
                      Kind{"stored", "{kind: header, name: x-user, carry: store}", {{"x-user", "ann"}}, true},
                      Kind{"hash", "{kind: header, name: x-user}", {{"x-user", "ann"}}, false}),
    [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace remora::test
