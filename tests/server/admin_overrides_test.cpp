// Administrative state set by operators: kept, and dropped when the file changes its mind.

#include "server/admin_overrides.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/remora.h"

namespace remora {
namespace {

using config::AdminState;

config::Config file_with(AdminState a) {
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

AdminOverride drain_until(std::int64_t ms) {
  AdminOverride w;
  w.admin = AdminState::drain;
  w.deadline = Clock::Wall(std::chrono::milliseconds(ms));
  return w;
}

TEST(AdminOverrides, ComeBackAsTheyWere) {
  const std::string folder = test::make_folder();
  {
    AdminOverrides overrides(folder);
    EXPECT_EQ(overrides.set("app", "a", drain_until(123456)), "");
    AdminOverride maint;
    maint.admin = AdminState::maint;
    EXPECT_EQ(overrides.set("app", "b \"x\"", maint), "");
  }
  AdminOverrides overrides(folder);
  std::string problem;
  overrides.load(problem);
  EXPECT_EQ(problem, "");
  ASSERT_NE(overrides.find("app", "a"), nullptr);
  EXPECT_EQ(overrides.find("app", "a")->deadline, Clock::Wall(std::chrono::milliseconds(123456)));
  ASSERT_NE(overrides.find("app", "b \"x\""), nullptr);
  EXPECT_EQ(overrides.find("app", "b \"x\"")->admin, AdminState::maint);
  EXPECT_EQ(overrides.find("other", "a"), nullptr);
  std::filesystem::remove_all(folder);
}

TEST(AdminOverrides, EndWhenTheFileSaysSomethingElseOrNamesTheBackendNoMore) {
  AdminOverrides overrides("");
  overrides.set("app", "a", drain_until(1));
  overrides.follow(file_with(AdminState::ready));
  EXPECT_NE(overrides.find("app", "a"), nullptr) << "the file says what it said";
  overrides.follow(file_with(AdminState::maint));
  EXPECT_EQ(overrides.find("app", "a"), nullptr);
  overrides.set("app", "a", drain_until(1));
  overrides.follow(config::Config{});
  EXPECT_EQ(overrides.find("app", "a"), nullptr);
}

TEST(AdminOverrides, ForAnAddressOfDnsOutliveItsAbsence) {
  AdminOverrides overrides("");
  overrides.set("app", "10.0.0.1:80", drain_until(1));
  config::Config c = file_with(AdminState::ready);
  c.pools[0].backends[0].discovery = config::Discovery{};
  overrides.follow(c);
  EXPECT_NE(overrides.find("app", "10.0.0.1:80"), nullptr);
}

TEST(AdminOverrides, ThatSayWhatTheFileSaysAreNone) {
  AdminOverrides overrides("");
  overrides.set("app", "a", drain_until(1));
  overrides.set("app", "a", AdminOverride{});
  EXPECT_EQ(overrides.find("app", "a"), nullptr);
  AdminOverride ready_over_drain;
  ready_over_drain.file = AdminState::drain;
  overrides.set("app", "a", ready_over_drain);
  EXPECT_NE(overrides.find("app", "a"), nullptr);
}

TEST(AdminOverrides, KnowTheNextDeadline) {
  AdminOverrides overrides("");
  overrides.set("app", "a", drain_until(1000));
  overrides.set("app", "b", drain_until(2000));
  const auto at = [](std::int64_t ms) { return Clock::Wall(std::chrono::milliseconds(ms)); };
  EXPECT_EQ(overrides.next_deadline(at(0)), at(1000));
  EXPECT_EQ(overrides.next_deadline(at(1000)), at(2000));
  EXPECT_EQ(overrides.next_deadline(at(2000)), std::nullopt);
}

TEST(AdminOverrides, CutOrForeignFilesAreSaidAndIgnored) {
  const std::string folder = test::make_folder();
  for (const char* text : {"", "{}", "[1]", "[{\"pool\":\"app\"}]",
                           "[{\"pool\":\"app\",\"backend\":\"a\",\"admin\":\"away\",\"file\":\"ready\"}]",
                           "[{\"pool\":\"app\",\"backend\":\"a\",\"admin\":\"drain\",\"file\":\"ready\","
                           "\"deadline_ms\":\"x\"}]"}) {
    std::ofstream(folder + "/wishes.json") << text;
    AdminOverrides overrides(folder);
    std::string problem;
    overrides.load(problem);
    EXPECT_NE(problem, "") << text;
    EXPECT_EQ(overrides.find("app", "a"), nullptr);
  }
  std::filesystem::remove_all(folder);
}

TEST(AdminOverrides, ThatCannotBeWrittenStillHold) {
  AdminOverrides overrides("/proc/none");
  EXPECT_NE(overrides.set("app", "a", drain_until(1)), "");
  EXPECT_NE(overrides.find("app", "a"), nullptr);
}

}  // namespace
}  // namespace remora
