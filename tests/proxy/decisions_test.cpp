// The pure decisions of the road: failures, answers, limits, arrival.

#include <gtest/gtest.h>

#include "net/address.h"
#include "net/proxy_protocol.h"
#include "proxy/edits.h"
#include "proxy/failure.h"
#include "proxy/local_reply.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using Kind = Failure::Kind;

Failure failure(Kind kind, bool acted, std::uint16_t status = 0) {
  Failure f;
  f.side = Failure::Side::backend;
  f.kind = kind;
  f.acted = acted;
  f.status = status;
  return f;
}

TEST(Failure, NothingThatMayHaveBegunIsSentTwiceUnlessIdempotent) {
  const config::RetryOn all{true, true, true, true, true, true, true};
  for (const Kind kind : {Kind::refused, Kind::connect_timeout, Kind::reset, Kind::timeout}) {
    EXPECT_TRUE(may_repeat(failure(kind, false), all, Method::post, true));
    EXPECT_FALSE(may_repeat(failure(kind, true), all, Method::post, true));
    EXPECT_FALSE(may_repeat(failure(kind, true), all, Method::patch, true));
    EXPECT_TRUE(may_repeat(failure(kind, true), all, Method::get, true));
    EXPECT_FALSE(may_repeat(failure(kind, true), all, Method::put, false));  // its body is gone
    EXPECT_FALSE(may_repeat(failure(kind, false), config::RetryOn{}, Method::get, true));
  }
  EXPECT_TRUE(may_repeat(failure(Kind::status, true, 503), all, Method::get, true));
  EXPECT_FALSE(may_repeat(failure(Kind::status, true, 500), all, Method::get, true));
  EXPECT_FALSE(may_repeat(failure(Kind::malformed, true), all, Method::get, true));
  EXPECT_TRUE(may_repeat(failure(Kind::hung, true), config::RetryOn{}, Method::get, true));
  EXPECT_FALSE(may_repeat(failure(Kind::hung, true), all, Method::post, true));
}

/// A server that says UNAVAILABLE and nothing else has not served the call: where the operator lists it, any
/// method is repeated.
TEST(Failure, AnUnavailableServerHasNotServedTheCall) {
  config::RetryOn listed;
  listed.grpc_unavailable = true;
  EXPECT_TRUE(may_repeat(failure(Kind::grpc_unavailable, true), listed, Method::post, true));
  EXPECT_FALSE(may_repeat(failure(Kind::grpc_unavailable, true), listed, Method::post, false));
  EXPECT_FALSE(may_repeat(failure(Kind::reset, true), listed, Method::post, true));
  const config::Failover defaults;
  EXPECT_FALSE(may_repeat(failure(Kind::grpc_unavailable, true), defaults.retry_on, Method::post, true));
  EXPECT_FALSE(may_repeat(failure(Kind::grpc_unavailable, true), defaults.bound_retry_on, Method::get, true));
  EXPECT_EQ(status_for(failure(Kind::grpc_unavailable, true)), 503);
  EXPECT_EQ(status_for(failure(Kind::deadline, true)), 504);
}

/// NatLabRockies/api-umbrella #18, kubernetes/ingress-nginx #4944.
TEST(Failure, ThatAServerIsBusyIsNoReasonToKeepAnotherOneBusy) {
  const config::Failover defaults;
  EXPECT_FALSE(may_repeat(failure(Kind::timeout, true), defaults.retry_on, Method::get, true));
  EXPECT_FALSE(may_repeat(failure(Kind::status, true, 504), defaults.retry_on, Method::get, true));
  EXPECT_TRUE(may_repeat(failure(Kind::status, true, 503), defaults.retry_on, Method::get, true));
  EXPECT_TRUE(may_repeat(failure(Kind::connect_timeout, false), defaults.retry_on, Method::get, true));
}

TEST(Failure, StatusesForClients) {
  EXPECT_EQ(status_for(failure(Kind::refused, false)), 502);
  EXPECT_EQ(status_for(failure(Kind::connect_timeout, false)), 504);
  EXPECT_EQ(status_for(failure(Kind::timeout, true)), 504);
  EXPECT_EQ(status_for(failure(Kind::hung, true)), 504);
  EXPECT_EQ(status_for(failure(Kind::no_backend, false)), 503);
  EXPECT_EQ(status_for(failure(Kind::out_of_service, false)), 503);
  EXPECT_EQ(status_for(failure(Kind::gone, true)), 0);
  EXPECT_EQ(status_for(failure(Kind::ambiguous_target, false)), 400);
}

TEST(Budget, ThreeAreAlwaysAllowed) {
  EXPECT_TRUE(within_budget(2, 0, 0));
  EXPECT_FALSE(within_budget(3, 0, 0));
  EXPECT_TRUE(within_budget(19, 100, 0.2));
  EXPECT_FALSE(within_budget(20, 100, 0.2));
}

TEST(Arrival, TheLastUntrustedHopIsTheClient) {
  const auto arrival = [](std::vector<Field> fields, const char* trusted = "10.0.0.0") {
    config::Cidr block;
    const auto base = *parse_ip(trusted);
    std::copy(std::begin(base.bytes), std::end(base.bytes), block.bytes);
    block.bits = 96 + 8;
    Arrival a;
    a.peer = a.client = *parse_ip("10.0.0.9");
    resolve_arrival(fields, {&block, 1}, a);
    return a.client.text();
  };
  const auto xff = [](std::string_view v) {
    return std::vector<Field>{{"X-Forwarded-For", v, Known::x_forwarded_for}};
  };
  EXPECT_EQ(arrival(xff("1.1.1.1, 2.2.2.2, 10.0.0.3")), "2.2.2.2");
  EXPECT_EQ(arrival(xff("6.6.6.6, 1.1.1.1")), "1.1.1.1");
  EXPECT_EQ(arrival(xff("10.0.0.1, 10.0.0.2")), "10.0.0.1");
  EXPECT_EQ(arrival(xff("1.1.1.1, nonsense")), "10.0.0.9");
  EXPECT_EQ(arrival(xff("1.1.1.1:1234")), "1.1.1.1");
  EXPECT_EQ(arrival(xff("[2001:db8::1]:1234")), "2001:db8::1");
  EXPECT_EQ(arrival({{"Forwarded", "for=1.1.1.1, for=\"[2001:db8::2]:99\";proto=https", Known::forwarded}}),
            "2001:db8::2");
  EXPECT_EQ(arrival(xff("1.1.1.1"), "192.168.0.0"), "10.0.0.9");
}

TEST(Arrival, WhatTheSpeakingProxySaidCountsAndNotWhatTheClientSentFirst) {
  struct Row {
    const char *xff, *proto, *host;
    bool secure;
    const char* wanted_host;
  };
  config::Cidr block;
  const auto base = *parse_ip("10.0.0.0");
  std::copy(std::begin(base.bytes), std::end(base.bytes), block.bytes);
  block.bits = 96 + 8;
  for (const Row& row : std::vector<Row>{
           {"1.1.1.1", "https", "shop", true, "shop"},
           {"1.1.1.1", "https, http", "evil, shop", true, "shop"},  // the scheme alone was appended to
           {"1.1.1.1", "http, http", "evil, shop", false, "shop"},  //
           {"6.6.6.6, 1.1.1.1", "https, http", "evil, shop", false, "shop"},
           {"1.1.1.1, 10.0.0.2", "https, http", "shop, inner", true, "shop"},  // two proxies that append
           {"1.1.1.1, 10.0.0.2", "http,https, http", "evil,shop, inner", true, "shop"},
           {"1.1.1.1, 10.0.0.2", "https", "shop", true, "shop"},  // the second leaves it alone
           {"1.1.1.1, nonsense, 10.0.0.2", "http, https, http", "a, b, c", false, "c"},
           {"", "http, https", "a, b", true, "b"},
       }) {
    std::vector<Field> fields{{"X-Forwarded-Proto", row.proto, Known::x_forwarded_proto},
                              {"X-Forwarded-Host", row.host, Known::x_forwarded_host}};
    if (*row.xff != '\0') fields.push_back({"X-Forwarded-For", row.xff, Known::x_forwarded_for});
    Arrival a;
    a.peer = a.client = *parse_ip("10.0.0.9");
    resolve_arrival(fields, {&block, 1}, a);
    EXPECT_EQ(a.secure, row.secure) << row.xff << " | " << row.proto;
    EXPECT_EQ(a.host, row.wanted_host) << row.xff << " | " << row.host;
  }
  Arrival a;
  a.peer = a.client = *parse_ip("10.0.0.9");
  resolve_arrival({{"Forwarded", "for=6.6.6.6;proto=https, for=1.1.1.1;proto=http", Known::forwarded}},
                  {&block, 1}, a);
  EXPECT_FALSE(a.secure);
  EXPECT_EQ(a.client.text(), "1.1.1.1");
}

TEST(ProxyLine, ASourceThatNoClientCanHaveIsRefused) {
  const auto status = [](const std::string& line) { return parse_proxy_line(line).status; };
  using S = ProxyLine::Status;
  for (const char* source : {"0.0.0.0", "224.0.0.1", "239.1.2.3", "255.255.255.255"})
    EXPECT_EQ(status("PROXY TCP4 " + std::string(source) + " 5.6.7.8 1 80\r\n"), S::bad) << source;
  for (const char* source : {"::", "ff02::1"})
    EXPECT_EQ(status("PROXY TCP6 " + std::string(source) + " ::1 1 80\r\n"), S::bad) << source;
  for (const char* ports : {"01 80", "1 080", "00 80", "-1 80", "1 65536", "1 ", "+1 80"})
    EXPECT_EQ(status("PROXY TCP4 1.2.3.4 5.6.7.8 " + std::string(ports) + "\r\n"), S::bad) << ports;
  EXPECT_EQ(status("PROXY TCP4 1.2.3.4 5.6.7.8 0 80\r\n"), S::ok);
  const std::string binary("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16);
  EXPECT_EQ(status(binary + std::string("\0\0\0\0\1\2\3\4\0\1\0\1", 12)), S::bad);
  EXPECT_EQ(status(binary + std::string("\xe0\0\0\1\1\2\3\4\0\1\0\1", 12)), S::bad);
}

TEST(ProxyLine, OnlySomePeersAreBelieved) {
  config::Listener listener;
  listener.proxy_protocol = true;
  const auto peer = [](const char* ip) { return *parse_ip(ip); };
  EXPECT_TRUE(may_send_proxy_line(listener, ClientAddress{}));  // over a unix socket
  EXPECT_FALSE(may_send_proxy_line(listener, peer("10.1.2.3")));
  config::Cidr block;
  const auto base = peer("10.0.0.0");
  std::copy(std::begin(base.bytes), std::end(base.bytes), block.bytes);
  block.bits = 96 + 8;
  listener.proxy_protocol_from = {block};
  EXPECT_TRUE(may_send_proxy_line(listener, peer("10.1.2.3")));
  EXPECT_FALSE(may_send_proxy_line(listener, peer("11.1.2.3")));
}

TEST(ProxyLine, Version1And2) {
  const auto status = [](std::string_view s) { return parse_proxy_line(s).status; };
  using S = ProxyLine::Status;
  const std::string v1 = "PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\n";
  for (std::size_t n = 0; n < v1.size(); ++n) EXPECT_EQ(status({v1.data(), n}), S::incomplete) << n;
  EXPECT_EQ(status(v1), S::ok);
  EXPECT_EQ(parse_proxy_line(v1).client->text(), "1.2.3.4");
  EXPECT_EQ(parse_proxy_line(v1).client->port, 1000);
  EXPECT_EQ(parse_proxy_line("PROXY TCP6 2001:db8::1 ::1 1 2\r\n").client->text(), "2001:db8::1");
  EXPECT_FALSE(parse_proxy_line("PROXY UNKNOWN what ever\r\n").client);
  for (const char* bad : {"GET / HTTP/1.1\r\n", "PROXY TCP4 1.2.3.4\r\n",
                          "PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n", "PROXY TCP5 a b 1 2\r\n",
                          "PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", "\r\n\r\nx"})
    EXPECT_EQ(status(bad), S::bad) << bad;
  EXPECT_EQ(status("PROXY " + std::string(200, 'x')), S::bad);
  const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);
  EXPECT_EQ(status(signature + std::string("\x20\0\0\0", 4)), S::ok);  // LOCAL
  EXPECT_EQ(status(signature + std::string("\x11\x11\0\x0c", 4) + std::string(12, 1)),
            S::bad);  // version 1 in binary
  EXPECT_EQ(status(signature + std::string("\x21\x11\0\x04", 4) + std::string(4, 1)), S::bad);  // too short
}

TEST(Answers, ByAccept) {
  std::string room;
  EXPECT_EQ(make_local_reply(404, "", "", room).content_type, "text/html; charset=utf-8");
  EXPECT_EQ(make_local_reply(404, "application/json", "", room).body,
            "{\"status\":404,\"error\":\"Not Found\"}\n");
  EXPECT_EQ(make_local_reply(404, "text/html, application/json;q=0.9", "", room).content_type,
            "text/html; charset=utf-8");
  EXPECT_EQ(make_local_reply(503, "", "configured", room).body, "configured");
}

}  // namespace
}  // namespace remora
