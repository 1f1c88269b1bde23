// What DNS messages say, and what half of an answer is worth.

#include "net/dns_answer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace remora {
namespace {

using Gap = DnsAnswer::Gap;

/// A message, written by hand: for names a list of labels, uncompressed.
class Message {
 public:
  explicit Message(unsigned code = 0, unsigned flags = 0x8180) {
    put16(0x1234);
    put16(flags | code);
    for (const unsigned count : {1U, 0U, 0U, 0U}) put16(count);
    put_name("app.test");
    put16(1);
    put16(1);
  }
  Message& address(const std::string& name, const std::string& ip, std::uint32_t ttl = 60) {
    std::string data(ip.find(':') == std::string::npos ? 4 : 16, '\0');
    ::inet_pton(data.size() == 4 ? AF_INET : AF_INET6, ip.c_str(), data.data());
    return record(7, name, data.size() == 4 ? 1 : 28, ttl, data);
  }
  Message& alias(const std::string& from, const std::string& to, std::uint32_t ttl = 60) {
    return record(7, from, 5, ttl, name_bytes(to));
  }
  Message& authority(unsigned type) { return record(9, "test", type, 60, name_bytes("ns.test")); }
  Message& cut_to(std::size_t bytes) {
    bytes_.resize(bytes);
    return *this;
  }
  std::size_t size() const { return bytes_.size(); }
  FamilyAnswer read(bool v6 = false) const {
    return read_family({reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size()}, v6);
  }

 private:
  static std::string name_bytes(const std::string& name) {
    std::string out;
    for (std::size_t at = 0; at < name.size();) {
      const std::size_t dot = std::min(name.find('.', at), name.size());
      out += static_cast<char>(dot - at);
      out.append(name, at, dot - at);
      at = dot + 1;
    }
    return out + '\0';
  }
  void put16(unsigned n) {
    bytes_ += static_cast<char>(n >> 8);
    bytes_ += static_cast<char>(n & 255);
  }
  void put_name(const std::string& name) { bytes_ += name_bytes(name); }
  Message& record(std::size_t count_at, const std::string& name, unsigned type, std::uint32_t ttl,
                  const std::string& data) {
    ++bytes_[count_at];
    put_name(name);
    put16(type);
    put16(1);
    put16(ttl >> 16);
    put16(ttl & 0xffff);
    put16(static_cast<unsigned>(data.size()));
    bytes_ += data;
    return *this;
  }
  std::string bytes_;
};

TEST(DnsMessages, AddressesComeWithTheLeastTimeToLive) {
  const FamilyAnswer a = Message().alias("app.test", "lb.test", 5).address("lb.test", "10.0.0.1").read();
  EXPECT_EQ(a.says, Says::addresses);
  EXPECT_EQ(a.ips, std::vector<std::string>{"10.0.0.1"});
  EXPECT_EQ(a.ttl.count(), 5);
  EXPECT_EQ(Message().address("app.test", "2001:db8::1").read(true).ips,
            std::vector<std::string>{"2001:db8::1"});
  EXPECT_EQ(Message().address("app.test", "10.0.0.1").read(true).says, Says::none);  // of the other family
}

// RFC 2308 2 and 7: these are negative answers, and nothing else is.
TEST(DnsMessages, OnlyNegativeAnswersAreNegative) {
  EXPECT_EQ(Message().read().says, Says::none);
  EXPECT_EQ(Message().authority(6).read().says, Says::none);               // with an SOA
  EXPECT_EQ(Message().authority(6).authority(2).read().says, Says::none);  // and name servers
  EXPECT_EQ(Message(3).read().says, Says::no_such_name);
  EXPECT_EQ(Message().alias("app.test", "lb.test").read().says, Says::none);
  for (const unsigned code : {1U, 2U, 4U, 5U, 6U, 9U, 15U})
    EXPECT_EQ(Message(code).read().says, Says::nothing) << code;
}

TEST(DnsMessages, CutBrokenAndCircularAnswersSayNothing) {
  EXPECT_EQ(Message(0, 0x8380).read().says, Says::nothing);  // the TC bit
  EXPECT_EQ(Message(0, 0x8380).address("app.test", "10.0.0.1").read().says, Says::nothing);
  EXPECT_EQ(Message().alias("app.test", "b.test").alias("b.test", "app.test").read().says, Says::nothing);
  EXPECT_EQ(Message().alias("APP.test", "app.TEST").read().says, Says::nothing);
  const Message whole = Message().address("app.test", "10.0.0.1").address("app.test", "10.0.0.2");
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_EQ(Message(whole).cut_to(n).read().says, Says::nothing) << n;
}

// RFC 2308 2.2: no data is told from a referral by the SOA.
TEST(DnsMessages, AReferralSaysNothing) {
  EXPECT_EQ(Message().authority(2).read().says, Says::nothing);
  EXPECT_EQ(Message(0, 0x8580).authority(2).read().says, Says::none);  // authoritative: no referral
}

// envoyproxy/envoy #38752: AAAA says "none" while A fails, and all hosts are gone.
TEST(HalfAnswers, SilenceCountsOnlyBesideAnAnswerThatAgrees) {
  using enum Says;
  EXPECT_TRUE(is_settled(none, none));
  EXPECT_TRUE(is_settled(none, addresses));
  EXPECT_TRUE(is_settled(no_such_name, no_such_name));
  EXPECT_TRUE(is_settled(addresses, nothing));
  EXPECT_FALSE(is_settled(none, nothing));
  EXPECT_FALSE(is_settled(no_such_name, nothing));
  EXPECT_FALSE(is_settled(nothing, addresses));
  EXPECT_FALSE(is_settled(no_such_name, addresses));  // RFC 4074 4.2: broken for one type
  EXPECT_FALSE(is_settled(no_such_name, none));
  EXPECT_FALSE(is_settled(none, no_such_name));
}

DnsRecord record(const std::string& ip, const std::string& target = "app.test") {
  DnsRecord r;
  r.ip = ip;
  r.target = target;
  return r;
}
std::vector<std::string> ips(const std::vector<DnsRecord>& records) {
  std::vector<std::string> out;
  for (const DnsRecord& r : records) out.push_back(r.ip);
  return out;
}
using Ips = std::vector<std::string>;

TEST(HalfAnswers, WhatIsNotKnownStandsAndTheRestIsReplaced) {
  const std::vector<DnsRecord> known = {record("10.0.0.1"), record("2001:db8::1"),
                                        record("10.0.0.9", "b.test")};
  DnsAnswer a;
  a.records = {record("10.0.0.2")};
  a.gaps = {Gap{"app.test", true}};
  EXPECT_EQ(ips(merge_answer(known, a)), (Ips{"10.0.0.2", "2001:db8::1"}));
  a.gaps = {Gap{"b.test", false}};
  EXPECT_EQ(ips(merge_answer(known, a)), (Ips{"10.0.0.2", "10.0.0.9"}));
  a.records.clear();
  a.gaps.clear();
  EXPECT_TRUE(merge_answer(known, a).empty());
}

// 56quarters/mtop #183, GUI/nginx-upstream-dynamic-servers #12: A or AAAA, not both.
TEST(Families, APreferredOneIsUsedAloneWhereThereIsAny) {
  const std::vector<DnsRecord> both = {record("10.0.0.1"), record("::1"), record("10.0.0.2", "four.test")};
  EXPECT_EQ(ips(preferred(both, config::Prefer::any)).size(), 3U);
  EXPECT_EQ(ips(preferred(both, config::Prefer::ipv4)), (Ips{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(ips(preferred(both, config::Prefer::ipv6)), (Ips{"::1", "10.0.0.2"}));  // each target for itself
}

// RFC 3493 6.1 AI_ADDRCONFIG.
TEST(Families, WhatThisMachineHasNoWayToIsLeftOutUnlessItIsAll) {
  std::vector<DnsRecord> both = {record("10.0.0.1"), record("2001:db8::1")};
  drop_unreachable(both, [](const std::string& ip) { return ip.find(':') == std::string::npos; });
  EXPECT_EQ(ips(both), Ips{"10.0.0.1"});
  std::vector<DnsRecord> all = {record("10.0.0.1"), record("2001:db8::1")};
  drop_unreachable(all, [](const std::string&) { return false; });
  EXPECT_EQ(all.size(), 2U);
}

TEST(Families, AreTriedByTurnsHoweverTheAnswersRotate) {
  const Ips wanted = {"::1", "10.0.0.1", "::2", "10.0.0.2", "10.0.0.3"};
  EXPECT_EQ(order_of_trial({record("10.0.0.3"), record("::2"), record("10.0.0.1"), record("::1"),
                            record("10.0.0.2"), record("10.0.0.1")}),
            wanted);
  EXPECT_EQ(order_of_trial({record("10.0.0.1"), record("10.0.0.2")}, 1).size(), 1U);
  EXPECT_TRUE(order_of_trial({}).empty());
}

// resolv.conf(5): search, ndots.
TEST(SearchList, IsFollowedAsTheSystemDoes) {
  const Ips domains = {"one.test", ".two.test."};
  EXPECT_EQ(search_names("app", 1, domains), (Ips{"app.one.test", "app.two.test", "app"}));
  EXPECT_EQ(search_names("app.ns", 1, domains), (Ips{"app.ns", "app.ns.one.test", "app.ns.two.test"}));
  EXPECT_EQ(search_names("app.ns", 5, domains), (Ips{"app.ns.one.test", "app.ns.two.test", "app.ns"}));
  EXPECT_EQ(search_names("app", 0, domains).front(), "app");
  EXPECT_EQ(search_names("app.ns.", 5, domains), Ips{"app.ns"});
  EXPECT_EQ(search_names("app", 1, {"", "."}), Ips{"app"});
}

}  // namespace
}  // namespace remora
