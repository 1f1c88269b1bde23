// Operators, live traffic and time, brought together in what is published.

#include "server/backend_status.h"

#include <gtest/gtest.h>

#include "server/fakes.h"

namespace remora {
namespace {

using namespace test;
using config::AdminState;
using std::chrono::milliseconds;
using std::chrono::seconds;

class BackendStatusTest : public ::testing::Test {
 protected:
  BackendStatusTest()
      : status({loop, clock, builder, events}, "", std::make_unique<HandAlarm>(alarm), reports()) {}

  BackendStatus::Reports reports() {
    BackendStatus::Reports r;
    r.publish = [this] { ++published; };
    r.settled = [](const std::shared_ptr<Backend>&) {};
    r.went_down = [] {};
    return r;
  }
  void begin(config::Config c) {
    activate(builder, c);
    status.begin();
  }
  static config::Config two_backends() {
    return config_with({backend_at("a", "127.0.0.1"), backend_at("b", "127.0.0.1", 81)});
  }
  const Member& member(std::size_t i) const { return builder.last()->pools[0]->snapshot->members[i]; }

  HandClock clock;
  AlarmSetting alarm;
  Loop loop;
  EventHub events{loop.ctx.get_executor()};
  SnapshotBuilder builder{1};
  int published = 0;
  BackendStatus status;
};

TEST_F(BackendStatusTest, TheBeginningPublishesNothing) {
  begin(two_backends());
  EXPECT_EQ(published, 0);
  EXPECT_FALSE(alarm.at) << "nothing will change by time";
  EXPECT_EQ(member(0).admin, Admin::ready);
}

TEST_F(BackendStatusTest, WhatAnOperatorSetsIsPublishedAtOnce) {
  begin(two_backends());
  HeardEvents heard(events);
  EXPECT_EQ(status.set_admin("app", "a", AdminState::maint, std::nullopt), "");
  EXPECT_EQ(published, 1);
  EXPECT_EQ(member(0).admin, Admin::maint);
  EXPECT_EQ(member(1).admin, Admin::ready);
  EXPECT_TRUE(heard.last_has("maint"));
}

TEST_F(BackendStatusTest, APoolOrBackendThatIsNotThereIsAnError) {
  begin(two_backends());
  EXPECT_NE(status.set_admin("none", "a", AdminState::maint, std::nullopt), "");
  EXPECT_NE(status.set_admin("app", "none", AdminState::maint, std::nullopt), "");
  EXPECT_EQ(published, 0);
}

TEST_F(BackendStatusTest, ADrainsSessionsMoveWhenItsDeadlineHasPassed) {
  begin(two_backends());
  status.set_admin("app", "a", AdminState::drain, seconds(60));
  EXPECT_TRUE(status.deadline("app", "a"));
  EXPECT_FALSE(status.deadline("app", "b"));
  EXPECT_FALSE(member(0).leaving);
  ASSERT_TRUE(alarm.at);
  EXPECT_EQ(*alarm.at - clock.steady_now(), seconds(60));
  HeardEvents heard(events);
  ring(alarm, clock);
  EXPECT_TRUE(member(0).leaving);
  EXPECT_EQ(published, 2);
  EXPECT_EQ(heard.count(), 1u);
  EXPECT_TRUE(heard.last_has("passed"));
  status.republish();
  EXPECT_EQ(heard.count(), 1u) << "told once";
}

TEST_F(BackendStatusTest, OpenStreamsEndFromADeadlineOnAndAtOnceInMaintenance) {
  begin(two_backends());
  status.set_admin("app", "a", AdminState::drain, seconds(60));
  EXPECT_FALSE(member(0).ends_streams);
  ring(alarm, clock);
  EXPECT_TRUE(member(0).ends_streams);
  EXPECT_FALSE(member(1).ends_streams);
  status.set_admin("app", "a", AdminState::ready, std::nullopt);
  EXPECT_FALSE(member(0).ends_streams);
  status.set_admin("app", "a", AdminState::maint, std::nullopt);
  EXPECT_TRUE(member(0).ends_streams);
}

TEST_F(BackendStatusTest, ABackendThatFailsIsEjectedForATime) {
  begin(two_backends());
  const auto backend = member(0).backend;
  status.failures_reported(backend, Ejected::all, true);
  EXPECT_EQ(member(0).ejected, Ejected::all);
  EXPECT_EQ(published, 1);
  ASSERT_TRUE(alarm.at);
  EXPECT_EQ(*alarm.at - clock.steady_now(), config::Eject{}.length);
  ring(alarm, clock);
  EXPECT_EQ(member(0).ejected, Ejected::no);
  EXPECT_EQ(published, 2);
}

TEST_F(BackendStatusTest, AReportIsJudgedEvenWhenNobodyMayBeEjected) {
  begin(two_backends());
  const auto backend = member(0).backend;
  ASSERT_TRUE(backend->failures.failed_to_connect(1));
  ASSERT_TRUE(backend->failures.reported());
  status.failures_reported(backend, Ejected::all, false);
  EXPECT_FALSE(backend->failures.reported());
  EXPECT_EQ(member(0).ejected, Ejected::no);
  ASSERT_TRUE(backend->failures.failed_to_connect(1));
  status.judge_all();
  EXPECT_FALSE(backend->failures.reported());
}

TEST_F(BackendStatusTest, AForgivenBackendIsBackWithTheNextPublication) {
  begin(two_backends());
  const auto backend = member(0).backend;
  status.failures_reported(backend, Ejected::all, true);
  status.forgive(backend);
  status.republish();
  EXPECT_EQ(member(0).ejected, Ejected::no);
}

TEST_F(BackendStatusTest, WhatAnOperatorSetOutlivesAReloadUntilTheFileSaysSomethingElse) {
  begin(two_backends());
  status.set_admin("app", "a", AdminState::drain, std::nullopt);
  const auto reload = [&](const config::Config& c) {
    status.follow(c);
    activate(builder, c);
    status.configure();
    status.republish();
  };
  reload(two_backends());
  EXPECT_EQ(member(0).admin, Admin::drain);
  config::Config other = two_backends();
  other.pools[0].backends[0].admin = AdminState::maint;
  reload(other);
  EXPECT_EQ(member(0).admin, Admin::maint);
}

TEST_F(BackendStatusTest, AWarmingBackendIsLookedAtInSteps) {
  config::Config c = two_backends();
  c.pools[0].slow_start = seconds(1);
  begin(c);
  status.set_admin("app", "a", AdminState::maint, std::nullopt);
  status.set_admin("app", "a", AdminState::ready, std::nullopt);
  if (builder.warming_up()) {
    ASSERT_TRUE(alarm.at);
    EXPECT_LE(*alarm.at - clock.steady_now(), milliseconds(200));
  }
  for (int i = 0; i < 20 && ring(alarm, clock); ++i) {
  }
  EXPECT_FALSE(alarm.at) << "the slow start has an end";
  EXPECT_EQ(member(0).weight, member(0).full_weight);
}

}  // namespace
}  // namespace remora
