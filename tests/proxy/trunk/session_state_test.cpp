// The app's state (Remora-State): kept, handed over, refused, deleted.

#include <gtest/gtest.h>

#include "proxy/session_proof.h"
#include "proxy/trunk/sessions.h"
#include "util/text.h"

namespace remora::test {
namespace {

using When = BackendScript::When;
using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";
constexpr const char* companion = "affinity: {kind: app_cookie, name: SID, carry: token}";
constexpr const char* keeps = ", session: {state: {max_bytes: 64B}}";

Browser log_in(Trunk& trunk) {
  answer_with(trunk, "Set-Cookie: SID=one; Path=/\r\n");
  Browser browser;
  browser.ask(trunk);
  answer_with(trunk, "");
  return browser;
}
/// The app says this once; returns what it was told.
Told hears(Browser& browser, Trunk& trunk, const std::string& fields) {
  const Told before = browser.ask(trunk);
  answer_once(trunk, before.backend, fields);
  return browser.ask(trunk);
}
/// Moves the session; returns the first request to the new backend.
Told move_on(Browser& browser, Trunk& trunk) {
  const Told before = browser.ask(trunk);
  trunk.member(before.backend).admin = Admin::maint;
  const Told moved = browser.ask(trunk);
  trunk.member(before.backend).admin = Admin::ready;
  EXPECT_EQ(moved.epoch, before.epoch + 1);
  return moved;
}

TEST(State, ReachesTheSessionsNextBackendUntilThatHasAnsweredOnce) {
  for (const std::string kind : {cookie, app_cookie, companion}) {
    for (const std::string save : {"async", "sync"}) {
      SCOPED_TRACE(kind + save);
      Trunk trunk(app(kind + ", session: {state: {save: " + save + "}}"));
      Browser browser = log_in(trunk);
      hears(browser, trunk, "Remora-State: Y2FydA==\r\n");
      EXPECT_FALSE(field(trunk.delivered().head.fields, "Remora-State"));
      EXPECT_EQ(browser.ask(trunk).state, "");  // it has it
      const Told moved = move_on(browser, trunk);
      EXPECT_EQ(moved.state, "Y2FydA==");
      EXPECT_EQ(moved.note, ";version=1");
      const Told after = browser.ask(trunk);
      EXPECT_EQ(after.state, "");
      EXPECT_EQ(after.note, "");
      EXPECT_EQ(states(trunk, StateEvent::saved), 1U);
      EXPECT_EQ(states(trunk, StateEvent::replayed), 1U);
    }
  }
}

TEST(State, ThatWasNeverKeptIsNone) {
  Trunk trunk(app(std::string(cookie) + keeps));
  Browser browser = log_in(trunk);
  const Told moved = move_on(browser, trunk);
  EXPECT_EQ(moved.state, "");
  EXPECT_EQ(moved.note, ";state=none");
}

TEST(State, IsGivenToParallelRequestsOnAllWorkersUntilTheBackendAnswers) {
  const std::string yaml = app(std::string(cookie) + keeps);
  Trunk one(yaml), two(yaml, nullptr, one.memory);
  Browser browser = log_in(one);
  const Told before = hears(browser, one, "Remora-State: Y2FydA==\r\n");
  for (Trunk* t : {&one, &two}) t->member(before.backend).admin = Admin::maint;
  for (const char* id : {"a", "b", "c"}) one.connector.script(id, {.when = When::on_go});
  Browser second = browser;
  browser.begin(one);
  const Told got = second.ask(two);
  EXPECT_EQ(got.state, "Y2FydA==");
  one.backend.go();
  one.settle();
  EXPECT_EQ(browser.end(one).state, "Y2FydA==");
  EXPECT_EQ(second.ask(two).state, "");
}

TEST(State, InTrailersIsKeptIfTheBodyWasComplete) {
  for (const bool complete : {true, false}) {
    Trunk trunk(app(std::string(cookie) + keeps));
    Browser browser = log_in(trunk);
    const Told before = browser.ask(trunk);
    BackendScript script;
    script.head = "200 OK\r\nTransfer-Encoding: chunked\r\n";
    script.body = "hello";
    script.trailers = {{"Remora-State", "Y2FydA=="}};
    if (!complete) script.breaks_after = 3;
    trunk.connector.script(before.backend, script);
    browser.ask(trunk);
    const Told moved = move_on(browser, trunk);
    EXPECT_EQ(moved.state, complete ? "Y2FydA==" : "");
  }
}

TEST(State, ThatIsMalformedTooLargeOrSaidTwiceIsRefusedWhole) {
  Trunk trunk(app(std::string(cookie) + keeps));
  Browser browser = log_in(trunk);
  hears(browser, trunk, "Remora-State: Y2FydA==\r\n");
  hears(browser, trunk, "Remora-State: no base64!\r\n");
  EXPECT_EQ(states(trunk, StateEvent::malformed), 1U);
  hears(browser, trunk, "Remora-State: YQ==\r\nRemora-State: Yg==\r\n");
  EXPECT_EQ(states(trunk, StateEvent::malformed), 2U);
  hears(browser, trunk, "Remora-State: " + std::string(92, 'A') + "\r\n");
  EXPECT_EQ(states(trunk, StateEvent::too_large), 1U);
  hears(browser, trunk, "Remora-State: " + base64_encode(std::string(65, 'x')) + "\r\n");
  EXPECT_EQ(states(trunk, StateEvent::too_large), 2U);
  EXPECT_EQ(move_on(browser, trunk).state, "Y2FydA==");
}

TEST(State, OfAVersionThatTheAppDidNotSeeIsAConflict) {
  Trunk trunk(app(std::string(cookie) + keeps));
  Browser browser = log_in(trunk);
  hears(browser, trunk, "Remora-State: YQ==\r\n");
  hears(browser, trunk, "Remora-State: Yg==\r\nRemora-State-Version: 1\r\n");
  hears(browser, trunk, "Remora-State: Yw==\r\nRemora-State-Version: 1\r\n");
  EXPECT_EQ(states(trunk, StateEvent::conflict), 1U);
  const Told moved = move_on(browser, trunk);
  EXPECT_EQ(moved.state, "Yg==");
  EXPECT_EQ(moved.note, ";version=2");
}

TEST(State, ThatTheAppDeletesIsGoneAlsoForSlowRequests) {
  const std::string yaml = app(std::string(cookie) + keeps);
  Trunk one(yaml), two(yaml, nullptr, one.memory);
  Browser browser = log_in(one);
  const Told before = hears(browser, one, "Remora-State: YQ==\r\n");
  one.connector.script(
      before.backend, {.when = When::on_go, .head = "200 OK\r\nContent-Length: 0\r\nRemora-State: YQ==\r\n"});
  Browser slow = browser;
  slow.begin(one);
  one.advance(100ms);
  two.advance(100ms);
  answer_once(two, before.backend, "Remora-State: \r\n");
  browser.ask(two);
  one.advance(100ms);
  one.backend.go();
  one.settle();
  slow.end(one);
  EXPECT_EQ(states(one, StateEvent::outdated), 1U);
  EXPECT_EQ(move_on(browser, two).note, ";state=none");
}

TEST(State, OfALateResponseOfTheFormerBackendLoses) {
  const std::string yaml = app(std::string(cookie) + keeps);
  Trunk one(yaml), two(yaml, nullptr, one.memory);
  Browser browser = log_in(one);
  const Told before = hears(browser, one, "Remora-State: YQ==\r\n");
  one.connector.script(
      before.backend,
      {.when = When::on_go, .head = "200 OK\r\nContent-Length: 0\r\nRemora-State: enphbWJpZQ==\r\n"});
  Browser slow = browser;
  slow.begin(one);
  two.member(before.backend).admin = Admin::maint;
  EXPECT_EQ(browser.ask(two).state, "YQ==");
  answer_once(two, browser.ask(two).backend, "Remora-State: Yg==\r\n");
  browser.ask(two);
  one.backend.go();
  one.settle();
  slow.end(one);
  two.member(before.backend).admin = Admin::ready;
  EXPECT_EQ(move_on(browser, two).state, "Yg==");
}

TEST(State, FollowsARenewedIdAndTheFirstRequestWithItBringsItAlong) {
  for (const std::string kind : {cookie, app_cookie}) {
    Trunk trunk(app(kind + keeps));
    Browser browser = log_in(trunk);
    hears(browser, trunk, "Remora-State: YQ==\r\n");
    Browser old = browser;
    const Told renewed = hears(browser, trunk, "Remora-Session-Control: renew\r\n");
    const Told after = browser.ask(trunk);
    EXPECT_NE(after.id, renewed.id);
    EXPECT_EQ(after.state, "YQ==") << kind;
    EXPECT_EQ(browser.ask(trunk).state, "");
    EXPECT_EQ(move_on(browser, trunk).state, "YQ==");
    if (kind == cookie) {
      EXPECT_EQ(old.ask(trunk).state, "");  // the former id is nobody's
    }
  }
}

TEST(State, OfASessionThatEndedIsNeverGivenToItsSuccessor) {
  for (const std::string kind : {cookie, app_cookie}) {
    Trunk trunk(app(kind + keeps));
    Browser browser = log_in(trunk);
    hears(browser, trunk, "Remora-State: YQ==\r\n");
    Browser old = browser;
    hears(browser, trunk, "Remora-Session-Control: end\r\n");
    EXPECT_EQ(old.ask(trunk).state, "") << kind;
    if (kind == cookie) {
      EXPECT_EQ(move_on(old, trunk).state, "");
    }
  }
}

TEST(State, FollowsALoginThatChangesTheAppsId) {
  Trunk trunk(app(std::string(app_cookie) + keeps));
  Browser browser = log_in(trunk);
  hears(browser, trunk, "Remora-State: YQ==\r\n");
  hears(browser, trunk, "Set-Cookie: SID=two; Path=/\r\n");
  EXPECT_EQ(move_on(browser, trunk).state, "YQ==");
}

TEST(State, LivesWhileItsSessionIsUsed) {
  for (const std::string kind : {cookie, app_cookie}) {
    Trunk trunk(app(kind + ", session: {idle_timeout: 40m, state: on}"));
    Browser browser = log_in(trunk);
    hears(browser, trunk, "Remora-State: YQ==\r\n");
    for (int i = 0; i < 6; ++i) {
      trunk.rest(35min);
      EXPECT_EQ(browser.ask(trunk).reason, "sticky");
    }
    EXPECT_EQ(move_on(browser, trunk).state, "YQ==") << kind;
  }
}

TEST(State, OfAnotherKeyCannotBeOpenedAndIsSaidToBeUnavailable) {
  Trunk trunk(app(std::string(app_cookie) + keeps));
  Browser browser = log_in(trunk);
  hears(browser, trunk, "Remora-State: YQ==\r\n");
  trunk.reload(app(std::string(app_cookie) + keeps), {std::string(32, 'z')});
  const Told moved = move_on(browser, trunk);
  EXPECT_EQ(moved.state, "");
  EXPECT_EQ(moved.note, ";state=unavailable");
  EXPECT_EQ(states(trunk, StateEvent::unreadable), 1U);
}

TEST(State, ByCallIsProvenByTheAnnouncement) {
  Trunk trunk(app(std::string(cookie) + keeps, "ab", "session_api: unix:/tmp/remora-test-api\n"));
  Browser browser = log_in(trunk);
  const Told got = browser.ask(trunk);
  const std::string session = field(trunk.connector.requests.back().head.fields, "Remora-Session").value();
  SessionId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i)
    id.bytes[i] = static_cast<std::uint8_t>(std::stoul(got.id.substr(2 * i, 2), nullptr, 16));
  const SessionProof& proof = *trunk.snapshot().pool_stores.front()->proof();
  const auto owner = proof.check(session, id, 1);
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->backend, backend_hash(got.backend));
  EXPECT_FALSE(proof.check(session, id, 2));
  EXPECT_EQ(SessionProof::sent_at(session),
            std::chrono::floor<std::chrono::milliseconds>(trunk.clock.wall_now()));
}

}  // namespace
}  // namespace remora::test
