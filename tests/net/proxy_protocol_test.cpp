// PROXY lines as HAProxy, nginx, cloud balancers and others send them (haproxy doc/proxy-protocol.txt).

#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

using Status = ProxyLine::Status;

/// The client that a line names; "-": it names none; "bad", "incomplete".
std::string client_of(std::string_view line) {
  const ProxyLine got = parse_proxy_line(line);
  if (got.status == Status::bad) return "bad";
  if (got.status == Status::incomplete) return "incomplete";
  return got.client ? got.client->text() : "-";
}

std::string packed(int family, const char* address) {
  char room[16];
  EXPECT_EQ(::inet_pton(family, address, room), 1) << address;
  return std::string(room, family == AF_INET ? 4 : 16);
}
std::string v4_addresses() {
  return packed(AF_INET, "9.8.7.6") + packed(AF_INET, "1.2.3.4") + std::string("\x04\x57\0\x50", 4);
}
std::string v6_addresses(const char* source) {
  return packed(AF_INET6, source) + packed(AF_INET6, "2001:db8::2") + std::string("\x04\x57\0\x50", 4);
}
/// A binary header. `more`: how many bytes the length counts beyond `block`.
std::string binary(char command, char family, const std::string& block, std::size_t more = 0) {
  const std::size_t length = block.size() + more;
  std::string out("\r\n\r\n\0\r\nQUIT\n", 12);
  for (const std::size_t byte : {std::size_t{0x20} | static_cast<unsigned char>(command),
                                 std::size_t{static_cast<unsigned char>(family)}, length >> 8, length & 0xff})
    out.push_back(static_cast<char>(byte));
  return out + block;
}
constexpr char local = 0, proxy = 1;

/// mholt/caddy-l4 #91: HAProxy before a dual-stack server; pires/go-proxyproto PR #167: nginx's stream
/// module.
TEST(ProxyLine, Tcp6MayNameAMappedAddressAndADestinationOfTheOtherFamily) {
  for (const auto& [line, client] : std::initializer_list<std::pair<const char*, const char*>>{
           {"PROXY TCP6 ::ffff:9.8.7.6 ::ffff:1.2.3.4 1111 80\r\n", "9.8.7.6"},
           {"PROXY TCP6 ::ffff:908:706 ::ffff:102:304 1111 80\r\n", "9.8.7.6"},
           {"PROXY TCP6 ::FFFF:9.8.7.6 2001:DB8::2 1111 80\r\n", "9.8.7.6"},
           {"PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1111 80\r\n", "2001:db8::1"},
           {"PROXY TCP6 2001:db8::1 192.0.2.1 1111 80\r\n", "2001:db8::1"},
           {"PROXY TCP6 9.8.7.6 2001:db8::1 1111 80\r\n", "9.8.7.6"},
           {"PROXY TCP4 9.8.7.6 2001:db8::1 1111 80\r\n", "9.8.7.6"},
           {"PROXY TCP4 9.8.7.6 ::ffff:1.2.3.4 1111 80\r\n", "9.8.7.6"},
           {"PROXY TCP6 ::1 ::1 0 0\r\n", "::1"},
       })
    EXPECT_EQ(client_of(line), client) << line;
}

TEST(ProxyLine, UnknownKeepsThePeerWhateverFollows) {
  const std::string ones = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  EXPECT_EQ(client_of("PROXY UNKNOWN\r\n"), "-");
  EXPECT_EQ(client_of("PROXY UNKNOWN \r\n"), "-");
  EXPECT_EQ(client_of("PROXY UNKNOWN  anything, at all\r\n"), "-");
  const std::string longest = "PROXY UNKNOWN " + ones + " " + ones + " 65535 65535\r\n";
  ASSERT_EQ(longest.size(), 107U);  // 2.1
  EXPECT_EQ(client_of(longest), "-");
  EXPECT_EQ(parse_proxy_line(longest + "GET").size, 107U);
  EXPECT_EQ(client_of("PROXY UNKNOWN " + std::string(94, 'x') + "\r\n"), "bad");  // 108 bytes
  EXPECT_EQ(client_of("PROXY TCP6 " + ones + " " + ones + " 65535 65535\r\n"), ones);
}

TEST(ProxyLine, MalformedTextIsRefused) {
  for (const char* line : {
           "proxy TCP4 9.8.7.6 1.2.3.4 1 2\r\n",
           "PROXY  TCP4 9.8.7.6 1.2.3.4 1 2\r\n",
           "PROXY TCP4  9.8.7.6 1.2.3.4 1 2\r\n",
           "PROXY tcp4 9.8.7.6 1.2.3.4 1 2\r\n",
           "PROXY UDP4 9.8.7.6 1.2.3.4 1 2\r\n",
           "PROXY UNKNOWNS\r\n",
           "PROXY TCP4 2001:db8::1 1.2.3.4 1 2\r\n",  // the word is chosen by the source
           "PROXY TCP4 9.8.7.6 1.2.3.4 1 2 \r\n",
           "PROXY TCP4 9.8.7.6 1.2.3.4 1\r\n",
           "PROXY TCP4 9.8.7.256 1.2.3.4 1 2\r\n",
           "PROXY TCP4 9.8.7.6 nonsense 1 2\r\n",
           "PROXY TCP6 2001:db8::1::2 ::1 1 2\r\n",
           "PROXY TCP6 [2001:db8::1] ::1 1 2\r\n",
           "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
           "PROXY TCP4 9.8.7.6 1.2.3.4 1 2\nGET / HTTP/1.1\r\n",
       })
    EXPECT_EQ(client_of(line), "bad") << line;
}

/// 2.2: LOCAL, and families that are not TCP over IP, leave the peer's address, whatever stands in the block.
TEST(ProxyLine, InBinaryOnlyTcpOverIpNamesAClient) {
  EXPECT_EQ(client_of(binary(proxy, 0x11, v4_addresses())), "9.8.7.6");
  EXPECT_EQ(client_of(binary(proxy, 0x21, v6_addresses("2001:db8::1"))), "2001:db8::1");
  EXPECT_EQ(client_of(binary(proxy, 0x21, v6_addresses("::ffff:9.8.7.6"))), "9.8.7.6");
  EXPECT_EQ(parse_proxy_line(binary(proxy, 0x11, v4_addresses())).client->port, 1111);
  const std::string unix_block = "/run/a.sock" + std::string(205, '\0');
  for (const std::string& header :
       {binary(local, 0, ""), binary(local, 0x11, v4_addresses()), binary(local, 0x21, "short"),
        binary(proxy, 0, ""), binary(proxy, 0, "x"), binary(proxy, 0x12, v4_addresses()),
        binary(proxy, 0x22, v6_addresses("::1")), binary(proxy, 0x31, unix_block),
        binary(proxy, 0x32, unix_block)}) {
    EXPECT_EQ(client_of(header), "-");
    const ProxyLine line = parse_proxy_line(header);
    EXPECT_EQ(line.size + line.rest, header.size());
  }
  EXPECT_EQ(client_of(binary(proxy, 0x11, v4_addresses().substr(1))), "bad");
  EXPECT_EQ(client_of(binary(proxy, 0x21, v4_addresses())), "bad");
  EXPECT_EQ(client_of(binary(2, 0x11, v4_addresses())), "bad");
  std::string version3 = binary(proxy, 0x11, v4_addresses());
  version3[12] = '\x31';
  EXPECT_EQ(client_of(version3.substr(0, 13)), "bad");  // at once: nothing better can follow
}

/// 2.2: the length has 16 bits, and what is not understood must be skipped; pires/go-proxyproto PR #144 has
/// client certificates of 1 to 2 KB there. It is counted, not kept.
TEST(ProxyLine, TlvsOfAnyLengthAreSkippedUnseen) {
  for (const std::size_t size : {0U, 1U, 1000U, 2048U, 3000U, 65535U - 36U}) {
    const std::string header = binary(proxy, 0x21, v6_addresses("2001:db8::1"), size);
    const ProxyLine line = parse_proxy_line(header);
    EXPECT_EQ(line.status, Status::ok) << size;
    EXPECT_EQ(line.size, header.size());
    EXPECT_EQ(line.rest, size);
    ASSERT_TRUE(line.client);
  }
  EXPECT_EQ(parse_proxy_line(binary(local, 0, "", 65535)).rest, 65535U);
}

TEST(ProxyLine, CutAnywhereItIsIncompleteAndThenTheSame) {
  for (const std::string& header :
       {binary(proxy, 0x11, v4_addresses()), binary(proxy, 0x21, v6_addresses("2001:db8::1")),
        std::string("PROXY TCP6 ::ffff:9.8.7.6 2001:db8::1 1111 80\r\n"), std::string("PROXY UNKNOWN\r\n")})
    for (std::size_t n = 0; n < header.size(); ++n)
      EXPECT_EQ(client_of(header.substr(0, n)), "incomplete") << n;
}

}  // namespace
}  // namespace remora
