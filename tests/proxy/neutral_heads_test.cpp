// Edits of heads that no HTTP/1 codec read, as HTTP/2 would bring them; and the fields that affinity adds.

#include <gtest/gtest.h>

#include "http/h1/write.h"
#include "proxy/edits.h"

namespace remora {
namespace {

using Length = BodyLength::Kind;

class NeutralHeads : public ::testing::Test {
 protected:
  NeutralHeads() {
    member_.backend = std::make_shared<Backend>("app", "a");
    request_.version = response_.version = Version::http2;
    request_.method_text = "GET";
    request_.method = Method::get;
    request_.target = request_.path = "/x";
    request_.host = "shop.test";
    response_.status = 200;
  }
  std::string request() {
    edit_request(
        {request_, arrival_, pool_, route_, member_, request_edits_, {}, {}, {}, {}, false, {}, passed_},
        arena_, out_);
    return text();
  }
  std::string response() {
    edit_response({response_, route_, edits_, {}, false}, out_);
    return text();
  }
  static bool has(const std::string& all, std::string_view line) {
    return all.find(line) != std::string::npos;
  }

  RequestHead request_;
  ResponseHead response_;
  Arrival arrival_;
  PoolView pool_;
  RouteView route_;
  Member member_;
  TextArena arena_;
  RequestEdits request_edits_{arena_};
  ResponseEdits edits_{arena_};
  PassedVerifiers passed_;
  OutHead out_;

 private:
  std::string text() const {
    OutText out;
    write_fields(out_, out);
    return {out.data(), out.size()};
  }
};

// RFC 9113 8.3.1: a request with :authority needs no Host, an HTTP/1.1 backend does.
TEST_F(NeutralHeads, TheBackendGetsTheAuthorityAsHost) {
  EXPECT_TRUE(has(request(), "Host: shop.test\r\n"));
}

// RFC 9110 7.6.3
TEST_F(NeutralHeads, ViaNamesTheVersionThatWasReceived) {
  EXPECT_TRUE(has(request(), "Via: 2.0 remora\r\n"));
  EXPECT_TRUE(has(response(), "Via: 2.0 remora\r\n"));
  request_.version = response_.version = Version::http10;
  EXPECT_TRUE(has(request(), "Via: 1.0 remora\r\n"));
  EXPECT_TRUE(has(response(), "Via: 1.0 remora\r\n"));
}

TEST_F(NeutralHeads, AnEmptyBodyIsToldByItsLength) {
  response_.body = {Length::known, 0};
  EXPECT_TRUE(has(response(), "Content-Length: 0\r\n"));
  response_.body = {Length::unknown, 0};
  EXPECT_FALSE(has(response(), "Content-Length"));
}

TEST_F(NeutralHeads, TrailersPassIfTheLengthIsUnknown) {
  request_.fields = {{"trailer", "x-sum", Known::trailer}};
  EXPECT_FALSE(has(request(), "Trailer"));
  request_.body.kind = Length::unknown;
  EXPECT_TRUE(has(request(), "Trailer: x-sum\r\n"));
}

TEST_F(NeutralHeads, ATunnelIsNamedByItsProtocol) {
  route_.config.upgrades = {"websocket"};
  request_.fields = {{"upgrade", "websocket", Known::upgrade}};
  request();
  EXPECT_EQ(out_.tunnel, "");
  request_.tunnel = true;
  EXPECT_FALSE(has(request(), "upgrade")) << "the codec writes it";
  EXPECT_EQ(out_.tunnel, "websocket");
}

TEST_F(NeutralHeads, WhatAffinityAddsComesLastAndNoConfigurationRemovesIt) {
  route_.config.response_headers.remove = {"Set-Cookie"};
  route_.config.response_headers.set = {{"X-Set", "1"}};
  response_.fields = {{"set-cookie", "theirs=1", Known::set_cookie}};
  edits_.make_private = true;
  edits_.add("Set-Cookie", arena_.join("ours", "=2"), Known::set_cookie);
  const std::string all = response();
  EXPECT_FALSE(has(all, "theirs"));
  EXPECT_TRUE(has(all, "X-Set: 1\r\n"));
  EXPECT_TRUE(has(all, "Cache-Control: private\r\n"));
  EXPECT_TRUE(all.ends_with("Set-Cookie: ours=2\r\n")) << all;
  edits_.clear();
  EXPECT_FALSE(has(response(), "ours"));
}

}  // namespace
}  // namespace remora
