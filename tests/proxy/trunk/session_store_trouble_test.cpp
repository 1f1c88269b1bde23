// What becomes of sessions while their store is away or silent, or has lost its content.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using When = BackendScript::When;
using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";
constexpr const char* header = "affinity: {kind: header, name: X-User, carry: store}";
constexpr auto cached = 3s;  // longer than cache_ttl

/// Two instances with one store.
struct Instances {
  explicit Instances(const std::string& yaml)
      : one(yaml, nullptr, Trunk::instance_on(values)), two(yaml, nullptr, Trunk::instance_on(values)) {}
  void advance(std::chrono::nanoseconds by) {
    one.advance(by);
    two.advance(by);
  }
  /// Advances each until its request is over.
  void finish() {
    for (Trunk* t : {&one, &two})
      for (int i = 0; i < 100 && !t->done(); ++i) t->advance(1s);
  }
  template <class F>
  void both(F f) {
    f(one);
    f(two);
  }
  std::shared_ptr<MemoryValues> values = std::make_shared<MemoryValues>(64U << 20);
  Trunk one, two;
};

Told again(Browser& browser, Trunk& trunk) {
  return browser.ask(trunk, "/", {{"X-User", "ann"}});
}
Browser log_in(Trunk& trunk, const std::string& id = "one") {
  answer_with(trunk, "Set-Cookie: SID=" + id + "; Path=/\r\n");
  Browser browser;
  again(browser, trunk);
  answer_with(trunk, "");
  return browser;
}

TEST(StoreTrouble, NoRequestFailsWhileItIsAwayAndItIsToldAllOnceItIsBack) {
  for (const std::string kind : {app_cookie, header}) {
    Instances i(app(kind, "abcd"));
    i.one.store->away = true;
    Browser browser = log_in(i.one);
    const Told before = again(browser, i.one);
    EXPECT_EQ(before.reason, "sticky") << kind;
    i.one.member(before.backend).admin = Admin::maint;
    const Told moved = again(browser, i.one);
    EXPECT_EQ(moved.status, 200);
    EXPECT_EQ(moved.epoch, 2U);
    i.one.store->away = false;
    i.one.rest(1s);
    const Told found = again(browser, i.two);
    EXPECT_EQ(found.id, before.id);
    EXPECT_EQ(found.backend, moved.backend) << kind;
    EXPECT_EQ(found.epoch, 2U);
  }
}

TEST(StoreTrouble, AStateThatCannotBeReadIsUnavailableOrTheRequestIsRejected) {
  for (const bool silent : {false, true}) {
    for (const std::string rule : {"continue", "reject"}) {
      for (const std::string kind : {cookie, app_cookie}) {
        SCOPED_TRACE(kind + rule + (silent ? ", silent" : ", away"));
        Trunk trunk(app(kind + ", session: {state: {fetch_timeout: 200ms, on_missing: " + rule + "}}"));
        Browser browser = log_in(trunk);
        const Told before = again(browser, trunk);
        answer_once(trunk, before.backend, "Remora-State: YQ==\r\n");
        again(browser, trunk);
        trunk.member(before.backend).admin = Admin::maint;
        (silent ? trunk.store->silent : trunk.store->away) = true;
        browser.begin(trunk);
        if (silent) {
          trunk.advance(150ms);
          EXPECT_FALSE(trunk.done());
          trunk.advance(100ms);
        }
        const Told moved = browser.end(trunk);
        EXPECT_EQ(moved.status, rule == "reject" ? 503 : 200);
        if (rule == "continue") {
          EXPECT_EQ(moved.note, ";state=unavailable");
          EXPECT_EQ(moved.epoch, 2U);
        } else {
          EXPECT_EQ(moved.backend, "");
        }
        EXPECT_EQ(states(trunk, StateEvent::unavailable), 1U);
        trunk.store->silent = trunk.store->away = false;
        const Told after = again(browser, trunk);
        EXPECT_EQ(after.status, 200);
        EXPECT_EQ(after.epoch, 2U);
        if (rule == "reject") {
          EXPECT_EQ(after.state, "YQ==");  // nothing was lost
        }
      }
    }
  }
}

TEST(StoreTrouble, ALookupWaitsForTheTimeoutAtMost) {
  Instances i(app(app_cookie, "abcd"));
  Browser browser = log_in(i.one);
  const Told before = again(browser, i.one);
  i.one.store->silent = true;
  i.advance(cached);
  browser.begin(i.one);
  i.one.advance(20ms);
  EXPECT_FALSE(i.one.done());
  i.one.advance(100ms);  // store.timeout is 50ms
  const Told got = browser.end(i.one);
  EXPECT_EQ(got.backend, before.backend);
  EXPECT_EQ(got.id, before.id);
  const unsigned calls = i.one.store->calls;
  again(browser, i.one);  // its own record is trusted for a while
  EXPECT_EQ(i.one.store->calls, calls);
}

TEST(StoreTrouble, AnUnknownIdGoesToTheSameBackendOnAllInstances) {
  Instances i(app(app_cookie, "abcdef"));
  i.both([](Trunk& t) { t.store->away = true; });
  for (int n = 0; n < 10; ++n) {
    Browser browser;
    browser.cookies["SID"] = "unknown" + std::to_string(n);
    const Told one = again(browser, i.one), two = again(browser, i.two);
    EXPECT_EQ(one.backend, two.backend);
    EXPECT_EQ(one.id, two.id);
  }
}

TEST(StoreTrouble, AStateThatCannotBeSavedInTimeIsSavedLater) {
  Trunk trunk(app(std::string(cookie) + ", session: {state: {save: sync}}"));
  Browser browser = log_in(trunk);
  const Told before = again(browser, trunk);
  trunk.store->away = true;
  answer_once(trunk, before.backend, "Remora-State: YQ==\r\n");
  EXPECT_EQ(again(browser, trunk).status, 200);
  trunk.store->away = false;
  trunk.rest(1s);
  trunk.member(before.backend).admin = Admin::maint;
  EXPECT_EQ(again(browser, trunk).state, "YQ==");
}

TEST(StoreTrouble, AStoreThatLostItsContentGetsTheRecordsOfLivingSessionsAgain) {
  Instances i(app(app_cookie, "abcd"));
  Browser browser = log_in(i.one);
  const Told before = again(browser, i.one);
  i.values->sweep(i.one.clock.steady_now() + 1000h);
  i.advance(cached);
  EXPECT_EQ(again(browser, i.one).id, before.id);
  const Told found = again(browser, i.two);
  EXPECT_EQ(found.id, before.id);
  EXPECT_EQ(found.reason, "sticky");
}

TEST(StoreTrouble, ARecordThatCannotBeReadCountsAsNone) {
  Instances i(app(app_cookie, "abcd"));
  Browser browser = log_in(i.one);
  const Told before = again(browser, i.one);
  std::vector<std::string> keys;
  i.values->for_each([&](const auto& key, const auto&, auto, auto) { keys.push_back(key); });
  ASSERT_FALSE(keys.empty());
  const auto now = i.one.clock.steady_now();
  for (const std::string& key : keys) i.values->swap(key, i.values->get(key, now)->token, "garbage", 1h, now);
  EXPECT_EQ(again(browser, i.two).status, 200);
  i.advance(cached);
  EXPECT_EQ(again(browser, i.one).id, before.id);  // this instance knows it, and writes it again
  i.advance(cached);
  EXPECT_EQ(again(browser, i.two).id, before.id);
}

TEST(StoreTrouble, AStateThatCouldNotComeAlongToASisterIsUnavailableThere) {
  for (const std::string rule : {"continue", "reject"}) {
    Trunk trunk(split(std::string(cookie) + ", session: {state: {on_missing: " + rule + "}}"));
    Browser browser = begin_at(trunk, "a");
    answer_once(trunk, "a", "Remora-State: YQ==\r\n");
    browser.ask(trunk);
    trunk.member("a").admin = Admin::maint;
    trunk.store->away = true;
    const Told moved = browser.ask(trunk);
    EXPECT_EQ(moved.status, rule == "reject" ? 503 : 200);
    if (rule == "continue") {
      EXPECT_EQ(moved.note, ";state=unavailable");
    }
    trunk.store->away = false;
    const Told later = browser.ask(trunk);
    EXPECT_EQ(later.backend, "b");
    if (rule == "reject") {
      EXPECT_EQ(later.state, "YQ==");
    }
  }
  Trunk other_key(split(std::string(app_cookie) + ", session: {state: on}"));
  Browser browser;
  for (int n = 0; n < 100; ++n) {
    browser = log_in(other_key, "id" + std::to_string(n));
    if (browser.ask(other_key).backend == "a") break;
  }
  answer_once(other_key, "a", "Remora-State: YQ==\r\n");
  browser.ask(other_key);
  other_key.reload(split(std::string(app_cookie) + ", session: {state: on}"), {std::string(32, 'z')});
  other_key.member("a").admin = Admin::maint;
  const Told moved = browser.ask(other_key);
  EXPECT_EQ(moved.backend, "b");
  EXPECT_EQ(moved.note, ";state=unavailable");
}

}  // namespace
}  // namespace remora::test
