// HTTP/2 from clients, end to end: curl and a client on nghttp2 against the real binary.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "support/certificates.h"
#include "support/http2_peer.h"
#include "support/remora.h"

namespace remora::test {
namespace {

using Response = Http2Peer::Response;
using Pairs = Http2Peer::Pairs;

/// The output of a command.
std::string output_of(const std::string& command) {
  std::string out;
  std::FILE* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> block;
  for (std::size_t n = 0; (n = std::fread(block.data(), 1, block.size(), pipe)) > 0;)
    out.append(block.data(), n);
  ::pclose(pipe);
  return out;
}

/// The backends' responses: what they received, head and body.
Origin::Script mirror() {
  return answering([](const std::string& head, const std::string& body) { return ok(head + body); });
}

std::string h2c(const std::string& more = "") {
  return "h2c: on\n" + more;
}

TEST(Http2, IsSpokenWithoutTlsByPriorKnowledgeWhereH2cIsOn) {
  Origin a(mirror());
  Remora remora(simple_config({a.address()}, "", h2c()));
  const std::string url = "http://127.0.0.1:" + std::to_string(remora.port()) + "/x";
  const std::string by_h2 =
      output_of("curl -s --max-time 10 --http2-prior-knowledge -w '|%{http_version}' " + url);
  EXPECT_TRUE(by_h2.starts_with("GET /x HTTP/1.1\r\n")) << by_h2;
  EXPECT_TRUE(by_h2.ends_with("|2")) << by_h2;
  const std::string by_http1 = output_of("curl -s --max-time 10 -w '|%{http_version}' " + url);
  EXPECT_TRUE(by_http1.ends_with("|1.1")) << by_http1;
  // An Upgrade is never followed.
  const std::string upgrade = output_of("curl -s --max-time 10 --http2 -w '|%{http_version}' " + url);
  EXPECT_TRUE(upgrade.ends_with("|1.1")) << upgrade;
  EXPECT_EQ(upgrade.find("h2c"), std::string::npos) << upgrade;
}

TEST(Http2, IsChosenByAlpnInTheListenersOrder) {
  const std::string folder = make_folder();
  const std::string pair = make_certificate(folder, "one.test");
  Origin a(mirror());
  const auto version = [&](const std::string& more, const std::string& options) {
    Remora remora(simple_config({a.address()}, "", "tls: {certificates: [" + pair + "]" + more + "}\n"));
    return output_of("curl -sk --max-time 10 -o /dev/null -w '%{http_version}' " + options +
                     " --resolve one.test:" + std::to_string(remora.port()) +
                     ":127.0.0.1 https://one.test:" + std::to_string(remora.port()) + "/");
  };
  EXPECT_EQ(version("", "--http2"), "2");
  EXPECT_EQ(version("", "--http1.1"), "1.1");
  EXPECT_EQ(version("", "--no-alpn"), "1.1");
  EXPECT_EQ(version(", alpn: [http/1.1, h2]", "--http2"), "1.1");
  EXPECT_EQ(version(", alpn: http/1.1", "--http2"), "1.1");
  EXPECT_EQ(version(", alpn: h2", "--http2"), "2");
  EXPECT_EQ(version(", alpn: h2", "--http1.1"), "0") << "no protocol in common";
  std::filesystem::remove_all(folder);
}

TEST(Http2, TellsItsSettings) {
  constexpr std::int32_t max_streams = 3, initial_window = 4;
  Origin a(mirror());
  Remora remora(
      simple_config({a.address()}, "",
                    h2c("h2: {max_concurrent_streams: 7, stream_window: 20KiB, connection_window: 2MiB}\n")));
  Http2Client client(remora.port());
  ASSERT_EQ(client.get("/").status, 200);
  EXPECT_EQ(client.setting(max_streams), 7U);
  EXPECT_EQ(client.setting(initial_window), 20U * 1024);
  EXPECT_EQ(client.connection_window(), 2 * 1024 * 1024);
  // A reload holds for new connections.
  ASSERT_TRUE(remora.reload(simple_config({a.address()}, "", h2c("h2: {max_concurrent_streams: 9}\n"))));
  Http2Client other(remora.port());
  ASSERT_EQ(other.get("/").status, 200);
  EXPECT_EQ(other.setting(max_streams), 9U);
  EXPECT_EQ(client.get("/").status, 200);
}

TEST(Http2, IsToldInTheLogAndCounted) {
  Origin a(mirror());
  Remora remora(simple_config({a.address()}, "", "name: web\n" + h2c()));
  Http2Client client(remora.port());
  const Response& got = client.get("/logged");
  EXPECT_NE(got.body.find("Via: 2.0 remora\r\n"), std::string::npos) << got.body;
  EXPECT_EQ(got.field("via"), "1.1 remora");
  EXPECT_EQ(remora.metric("remora_http2_requests_total{listener=\"web\"}"), 1);
  EXPECT_EQ(remora.metric("remora_http2_connections_total{listener=\"web\"}"), 1);
  EXPECT_TRUE(remora.wait_for_log("\"GET /logged HTTP/2.0\" 200"));
}

TEST(Http2, BehindAPROXYLineTheClientIsTheLines) {
  Origin a(mirror());
  Remora remora(simple_config({a.address()}, "", h2c("proxy_protocol: on\n")));
  Http2Client client(remora.port());
  client.socket().send("PROXY TCP4 192.0.2.7 192.0.2.8 1000 80\r\n");
  EXPECT_NE(client.get("/").body.find("192.0.2.7"), std::string::npos);
}

TEST(Http2Bodies, PassBothWays) {
  const std::string large(3'000'000, 'x');
  Origin a(answering([&](const std::string& head, const std::string& body) {
    return head.starts_with("POST") ? ok(std::to_string(body.size())) : ok(large);
  }));
  Remora remora(simple_config({a.address()}, "", h2c()));
  Http2Client client(remora.port());
  EXPECT_EQ(client.ask("POST", "/", {}, large).body, "3000000");
  EXPECT_EQ(client.get("/").body.size(), large.size());
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 10; ++i) {
    streams.push_back(client.begin("GET", "/"));
    streams.push_back(client.begin("POST", "/", {}, false));
    client.send_data(streams.back(), large, true);
  }
  for (const std::int32_t s : streams) {
    const std::string& body = client.finish(s).body;
    EXPECT_TRUE(body == large || body == "3000000") << body.size();
  }
}

TEST(Http2Bodies, TrailersPassBothWays) {
  Origin a([](Socket& s) {
    while (!s.receive_head().empty()) {
      const std::string body = s.receive_until("\r\n\r\n");
      const std::string sum = field_of("x\r\n" + body.substr(body.find("0\r\n")), "x-sum");
      s.send(
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: " +
          sum + "\r\n\r\n");
    }
  });
  Remora remora(simple_config({a.address()}, "", h2c()));
  Http2Client client(remora.port());
  const std::int32_t stream = client.begin("POST", "/", {{"trailer", "x-sum"}, {"te", "trailers"}}, false);
  client.send_data(stream, "hello", false);
  client.send_trailers(stream, {{"x-sum", "99"}});
  const Response& got = client.finish(stream);
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "ok");
  EXPECT_EQ(got.trailers, (Pairs{{"x-sum", "99"}}));
}

TEST(Http2Bodies, A100ComesFromTheBackendBeforeTheBody) {
  Origin a([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 100 Continue\r\n\r\n");
    s.send(ok(s.receive_exactly(5)));
  });
  Remora remora(simple_config({a.address()}, "", h2c()));
  Http2Client client(remora.port());
  const std::int32_t stream =
      client.begin("POST", "/", {{"expect", "100-continue"}, {"content-length", "5"}}, false);
  ASSERT_TRUE(client.until([&] { return !client.of(stream).interims.empty(); }));
  client.send_data(stream, "hello", true);
  EXPECT_EQ(client.finish(stream).body, "hello");
  EXPECT_EQ(client.of(stream).interims, std::vector<int>{100});
}

TEST(Http2Bodies, AnEarlyResponseEndsTheUploadGently) {
  Origin a([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    s.receive_all();
  });
  Remora remora(simple_config({a.address()}, "", h2c()));
  Http2Client client(remora.port());
  const std::int32_t stream = client.begin("POST", "/", {}, false);
  client.send_data(stream, std::string(1000, 'x'), false);
  const Response& got = client.finish(stream);
  EXPECT_EQ(got.status, 403);
  EXPECT_EQ(got.body, "no");
  EXPECT_EQ(got.reset.value_or(0), 0U);
  EXPECT_TRUE(client.goaways().empty()) << "the connection goes on";
}

/// RFC 6455 4.2.2
std::string accept_for(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH], encoded[4 * SHA_DIGEST_LENGTH / 3 + 4];
  ::SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  const int size = ::EVP_EncodeBlock(encoded, digest, sizeof digest);
  return {reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(size)};
}

// RFC 8441
TEST(Http2Bodies, AWebSocketReachesAnHttp1Backend) {
  Origin a([](Socket& s) {
    const std::string head = s.receive_head();
    if (!head.starts_with("GET /chat HTTP/1.1\r\n") || field_of(head, "Upgrade") != "websocket") return;
    s.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\nSec-WebSocket-Accept: " +
        accept_for(field_of(head, "Sec-WebSocket-Key")) + "\r\n\r\n");
    for (std::string m = s.receive_exactly(5); m.size() == 5; m = s.receive_exactly(5)) s.send("<" + m + ">");
  });
  Remora remora(simple_config({a.address()}, "", h2c()));
  Http2Client client(remora.port());
  const std::int32_t stream =
      client.begin("CONNECT", "/chat", {{":protocol", "websocket"}, {"sec-websocket-version", "13"}}, false);
  ASSERT_TRUE(client.until([&] { return client.of(stream).has_head; }));
  EXPECT_EQ(client.of(stream).status, 200);
  client.send_data(stream, "hello", false);
  EXPECT_TRUE(client.until([&] { return client.of(stream).body == "<hello>"; }));
  client.send_data(stream, "again", false);
  EXPECT_TRUE(client.until([&] { return client.of(stream).body == "<hello><again>"; }));
  client.send_data(stream, "", true);
  EXPECT_TRUE(client.finish(stream).ended);
  EXPECT_TRUE(client.goaways().empty());
}

// RFC 9113 9.1.2: a client may use a connection for another name, and be told not to.
TEST(Http2Ends, ANameOfAnotherCertificateIsMisdirected) {
  const std::string folder = make_folder();
  Origin a(mirror());
  Remora remora(simple_config({a.address()}, "",
                              "tls: {certificates: [" + make_certificate(folder, "one.test") + ", " +
                                  make_certificate(folder, "two.test") + "]}\n"));
  const auto status = [&](const std::string& sni, const std::string& host) {
    const std::string port = std::to_string(remora.port());
    return output_of("curl -sk --max-time 10 --http2 -o /dev/null -w '%{http_code}' --resolve " + sni + ":" +
                     port + ":127.0.0.1 -H 'Host: " + host + "' https://" + sni + ":" + port + "/");
  };
  EXPECT_EQ(status("one.test", "one.test"), "200");
  EXPECT_EQ(status("two.test", "two.test:1234"), "200");
  EXPECT_EQ(status("one.test", "two.test"), "421");
  EXPECT_EQ(status("one.test", "unknown.test"), "200");
  std::filesystem::remove_all(folder);
}

// Sessions ------------------------------------------------------------------------------------------

std::string pair_of(const std::string& set_cookie) {
  return set_cookie.substr(0, set_cookie.find(';'));
}

TEST(Http2Sessions, StickByCookie) {
  Origin a(says_name("a")), b(says_name("b")), c(says_name("c"));
  Remora remora(simple_config({a.address(), b.address(), c.address()}, "affinity: cookie\n", h2c()));
  Http2Client client(remora.port());
  std::set<std::string> served;
  for (int session = 0; session < 6; ++session) {
    Http2Client first(remora.port());
    const Response& born = first.get("/");
    const std::string cookie = pair_of(born.field("set-cookie"));
    ASSERT_FALSE(cookie.empty());
    const std::string name = born.body;
    served.insert(name);
    // Also in crumbs, and over another connection or HTTP/1.1.
    for (int i = 0; i < 5; ++i)
      EXPECT_EQ(client.get("/", {{"cookie", "a=b"}, {"cookie", cookie}}).body, name);
    EXPECT_EQ(remora.ask(get("/", "Cookie: " + cookie + "\r\n")).body, name);
  }
  EXPECT_GT(served.size(), 1U);
}

TEST(Http2Sessions, StickByUrlAndHeader) {
  const auto page = [](const std::string& name) {
    return answering([name](const std::string&, const std::string&) {
      return ok("<html><a href=\"/next\">" + name + "</a></html>", "Content-Type: text/html\r\n");
    });
  };
  Origin a(page("a")), b(page("b"));
  Remora by_url(simple_config({a.address(), b.address()},
                              "affinity: {kind: url_rewrite, name: sid, rewrite: [html]}\n", h2c()));
  Http2Client client(by_url.port());
  const Response& first = client.get("/");
  const std::size_t at = first.body.find("href=\"") + 6;
  const std::string link = first.body.substr(at, first.body.find('"', at) - at);
  EXPECT_NE(link.find("sid"), std::string::npos) << first.body;
  const std::string name = first.body.substr(first.body.find('>', at) + 1, 1);
  for (int i = 0; i < 6; ++i) {
    const Response& next = client.get(link);
    EXPECT_NE(next.body.find(">" + name + "<"), std::string::npos) << next.body;
  }

  Origin c(says_name("c")), d(says_name("d"));
  Remora by_header(
      simple_config({c.address(), d.address()}, "affinity: {kind: header, name: X-User}\n", h2c()));
  Http2Client other(by_header.port());
  for (int user = 0; user < 5; ++user) {
    const Pairs fields = {{"x-user", "user" + std::to_string(user)}};
    const std::string where = other.get("/", fields).body;
    for (int i = 0; i < 4; ++i) EXPECT_EQ(other.get("/", fields).body, where);
  }
}

TEST(Http2Sessions, ParallelFirstRequestsOfAConnectionShareABackend) {
  Origin a(says_name("a")), b(says_name("b")), c(says_name("c"));
  Remora remora(simple_config({a.address(), b.address(), c.address()}, "affinity: cookie\n", h2c()));
  for (int round = 0; round < 3; ++round) {
    Http2Client client(remora.port());
    std::vector<std::int32_t> streams;
    for (int i = 0; i < 20; ++i) streams.push_back(client.begin("GET", "/" + std::to_string(i)));
    std::set<std::string> served;
    for (const std::int32_t s : streams) served.insert(client.finish(s).body);
    EXPECT_EQ(served.size(), 1U);
  }
}

}  // namespace
}  // namespace remora::test
