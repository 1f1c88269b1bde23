// What comes before a connection's first request: the PROXY line, limits per client, the TLS handshake.

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace remora::test
