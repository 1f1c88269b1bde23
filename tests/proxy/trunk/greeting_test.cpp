// What comes before a connection's first request: the PROXY line, limits per client, the TLS handshake.

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <filesystem>

#include "support/certificates.h"
#include "support/real_connection.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

const std::string get = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
const std::string line = "PROXY TCP4 198.51.100.7 192.0.2.9 1234 80\r\n";
const std::string believed = ", proxy_protocol: {from: [192.0.2.0/24]}";

std::string client_of(const RealConnections& all) {
  const std::string& request = all.requests.back();
  const std::size_t at = request.find("X-Forwarded-For: ");
  return at == std::string::npos ? "" : request.substr(at + 17, request.find("\r\n", at) - at - 17);
}

TEST(ProxyLine, NamesTheClient) {
  RealConnections all(believed);
  Accepted client = all.connect();
  EXPECT_TRUE(all.ask(client, line + get).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(client_of(all), "198.51.100.7");
  EXPECT_TRUE(all.ask(client, get).starts_with("HTTP/1.1 200")) << "only the first bytes are the line";
}

TEST(ProxyLine, MayComeByteByByte) {
  RealConnections all(believed);
  Accepted client = all.connect();
  std::string got;
  for (const char c : line + get) got += all.ask(client, {&c, 1});
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200"));
  EXPECT_EQ(client_of(all), "198.51.100.7");
}

TEST(ProxyLine, OfVersion2IsSkippedWhole) {
  RealConnections all(believed);
  std::string head("\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\x0c", 16);
  head += std::string("\xc6\x33\x64\x08\xc0\x00\x02\x09\x04\xd2\x00\x50", 12) + std::string(256, 'x');
  Accepted client = all.connect();
  EXPECT_TRUE(all.ask(client, head.substr(0, 100)).empty());
  EXPECT_TRUE(all.ask(client, head.substr(100) + get).starts_with("HTTP/1.1 200"));
  EXPECT_EQ(client_of(all), "198.51.100.8");
}

TEST(ProxyLine, ThatIsWrongOrMissingClosesTheConnection) {
  RealConnections all(believed + ", timeouts: {header: 3s}");
  Accepted wrong = all.connect();
  EXPECT_TRUE(all.ask(wrong, get).empty());
  EXPECT_TRUE(wrong.ended());
  EXPECT_EQ(all.refused(Refusal::proxy_line), 1U);
  Accepted half = all.connect();
  all.ask(half, line.substr(0, 10));
  all.advance(2900ms);
  EXPECT_FALSE(half.ended());
  all.advance(200ms);
  EXPECT_TRUE(half.ended());
  EXPECT_EQ(all.refused(Refusal::proxy_line), 2U);
  Accepted silent = all.connect();
  all.advance(2900ms);
  EXPECT_FALSE(silent.ended());
  all.advance(200ms);
  EXPECT_TRUE(silent.ended());
  Accepted gone = all.connect();
  all.ask(gone, line.substr(0, 10));
  gone.close();
  all.run();
  EXPECT_EQ(all.open(), 0U);
  EXPECT_TRUE(all.requests.empty());
}

TEST(ProxyLine, OfAStrangerIsNotBelieved) {
  RealConnections all(believed);
  Accepted client = all.connect("203.0.113.1");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(all.refused(Refusal::proxy_line), 1U);
  EXPECT_EQ(all.trunk.snapshot().listeners.front()->shared->strangers.load(), 1U);
}

TEST(PerClient, TheNextConnectionIsClosedUntilOneEnds) {
  RealConnections all(", per_client: {connections: 2}");
  Accepted one = all.connect(), two = all.connect(), three = all.connect();
  EXPECT_TRUE(three.ended());
  EXPECT_EQ(all.refused(Refusal::connections), 1U);
  EXPECT_FALSE(all.connect("192.0.2.2").ended());
  one.close();
  all.run();
  EXPECT_FALSE(all.connect().ended());
  EXPECT_FALSE(all.connect("").ended()) << "a peer without an address is not counted";
}

TEST(PerClient, CountsTheClientInTheLineNotItsProxy) {
  RealConnections all(believed + ", per_client: {connections: 1}");
  Accepted one = all.connect(), two = all.connect(), three = all.connect();
  EXPECT_TRUE(all.ask(one, line + get).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(all.ask(two, "PROXY TCP4 198.51.100.9 192.0.2.9 1 80\r\n" + get).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(all.ask(three, line + get).empty());
  EXPECT_TRUE(three.ended());
  EXPECT_EQ(all.refused(Refusal::connections), 1U);
}

TEST(PerClient, AProxyThatKeepsSilentCountsItselfAfterASecond) {
  RealConnections all(believed + ", per_client: {connections: 1}");
  Accepted one = all.connect(), two = all.connect();
  all.ask(one, line.substr(0, 5));
  all.advance(900ms);
  EXPECT_FALSE(one.ended());
  EXPECT_FALSE(two.ended());
  all.advance(200ms);
  EXPECT_NE(one.ended(), two.ended()) << "one of the two is one too many";
}

TEST(PerClient, TrustedProxiesAreNotCounted) {
  RealConnections all(", per_client: {connections: 1}, trusted_proxies: [192.0.2.0/24]");
  Accepted one = all.connect(), two = all.connect();
  EXPECT_FALSE(two.ended());
}

TEST(Handshake, ThatFailsOrDoesNotEndIsRefused) {
  char name[] = "/tmp/remora-greeting-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::string certificate = make_certificate(name, "app.test");
  {
    RealConnections all(", tls: {certificates: [" + certificate + "]}, timeouts: {header: 3s}");
    Accepted plain = all.connect();
    EXPECT_EQ(all.ask(plain, get).find("HTTP/"), std::string::npos);
    EXPECT_EQ(all.open(), 0U);
    EXPECT_EQ(all.refused(Refusal::handshake), 1U);
    Accepted slow = all.connect();
    all.ask(slow, "\x16");
    all.advance(2900ms);
    EXPECT_EQ(all.open(), 1U);
    all.advance(200ms);
    EXPECT_EQ(all.open(), 0U);
    EXPECT_EQ(all.refused(Refusal::handshake), 2U);
    Accepted gone = all.connect();
    all.ask(gone, "\x16");
    gone.close();
    all.run();
    EXPECT_EQ(all.open(), 0U);
    EXPECT_EQ(all.refused(Refusal::handshake), 3U);
  }
  std::filesystem::remove_all(name);
}

/// A client that has shaken hands, with HTTP/2 chosen by ALPN.
class Http2OverTls {
 public:
  explicit Http2OverTls(RealConnections& all)
      : socket_(all.connect()), context_(::SSL_CTX_new(::TLS_client_method())), ssl_(::SSL_new(context_)) {
    ::fcntl(socket_.descriptor(), F_SETFL, O_NONBLOCK);
    const unsigned char protocols[] = {2, 'h', '2'};
    ::SSL_set_alpn_protos(ssl_, protocols, sizeof protocols);
    ::SSL_set_tlsext_host_name(ssl_, "app.test");
    ::SSL_set_fd(ssl_, socket_.descriptor());
    for (int i = 0; i < 10 && ::SSL_connect(ssl_) != 1; ++i) all.run();
    all.run();
  }
  ~Http2OverTls() {
    ::SSL_free(ssl_);
    ::SSL_CTX_free(context_);
  }
  Http2OverTls(const Http2OverTls&) = delete;
  Http2OverTls& operator=(const Http2OverTls&) = delete;

  bool chose_http2() const {
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    ::SSL_get0_alpn_selected(ssl_, &chosen, &size);
    return std::string_view(reinterpret_cast<const char*>(chosen), size) == "h2";
  }
  void send(std::string_view bytes) { ::SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())); }

 private:
  Accepted socket_;
  SSL_CTX* context_;
  SSL* ssl_;
};

TEST(Handshake, WhoChoosesHttp2HasTheTimeOfAHeadForItsPreface) {
  char name[] = "/tmp/remora-greeting-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::string certificate = make_certificate(name, "app.test");
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings("\0\0\0\4\0\0\0\0\0", 9);
  for (const std::string& sent : {std::string(), preface.substr(0, 10), preface, preface + settings}) {
    RealConnections all(", tls: {certificates: [" + certificate + "]}, timeouts: {header: 3s, idle: 1h}");
    Http2OverTls client(all);
    ASSERT_TRUE(client.chose_http2());
    if (!sent.empty()) client.send(sent);
    all.advance(2900ms);
    EXPECT_EQ(all.open(), 1U) << sent.size();
    EXPECT_EQ(all.refused(Refusal::head), 0U) << sent.size();
    all.advance(1300ms);  // the client may read what was said to it for a second
    const std::size_t stays = sent.size() > preface.size() ? 1 : 0;
    EXPECT_EQ(all.open(), stays) << sent.size();
    EXPECT_EQ(all.refused(Refusal::head), 1 - stays) << sent.size();
  }
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace remora::test
