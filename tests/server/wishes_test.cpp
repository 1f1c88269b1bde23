// Operators' wishes: kept, and overtaken by what the file says anew.

#include "server/wishes.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/remora.h"

namespace remora {
namespace {

using config::AdminWish;

config::Config file_with(AdminWish a) {
  config::Config c;
  config::Pool pool;
  pool.name = "app";
  config::Backend b;
  b.id = "a";
  b.admin = a;
  pool.backends.push_back(b);
  c.pools.push_back(pool);
  return c;
}

Wish drain_until(std::int64_t ms) {
  Wish w;
  w.admin = AdminWish::drain;
  w.deadline = Clock::Wall(std::chrono::milliseconds(ms));
  return w;
}

TEST(Wishes, ComeBackAsTheyWere) {
  const std::string folder = test::make_folder();
  {
    Wishes wishes(folder);
    EXPECT_EQ(wishes.set("app", "a", drain_until(123456)), "");
    Wish maint;
    maint.admin = AdminWish::maint;
    EXPECT_EQ(wishes.set("app", "b \"x\"", maint), "");
  }
  Wishes wishes(folder);
  std::string trouble;
  wishes.load(trouble);
  EXPECT_EQ(trouble, "");
  ASSERT_NE(wishes.find("app", "a"), nullptr);
  EXPECT_EQ(wishes.find("app", "a")->deadline, Clock::Wall(std::chrono::milliseconds(123456)));
  ASSERT_NE(wishes.find("app", "b \"x\""), nullptr);
  EXPECT_EQ(wishes.find("app", "b \"x\"")->admin, AdminWish::maint);
  EXPECT_EQ(wishes.find("other", "a"), nullptr);
  std::filesystem::remove_all(folder);
}

TEST(Wishes, EndWhenTheFileSaysSomethingElseOrNamesTheBackendNoMore) {
  Wishes wishes("");
  wishes.set("app", "a", drain_until(1));
  wishes.follow(file_with(AdminWish::ready));
  EXPECT_NE(wishes.find("app", "a"), nullptr) << "the file says what it said";
  wishes.follow(file_with(AdminWish::maint));
  EXPECT_EQ(wishes.find("app", "a"), nullptr);
  wishes.set("app", "a", drain_until(1));
  wishes.follow(config::Config{});
  EXPECT_EQ(wishes.find("app", "a"), nullptr);
}

TEST(Wishes, ForAnAddressOfDnsOutliveItsAbsence) {
  Wishes wishes("");
  wishes.set("app", "10.0.0.1:80", drain_until(1));
  config::Config c = file_with(AdminWish::ready);
  c.pools[0].backends[0].discovery = config::Discovery{};
  wishes.follow(c);
  EXPECT_NE(wishes.find("app", "10.0.0.1:80"), nullptr);
}

TEST(Wishes, ThatSayWhatTheFileSaysAreNone) {
  Wishes wishes("");
  wishes.set("app", "a", drain_until(1));
  wishes.set("app", "a", Wish{});
  EXPECT_EQ(wishes.find("app", "a"), nullptr);
  Wish ready_over_drain;
  ready_over_drain.file = AdminWish::drain;
  wishes.set("app", "a", ready_over_drain);
  EXPECT_NE(wishes.find("app", "a"), nullptr);
}

TEST(Wishes, KnowTheNextDeadline) {
  Wishes wishes("");
  wishes.set("app", "a", drain_until(1000));
  wishes.set("app", "b", drain_until(2000));
  const auto at = [](std::int64_t ms) { return Clock::Wall(std::chrono::milliseconds(ms)); };
  EXPECT_EQ(wishes.next_deadline(at(0)), at(1000));
  EXPECT_EQ(wishes.next_deadline(at(1000)), at(2000));
  EXPECT_EQ(wishes.next_deadline(at(2000)), std::nullopt);
}

TEST(Wishes, CutOrForeignFilesAreSaidAndIgnored) {
  const std::string folder = test::make_folder();
  for (const char* text : {"", "{}", "[1]", "[{\"pool\":\"app\"}]",
                           "[{\"pool\":\"app\",\"backend\":\"a\",\"admin\":\"away\",\"file\":\"ready\"}]",
                           "[{\"pool\":\"app\",\"backend\":\"a\",\"admin\":\"drain\",\"file\":\"ready\","
                           "\"deadline_ms\":\"x\"}]"}) {
    std::ofstream(folder + "/wishes.json") << text;
    Wishes wishes(folder);
    std::string trouble;
    wishes.load(trouble);
    EXPECT_NE(trouble, "") << text;
    EXPECT_EQ(wishes.find("app", "a"), nullptr);
  }
  std::filesystem::remove_all(folder);
}

TEST(Wishes, ThatCannotBeWrittenStillHold) {
  Wishes wishes("/proc/none");
  EXPECT_NE(wishes.set("app", "a", drain_until(1)), "");
  EXPECT_NE(wishes.find("app", "a"), nullptr);
}

}  // namespace
}  // namespace remora
