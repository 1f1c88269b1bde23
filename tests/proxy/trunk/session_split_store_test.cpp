// What follows a session from one pool of a split to another, in the store: its state, its app's id, its end.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* keeps = ", session: {state: {save: sync, on_missing: reject}}";
constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";

std::string pools(const std::string& kind) {
  return split(kind + keeps, "a", "b", "app: 1000, canary: 1");
}

/// A browser at a, whose app has kept a state there.
Browser state_at_a(Trunk& trunk) {
  for (int i = 0; i < 50; ++i) {
    answer_with(trunk, "Set-Cookie: SID=id" + std::to_string(i) + "; Path=/\r\nRemora-State: a2VwdA==\r\n");
    Browser browser;
    const Told got = browser.ask(trunk);
    answer_with(trunk, "");
    if (got.backend == "a") return browser;
  }
  ADD_FAILURE() << "no session began at a";
  return {};
}

TEST(SplitStore, AnotherInstanceFindsALearnedSessionInItsNewPoolAndItsEnd) {
  const auto values = std::make_shared<MemoryValues>(64U << 20);
  Trunk one(pools(app_cookie), nullptr, Trunk::instance_on(values)),
      two(pools(app_cookie), nullptr, Trunk::instance_on(values));
  const auto both = [&](auto f) {
    f(one);
    f(two);
  };
  Browser browser = state_at_a(one);
  const Told before = browser.ask(two);
  EXPECT_EQ(before.backend, "a");
  both([](Trunk& t) { t.member("a").admin = Admin::maint; });
  const Told moved = browser.ask(one);
  EXPECT_EQ(moved.backend, "b");
  EXPECT_EQ(moved.state, "a2VwdA==");
  for (Trunk* t : {&two, &one, &two}) {
    both([](Trunk& each) { each.rest(3s); });
    const Told got = browser.ask(*t);
    EXPECT_EQ(got.backend, "b");
    EXPECT_EQ(got.id, before.id);
    EXPECT_EQ(got.epoch, 2U);
  }
  both([](Trunk& t) { t.member("a").admin = Admin::ready; });
  EXPECT_EQ(browser.ask(one).backend, "b");
  answer_once(two, "b", "Remora-Session-Control: end\r\n");
  EXPECT_EQ(browser.ask(two).id, before.id);
  both([](Trunk& t) { t.rest(3s); });
  for (int i = 0; i < 5; ++i) {
    EXPECT_NE(browser.ask(one).id, before.id);
    EXPECT_NE(browser.ask(two).id, before.id);
  }
}

TEST(SplitStore, ARenewedIdLeavesNothingInTheFormerPool) {
  Trunk trunk(pools(app_cookie));
  Browser browser = state_at_a(trunk);
  trunk.member("a").admin = Admin::maint;
  const Told moved = browser.ask(trunk);
  EXPECT_EQ(moved.state, "a2VwdA==");
  answer_once(trunk, "b", "Remora-Session-Control: renew\r\n");
  browser.ask(trunk);
  const Told renewed = browser.ask(trunk);
  EXPECT_NE(renewed.id, moved.id);
  EXPECT_EQ(renewed.state, "a2VwdA==");
  trunk.member("a").admin = Admin::ready;
  for (int i = 0; i < 5; ++i) {
    const Told got = browser.ask(trunk);
    EXPECT_EQ(got.backend, "b");
    EXPECT_EQ(got.id, renewed.id);
  }
}

TEST(SplitStore, ADeletedStateIsNone) {
  Trunk trunk(pools(cookie));
  Browser browser = state_at_a(trunk);
  answer_once(trunk, "a", "Remora-State: \r\n");
  browser.ask(trunk);
  trunk.member("a").admin = Admin::maint;
  const Told moved = browser.ask(trunk);
  EXPECT_EQ(moved.status, 200);
  EXPECT_EQ(moved.note, ";state=none");
}

TEST(SplitStore, AStoreThatDoesNotAnswerIsNotAStateThatIsNone) {
  for (const bool silent : {true, false}) {
    Trunk trunk(pools(cookie));
    Browser browser = state_at_a(trunk);
    trunk.member("a").admin = Admin::maint;
    (silent ? trunk.store->silent : trunk.store->away) = true;
    EXPECT_EQ(browser.ask(trunk).status, 503);
    trunk.store->silent = trunk.store->away = false;
    const Told later = browser.ask(trunk);
    EXPECT_EQ(later.status, 200);
    EXPECT_EQ(later.backend, "b");
    EXPECT_EQ(later.state, "a2VwdA==");
  }
}

// Renewed ids ---------------------------------------------------------------------------------------

std::map<std::string, std::size_t> sizes(Trunk& trunk) {
  std::map<std::string, std::size_t> out;
  trunk.memory->values->for_each(
      [&](const std::string& key, const std::string& value, auto, auto) { out[key] = value.size(); });
  return out;
}

TEST(RenewedId, LeavesTheFormerRecordUntilItsStateHasBeenCopied) {
  for (const bool away : {true, false}) {
    Trunk trunk(app(std::string(cookie) + keeps, "a"));
    Browser browser = state_at_a(trunk);
    const auto before = sizes(trunk);
    ASSERT_EQ(before.size(), 1U);
    trunk.store->away = away;
    answer_once(trunk, "a", "Remora-Session-Control: renew\r\n");
    EXPECT_EQ(browser.ask(trunk).status, 200);
    trunk.store->away = false;
    trunk.rest(2s);
    const auto after = sizes(trunk);
    ASSERT_TRUE(after.contains(before.begin()->first));
    EXPECT_EQ(after.at(before.begin()->first) == before.begin()->second, away);
  }
}

TEST(RenewedId, EndsTheFormerRecordAlsoAfterADeletion) {
  Trunk trunk(app(std::string(cookie) + keeps, "a"));
  Browser browser = state_at_a(trunk);
  answer_once(trunk, "a", "Remora-State: \r\n");
  browser.ask(trunk);
  const auto before = sizes(trunk);
  ASSERT_EQ(before.size(), 1U);
  answer_once(trunk, "a", "Remora-Session-Control: renew\r\n");
  browser.ask(trunk);
  // The mark of an end is shorter than that of a deletion.
  EXPECT_LT(sizes(trunk).at(before.begin()->first), before.begin()->second);
}

}  // namespace
}  // namespace remora::test
