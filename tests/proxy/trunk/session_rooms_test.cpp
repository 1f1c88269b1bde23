// Rooms (`max_sessions`): new sessions go where there is room, bound ones stay, and a session that must move
// is not lost for lack of room.

#include <gtest/gtest.h>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using When = BackendScript::When;
using namespace std::chrono_literals;

constexpr const char* cookie = "affinity: cookie";
constexpr const char* app_cookie = "affinity: {kind: app_cookie, name: SID}";

/// Backends a, b, ... with these numbers of rooms; 0: no limit.
std::string hotel(const std::string& settings, std::vector<int> rooms, const std::string& more = "") {
  std::string list;
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    list += (i == 0 ? "" : ", ") + ("{id: " + std::string(1, static_cast<char>('a' + i))) +
            ", address: 127.0.0.1:" + std::to_string(i + 1);
    if (rooms[i] != 0) list += ", max_sessions: " + std::to_string(rooms[i]);
    list += "}";
  }
  return more + "pools: {app: {" + settings + ", backends: [" + list + "]}}\n";
}

/// Begins sessions of the app's own ids, id0, id1, ...; returns their backends, `-` for a refusal.
std::string log_in(Trunk& trunk, int first, int users) {
  std::string out;
  for (int i = first; i < first + users; ++i) {
    answer_with(trunk, "Set-Cookie: SID=id" + std::to_string(i) + "; Path=/\r\n");
    const Told got = Browser().ask(trunk);
    out += got.status == 503 ? "-" : got.backend;
  }
  answer_with(trunk, "");
  return out;
}
Told ask_as(Trunk& trunk, int user) {
  return Browser().ask(trunk, "/", {{"Cookie", "SID=id" + std::to_string(user)}});
}
std::uint64_t refused(const Trunk& trunk) {
  return trunk.snapshot().pools.front()->counters->sessions.front().no_room.value();
}

TEST(Rooms, AreFilledAndThenNewSessionsAreRefusedAndBoundOnesServed) {
  for (const char* kind : {cookie, app_cookie}) {
    Trunk trunk(hotel(kind, {2, 3}));
    const bool learned = kind == app_cookie;
    std::string homes;
    std::vector<Browser> browsers(7);
    for (int i = 0; i < 7; ++i) {
      if (learned) answer_with(trunk, "Set-Cookie: SID=id" + std::to_string(i) + "; Path=/\r\n");
      const Told got = browsers[static_cast<std::size_t>(i)].ask(trunk);
      homes += got.status == 503 ? "-" : got.backend;
    }
    answer_with(trunk, "");
    EXPECT_EQ(std::count(homes.begin(), homes.end(), 'a'), 2) << kind << homes;
    EXPECT_EQ(std::count(homes.begin(), homes.end(), 'b'), 3) << kind << homes;
    EXPECT_EQ(homes.substr(5), "--") << kind;
    EXPECT_EQ(field(trunk.delivered().head.fields, "Retry-After").value_or(""), "10");
    for (int i = 0; i < 5; ++i) {
      const Told got = browsers[static_cast<std::size_t>(i)].ask(trunk);
      EXPECT_EQ(got.backend, homes.substr(static_cast<std::size_t>(i), 1)) << kind;
      EXPECT_EQ(got.reason, "sticky");
    }
    EXPECT_EQ(refused(trunk), 2U);
    EXPECT_TRUE(trunk.holds_nothing());
  }
}

TEST(Rooms, ARefusalIsWhatTheFileSaysAndTellsWhenToComeAgain) {
  Trunk trunk(hotel(std::string(cookie) + ", session: {no_room: {status: 429, body: full house}}", {1}));
  trunk.keep_log();
  Browser().ask(trunk);
  const Told got = Browser().ask(trunk);
  EXPECT_EQ(got.status, 429);
  EXPECT_EQ(got.attempts, 0U);
  EXPECT_EQ(trunk.delivered().body, "full house");
  EXPECT_EQ(field(trunk.delivered().head.fields, "Retry-After").value_or(""), "10");
  EXPECT_EQ(trunk.take_log().back().at("failure").as_string(), "no_room");
}

TEST(Rooms, OfSessionsThatEndAreFreeAgain) {
  Trunk trunk(hotel(app_cookie, {1}));
  EXPECT_EQ(log_in(trunk, 0, 2), "a-");
  answer_with(trunk, "Remora-Session-Control: end\r\n");
  ask_as(trunk, 0);
  EXPECT_EQ(log_in(trunk, 2, 2), "a-");
  trunk.rest(2h);  // expired
  trunk.memory->sweep({trunk.clock.steady_now(), trunk.clock.wall_now()});
  EXPECT_EQ(log_in(trunk, 4, 2), "a-");
}

TEST(Rooms, AreExactForSessionsThatBeginAtTheSameTime) {
  Workers w(hotel(app_cookie, {1, 1}));
  BackendScript slow;
  slow.when = When::on_go;
  Browser first, second, third;
  for (const char* id : {"a", "b"}) w.one.connector.always(id, slow);
  for (const char* id : {"a", "b"}) w.two.connector.always(id, slow);
  first.begin(w.one);
  second.begin(w.two);
  EXPECT_NE(w.one.connector.requests.back().backend, w.two.connector.requests.back().backend);
  Trunk third_worker(hotel(app_cookie, {1, 1}), nullptr, w.one.memory);
  EXPECT_EQ(third.ask(third_worker).status, 503);  // both are taken, though no table knows a session
  w.both([](Trunk& trunk) {
    trunk.backend.go();
    trunk.settle();
  });
  EXPECT_EQ(first.end(w.one).status, 200);
  EXPECT_EQ(second.end(w.two).status, 200);
}

TEST(Rooms, OfAnAttemptThatFailedAreFreeAgain) {
  Trunk trunk(hotel(app_cookie, {1, 1}));
  trunk.connector.always("a", {.connect = Connect::refuses});
  trunk.connector.always("b", {.connect = Connect::refuses});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Browser().ask(trunk).status, 502);
  EXPECT_EQ(trunk.member("a").sessions->sessions(), 0U);
  EXPECT_EQ(trunk.member("b").sessions->sessions(), 0U);
  const std::string got = log_in(trunk, 0, 3);
  EXPECT_EQ(std::count(got.begin(), got.end(), '-'), 1) << got;
}

TEST(Rooms, AnAnswerWithoutAnIdTakesNoRoom) {
  Trunk trunk(hotel(app_cookie, {1}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Browser().ask(trunk).status, 200);
  EXPECT_EQ(trunk.member("a").sessions->sessions(), 0U);
}

TEST(Rooms, AFailoverGoesWhereThereIsRoomElseAnywhere) {
  Trunk trunk(hotel(app_cookie, {4, 2, 2}));
  const std::string homes = log_in(trunk, 0, 8);
  ASSERT_EQ(std::count(homes.begin(), homes.end(), 'a'), 4) << homes;
  answer_with(trunk, "Remora-Session-Control: end\r\n");
  const auto of_b = static_cast<int>(homes.find('b'));
  ask_as(trunk, of_b);  // leaves one room at b
  answer_with(trunk, "");
  trunk.member("a").health = Health::down;
  std::string moved;
  for (int i = 0; i < 8; ++i) {
    if (homes[static_cast<std::size_t>(i)] != 'a') continue;
    const Told got = ask_as(trunk, i);
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.reason, "failover");
    moved += got.backend;
  }
  EXPECT_EQ(moved.front(), 'b');  // the only room
  EXPECT_EQ(moved.size(), 4U) << "nobody is lost";
  EXPECT_GE(trunk.member("b").sessions->sessions() + trunk.member("c").sessions->sessions(), 7U);
  EXPECT_EQ(log_in(trunk, 20, 1), "-");
}

TEST(Rooms, ThatAReloadMakesSmallerMoveNobody) {
  Trunk trunk(hotel(app_cookie, {4, 4}));
  const std::string homes = log_in(trunk, 0, 8);
  trunk.reload(hotel(app_cookie, {1, 1}));
  answer_with(trunk, "");
  for (int i = 0; i < 8; ++i) {
    const Told got = ask_as(trunk, i);
    EXPECT_EQ(got.backend, homes.substr(static_cast<std::size_t>(i), 1));
    EXPECT_EQ(got.reason, "sticky");
  }
  EXPECT_EQ(log_in(trunk, 8, 1), "-");
  trunk.reload(hotel(app_cookie, {5, 4}));
  EXPECT_EQ(log_in(trunk, 9, 2), "a-");
  trunk.reload(hotel(app_cookie, {0, 4}));  // none: no limit
  EXPECT_EQ(log_in(trunk, 11, 3), "aaa");
}

TEST(Rooms, AreCountedBeforeALimitIsSetToo) {
  Trunk trunk(hotel(app_cookie, {0}));
  EXPECT_EQ(log_in(trunk, 0, 3), "aaa");
  trunk.reload(hotel(app_cookie, {3}));
  EXPECT_EQ(log_in(trunk, 3, 1), "-");
}

TEST(Rooms, ARequestThatBeginsNoSessionNeedsNone) {
  Trunk trunk(hotel(cookie, {1}, "routes: [{path: /, pool: app}, {path: /api, pool: app, affinity: off}]\n"));
  Browser().ask(trunk);
  EXPECT_EQ(Browser().ask(trunk, "/api").status, 200);
  const Fields preflight{{"Origin", "https://x.test"}, {"Access-Control-Request-Method", "PUT"}};
  EXPECT_EQ(Browser().ask(trunk, "/", preflight, "OPTIONS").status, 200);
  EXPECT_EQ(Browser().ask(trunk, "/").status, 503);
}

TEST(Rooms, AnUnknownIdBeginsItsSessionWhereThereIsRoom) {
  Trunk trunk(hotel("affinity: {kind: header, name: X-User, carry: store}", {1, 1, 1}));
  std::string homes;
  for (int i = 0; i < 4; ++i) {
    const Told got = Browser().ask(trunk, "/", {{"X-User", "user" + std::to_string(i)}});
    homes += got.status == 503 ? "-" : got.backend;
  }
  std::sort(homes.begin(), homes.end());
  EXPECT_EQ(homes, "-abc");
}

TEST(Rooms, OfASplitsPoolsAreUsedBeforeAnybodyIsRefused) {
  const std::string yaml =
      "pools: {app: {affinity: cookie, backends: [{id: a, address: 127.0.0.1:1, max_sessions: 2}]}, "
      "canary: {affinity: cookie, backends: [{id: b, address: 127.0.0.1:2, max_sessions: 1}]}}\n"
      "routes: [{path: /, split: {app: 50, canary: 50}}]\n";
  Trunk trunk(yaml);
  std::string homes;
  for (int i = 0; i < 4; ++i) {
    const Told got = Browser().ask(trunk);
    homes += got.status == 503 ? "-" : got.backend;
  }
  EXPECT_EQ(homes.back(), '-');
  std::sort(homes.begin(), homes.end());
  EXPECT_EQ(homes, "-aab");
}

}  // namespace
}  // namespace remora::test
