// The hosts file, as hosts(5) has it.

#include "net/hosts_file.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

using Ips = std::vector<std::string>;

TEST(Hosts, NamesAndAliasesOfAllLinesAndBothFamiliesAreFound) {
  const std::string text =
      "# comment\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\r\n"
      "  10.0.0.1   app1.internal  app1 # app2\n10.0.0.2 App1.\nnonsense app1\n10.0.0.1 app1\n";
  EXPECT_EQ(find_in_hosts(text, "app1"), (Ips{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(find_in_hosts(text, "APP1.internal."), Ips{"10.0.0.1"});
  EXPECT_EQ(find_in_hosts(text, "localhost"), (Ips{"127.0.0.1", "::1"}));
  EXPECT_TRUE(find_in_hosts(text, "app2").empty());
  EXPECT_TRUE(find_in_hosts(text, "app").empty());
  EXPECT_TRUE(find_in_hosts(text, "127.0.0.1").empty());
  EXPECT_EQ(find_in_hosts("10.0.0.3 last", "last"), Ips{"10.0.0.3"});  // without a line end
  EXPECT_TRUE(find_in_hosts("", "app").empty());
}

TEST(Hosts, LocalhostIsAnEndingOfWholeLabels) {
  EXPECT_TRUE(is_localhost("localhost"));
  EXPECT_TRUE(is_localhost("App.LocalHost."));
  EXPECT_FALSE(is_localhost("notlocalhost"));
  EXPECT_FALSE(is_localhost("localhost.example.com"));
  EXPECT_FALSE(is_localhost(""));
}

TEST(Hosts, AFileThatIsNotThereHasNobody) {
  EXPECT_EQ(stamp_of("/no/such/file"), FileStamp());
  EXPECT_TRUE(HostsFile("/no/such/file").find("app").empty());
}

}  // namespace
}  // namespace remora
