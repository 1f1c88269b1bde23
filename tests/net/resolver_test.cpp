// The resolver with files and a name server of its own.

#include "net/resolver.h"

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <filesystem>
#include <fstream>
#include <optional>

#include "support/dns.h"
#include "support/remora.h"

namespace remora {
namespace {

using test::DnsEntry;
using test::NameServer;
using Mood = NameServer::Mood;
using Type = DnsEntry::Type;
using Ips = std::vector<std::string>;

class Resolving : public ::testing::Test {
 protected:
  Resolving() : folder_(test::make_folder()) {
    write("hosts", "");
    write("resolv.conf", "search one.test\n");
  }
  ~Resolving() override { std::filesystem::remove_all(folder_); }
  /// As tools do: another file in its place.
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/draft") << text;
    std::filesystem::rename(folder_ + "/draft", folder_ + "/" + name);
  }
  DnsAnswer ask(const std::string& name, bool srv = false) {
    if (!resolver_)
      resolver_ = std::make_unique<Resolver>(ctx_, Ips{dns.address()},
                                             NameFiles{folder_ + "/resolv.conf", folder_ + "/hosts"});
    std::optional<DnsAnswer> answer;
    resolver_->ask(name, srv, [&](const DnsAnswer& a) { answer = a; });
    ctx_.restart();
    const auto guard = boost::asio::make_work_guard(ctx_);
    while (!answer) ctx_.run_one();
    return *answer;
  }
  static Ips ips(const DnsAnswer& answer) { return order_of_trial(answer.records); }

  NameServer dns;

 private:
  const std::string folder_;
  boost::asio::io_context ctx_;
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(Resolving, TheHostsFileComesFirstAndIsReadAgainWhenItChanged) {
  dns.set("app", {{Type::a, "127.0.0.9"}});
  write("hosts", "127.0.0.11 app # one\n");
  EXPECT_EQ(ips(ask("app")), Ips{"127.0.0.11"});
  write("hosts", "127.0.0.12\tother APP\n127.0.0.13 app\n");
  EXPECT_EQ(ips(ask("app")), (Ips{"127.0.0.12", "127.0.0.13"}));
  EXPECT_EQ(dns.questions(), 0);
  write("hosts", "");
  EXPECT_EQ(ips(ask("app")), Ips{"127.0.0.9"});
}

// RFC 6761 6.3.
TEST_F(Resolving, LocalhostIsAskedNobodyFor) {
  dns.set("localhost", {{Type::a, "127.0.0.9"}});
  for (const char* name : {"localhost", "LOCALHOST.", "app.localhost"}) {
    const Ips found = ips(ask(name));
    EXPECT_NE(std::find(found.begin(), found.end(), "127.0.0.1"), found.end()) << name;
  }
  EXPECT_EQ(dns.questions(), 0);
}

// c-ares/c-ares #324, envoyproxy/envoy #34785: the file is read once, and never again.
TEST_F(Resolving, ResolvConfIsReadAgainWhenItChanged) {
  dns.set("app.one.test", {{Type::a, "127.0.0.1"}});
  dns.set("app.two.test", {{Type::a, "127.0.0.2"}});
  EXPECT_EQ(ips(ask("app")), Ips{"127.0.0.1"});
  write("resolv.conf", "search two.test\n");
  EXPECT_EQ(ips(ask("app")), Ips{"127.0.0.2"});
}

// A name that one domain has in one family and the next in the other is not made of both.
TEST_F(Resolving, TheFirstDomainThatKnowsTheNameHasTheSay) {
  write("resolv.conf", "search one.test two.test\n");
  dns.set("app.one.test", {{Type::a, "127.0.0.1"}});
  dns.set("app.two.test", {{Type::aaaa, "::1"}, {Type::a, "127.0.0.2"}});
  EXPECT_EQ(ips(ask("app")), Ips{"127.0.0.1"});
  dns.set_mood(Type::a, Mood::fails);  // what the first domain says is not known: the second is no answer
  EXPECT_NE(ask("app").error, "");
}

TEST_F(Resolving, ANameThatDoesNotExistIsAnAnswer) {
  const DnsAnswer a = ask("nobody.test");
  EXPECT_EQ(a.error, "");
  EXPECT_TRUE(a.records.empty());
  EXPECT_TRUE(a.gaps.empty());
}

// RFC 2308 7; envoyproxy/envoy #38752.
TEST_F(Resolving, OneFamilyThatFailsMakesNoAnswerOfTheOthersSilence) {
  dns.set("app.test", {});
  for (const Mood mood : {Mood::fails, Mood::refuses, Mood::malformed, Mood::not_implemented, Mood::no_name,
                          Mood::circles, Mood::refers})
    for (const Type type : {Type::a, Type::aaaa}) {
      dns.set_mood(type, mood);
      EXPECT_NE(ask("app.test").error, "") << static_cast<int>(mood) << ' ' << static_cast<int>(type);
      dns.set_mood(type, Mood::answers);
    }
}

TEST_F(Resolving, OneFamilyThatFailsLeavesTheOthersAddresses) {
  dns.set("app.test", {{Type::a, "127.0.0.1"}});
  for (const Mood mood : {Mood::fails, Mood::refuses, Mood::malformed, Mood::not_implemented, Mood::no_name,
                          Mood::circles, Mood::refers}) {
    dns.set_mood(Type::aaaa, mood);
    const DnsAnswer a = ask("app.test");
    EXPECT_EQ(a.error, "") << static_cast<int>(mood);
    EXPECT_EQ(ips(a), Ips{"127.0.0.1"});
    EXPECT_EQ(a.gaps, (std::vector<DnsAnswer::Gap>{{"app.test", true}})) << static_cast<int>(mood);
  }
}

TEST_F(Resolving, AServicesTargetThatFailsIsAGapOfItsOwn) {
  dns.set("_http._tcp.app.test", {{Type::srv, "one.test", 80, 0, 1}, {Type::srv, "two.test", 81, 0, 1}});
  dns.set("one.test", {{Type::a, "127.0.0.1"}});
  dns.set("two.test", {{Type::a, "127.0.0.2"}});
  EXPECT_EQ(ask("_http._tcp.app.test", true).records.size(), 2U);
  dns.set_mood(Type::aaaa, Mood::fails);
  const DnsAnswer a = ask("_http._tcp.app.test", true);
  EXPECT_EQ(a.records.size(), 2U);
  EXPECT_EQ(a.gaps.size(), 2U);
  dns.set_mood(Type::srv, Mood::circles);
  EXPECT_NE(ask("_http._tcp.app.test", true).error, "");
}

}  // namespace
}  // namespace remora
