// HTTP/2 with clients that others wrote: curl, nghttp, h2load, Node. Over TLS and with prior knowledge.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "support/real_site.h"

namespace remora::test {
namespace {

class Http2Clients : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    folder_ = make_folder();
    site_.emplace("a", "http1");
    remora_.emplace(two_listeners(folder_, site_->entry()));
    std::string body;
    for (std::uint32_t i = 0; body.size() < (10U << 20); ++i) body += std::to_string(i * 2654435761U);
    body.resize(10U << 20);
    std::ofstream(folder_ + "/body") << body;
    sha_ = output_of("sha1sum " + folder_ + "/body").substr(0, 40);
  }
  static void TearDownTestSuite() {
    remora_.reset();
    site_.reset();
    std::filesystem::remove_all(folder_);
  }
  static bool tls() { return GetParam() == "tls"; }
  static std::string url(const std::string& path) {
    return (tls() ? "https" : "http") + ("://127.0.0.1:" + std::to_string(remora_->port(tls() ? 1 : 0))) +
           path;
  }
  static std::string file(const std::string& name) { return folder_ + "/" + name; }
  static std::string curl(const std::string& options, const std::string& path) {
    return output_of("curl -sSk " + std::string(tls() ? "--http2" : "--http2-prior-knowledge") + " " +
                     options + " '" + url(path) + "'");
  }
  static std::string nghttp(const std::string& options, const std::string& path) {
    return output_of("nghttp --no-verify-peer " + options + " " + url(path));
  }
  static std::string node(const std::string& what) {
    return output_of("node " REMORA_SOURCE_DIR "/tests/e2e/apps/http2_client.js " + url("/") + " " + what);
  }
  static std::string whole() { return std::to_string(10U << 20) + " " + sha_; }

  static std::string folder_, sha_;
  static std::optional<NodeSite> site_;
  static std::optional<Remora> remora_;
};

std::string Http2Clients::folder_, Http2Clients::sha_;
std::optional<NodeSite> Http2Clients::site_;
std::optional<Remora> Http2Clients::remora_;

INSTANTIATE_TEST_SUITE_P(Over, Http2Clients, testing::Values("tls", "plain"),
                         [](const auto& info) { return info.param; });

// curl ----------------------------------------------------------------------------------------------

TEST_P(Http2Clients, CurlGetsAndAsksForHeads) {
  EXPECT_EQ(curl("-w '|%{http_code}|%{http_version}'", "/"), "a|200|2");
  const std::string head = curl("-I", "/bytes/5000");
  EXPECT_TRUE(head.starts_with("HTTP/2 200")) << head;
  EXPECT_EQ(curl("-o /dev/null -w '%{http_code} %{size_download}'", "/bytes/3000000"), "200 3000000");
}

TEST_P(Http2Clients, CurlUploads) {
  EXPECT_EQ(curl("-T " + file("body"), "/length"), whole());
  EXPECT_EQ(curl("--data-binary @" + file("body"), "/length"), whole());
  EXPECT_EQ(curl("-H 'Content-Length:' -H 'Transfer-Encoding: chunked' -T " + file("body"), "/length"),
            whole());
}

TEST_P(Http2Clients, CurlUploadsWhileTheResponseStreams) {
  curl("-o " + file("echoed") + " -T " + file("body"), "/echo");
  EXPECT_EQ(output_of("cmp " + file("body") + " " + file("echoed")), "");
}

TEST_P(Http2Clients, CurlGetsTrailersAndA100) {
  const std::string trailers = curl("-D - -H 'TE: trailers' -d body", "/trailers");
  EXPECT_NE(trailers.find("x-sum: none"), std::string::npos) << trailers;
  const std::string interim = curl("-D - -H 'Expect: 100-continue' -T " + file("body"), "/length");
  EXPECT_NE(interim.find("HTTP/2 100"), std::string::npos) << interim;
  EXPECT_TRUE(interim.ends_with(whole())) << interim;
}

TEST_P(Http2Clients, CurlAsksMuchInParallel) {
  if (!tls()) GTEST_SKIP() << "curl 7.88 fails at this with prior knowledge, whatever the server";
  const std::string got = curl("--stderr /dev/null --parallel --parallel-max 100 -o '" + file("out#1") +
                                   "' -w '%{http_code} %{size_download} %{num_connects}\\n'",
                               "/bytes/[5001-5200]");
  std::istringstream lines(got);
  int status = 0, good = 0, connects = 0;
  for (int size = 0, connections = 0; lines >> status >> size >> connections; connects += connections)
    good += status == 200 && size > 5000;
  EXPECT_EQ(good, 200) << got;
  EXPECT_LE(connects, 3) << got;
}

// nghttp --------------------------------------------------------------------------------------------

TEST_P(Http2Clients, NghttpAsksWithAllItsPeculiarities) {
  for (const char* how :
       {"", "--no-dep", "-w 10 -W 10", "-w 14 -W 15", "--padding=200", "--continuation",
        "--header-table-size=0 --encoder-header-table-size=0", "--header-table-size=65536"}) {
    const std::string got = nghttp("-ns -m 20 " + std::string(how), "/bytes/30000");
    EXPECT_EQ(occurrences(got, " 200 "), 20) << how << "\n" << got;
  }
}

TEST_P(Http2Clients, NghttpUploadsWithTrailers) {
  const std::string got =
      nghttp("-v --no-content-length -d " + file("body") + " --trailer='x-sum: 99'", "/trailers");
  const std::size_t head = got.find(":status: 200");
  ASSERT_NE(head, std::string::npos);
  EXPECT_NE(got.find("x-sum: 99", head), std::string::npos) << got.substr(head);
  EXPECT_NE(nghttp("-d " + file("body"), "/length").find(whole()), std::string::npos);
  EXPECT_NE(nghttp("--expect-continue -d " + file("body"), "/length").find(whole()), std::string::npos);
}

// h2load --------------------------------------------------------------------------------------------

/// How backends and sessions are: entries of the pool, and after how many requests backends close.
struct Load {
  const char* name;
  const char* pool;
  const char* mode;
  int requests_per_connection;
};

class Http2Load : public testing::TestWithParam<Load> {};

TEST_P(Http2Load, EachRequestSucceeds) {
  const std::string folder = make_folder();
  NodeSite a("a", GetParam().mode, GetParam().requests_per_connection);
  NodeSite b("b", GetParam().mode, GetParam().requests_per_connection);
  Remora remora(two_listeners(folder, a.entry() + ", " + b.entry(), GetParam().pool));
  for (const std::string& url : {"http://127.0.0.1:" + std::to_string(remora.port(0)),
                                 "https://127.0.0.1:" + std::to_string(remora.port(1))}) {
    const std::string got = output_of("h2load -n 2000 -c 10 -m 20 " + url + "/");
    EXPECT_NE(got.find(" 2000 succeeded, 0 failed"), std::string::npos) << got;
    EXPECT_NE(got.find("status codes: 2000 2xx"), std::string::npos) << got;
  }
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(
    Of, Http2Load,
    testing::Values(Load{"plain_requests", "", "http1", 0}, Load{"sessions", "affinity: cookie", "http1", 0},
                    Load{"backends_that_close", "", "http1", 7},
                    Load{"sessions_and_backends_that_close", "affinity: cookie", "http1", 3},
                    Load{"http2_backends", "affinity: cookie, protocol: h2", "h2c", 0}),
    [](const auto& info) { return info.param.name; });

// Node ----------------------------------------------------------------------------------------------

TEST_P(Http2Clients, NodeUsesOneConnectionAgainAndAgain) {
  const std::string line = "remora_http2_connections_total{listener=\"" + GetParam() + "\"}";
  const double before = remora_->metric(line);
  EXPECT_EQ(node("reuse"), "100 good, 0 pushed\n");
  EXPECT_EQ(remora_->metric(line), before + 1);
}

TEST_P(Http2Clients, NodeUploadsWhileTheResponseStreams) {
  EXPECT_EQ(node("upload"), "200 the same\n");
}

TEST_P(Http2Clients, NodeOpensAWebSocket) {
  EXPECT_EQ(node("websocket"), "200 a 1.1 2.0 remora hello\n");
}

// HTTP/2 on both ends -------------------------------------------------------------------------------

class Http2BothEnds : public testing::Test {
 protected:
  ~Http2BothEnds() override { std::filesystem::remove_all(folder_); }
  std::string node(const std::string& what) const {
    return output_of("node " REMORA_SOURCE_DIR "/tests/e2e/apps/http2_client.js " + url("/") + " " + what);
  }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(remora_.port(0)) + path;
  }
  const std::string folder_ = make_folder();
  NodeSite site_{"a", "h2c"};
  Remora remora_{two_listeners(folder_, site_.entry(), "protocol: h2")};
};

TEST_F(Http2BothEnds, BodiesAndTrailersPass) {
  EXPECT_EQ(node("reuse"), "100 good, 0 pushed\n");
  EXPECT_EQ(node("upload"), "200 the same\n");
  const std::string file = folder_ + "/body";
  std::ofstream(file) << "a body";
  const std::string got = output_of("nghttp -v -d " + file + " --trailer='x-sum: 99' " + url("/trailers"));
  const std::size_t head = got.find(":status: 200");
  ASSERT_NE(head, std::string::npos) << got;
  EXPECT_NE(got.find("x-sum: 99", head), std::string::npos) << got;
}

TEST_F(Http2BothEnds, ABackendMayNotPush) {
  EXPECT_EQ(remora_.ask(get("/push")).body, "ERR_HTTP2_PUSH_DISABLED");
}

TEST_F(Http2BothEnds, AWebSocketIsATunnelAllTheWay) {
  EXPECT_EQ(node("websocket"), "200 a 2.0 2.0 remora hello\n");
}

TEST_F(Http2BothEnds, AWebSocketComesFromHttp1Too) {
  Socket client = remora_.connect();
  client.send(
      "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  const std::string head = client.receive_head();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101")) << head;
  EXPECT_EQ(field_of(head, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  const std::string zero_mask(4, '\0'), about = "a 2.0 1.1 remora";
  client.send("\x81\x83" + zero_mask + "who");
  EXPECT_EQ(client.receive_exactly(2 + about.size()).substr(2), about);
  client.send("\x81\x85" + zero_mask + "hello");
  EXPECT_EQ(client.receive_exactly(7).substr(2), "hello");
  client.send("\x88\x80" + zero_mask);
  EXPECT_EQ(client.receive_exactly(2), bytes("\x88\0"));
  EXPECT_TRUE(client.closed_by_peer());
}

}  // namespace
}  // namespace remora::test
