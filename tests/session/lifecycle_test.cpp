// The life of a session as decisions over values: where it may stay, what a response may say of it.

#include "session/lifecycle.h"

#include <gtest/gtest.h>

#include "affinity/seal.h"

namespace remora {
namespace {

Member member(const char* id = "a") {
  Member m;
  m.backend = std::make_shared<Backend>("p", id);
  return m;
}

TEST(Lifecycle, ASessionStaysUnlessItsBackendCannotServeIt) {
  const Binding b;
  EXPECT_EQ(reason_to_move(nullptr, b), Reason::removed);
  Member m = member();
  EXPECT_EQ(reason_to_move(&m, b), Reason::none);
  m.admin = Admin::drain;
  EXPECT_EQ(reason_to_move(&m, b), Reason::none);
  m.weight = 0;  // Traefik 8157: weight 0 must still serve those who are bound
  EXPECT_EQ(reason_to_move(&m, b), Reason::none);
  m.admin = Admin::maint;
  EXPECT_EQ(reason_to_move(&m, b), Reason::maint);
  m.admin = Admin::ready;
  m.health = Health::down;
  EXPECT_EQ(reason_to_move(&m, b), Reason::failover);
}

TEST(Lifecycle, AHigherGenerationMeansThatTheProcessLostItsMemory) {
  const Member m = member();
  Binding b;
  b.generation = 100;
  EXPECT_EQ(reason_to_move(&m, b), Reason::none);  // absent moves nothing
  m.backend->note_generation(100);
  EXPECT_EQ(reason_to_move(&m, b), Reason::none);
  m.backend->note_generation(99);  // numbers only grow
  EXPECT_EQ(m.backend->generation, 100U);
  m.backend->note_generation(101);
  EXPECT_EQ(reason_to_move(&m, b), Reason::restart);
  b.generation = 200;  // the token knows better
  EXPECT_EQ(reason_to_move(&m, b), Reason::none);
  b.generation = 0;  // from before the backend announced itself: adopted
  EXPECT_EQ(reason_to_move(&m, b), Reason::none);
}

TEST(Lifecycle, AnAppCanSendASessionAway) {
  const Member m = member();
  Binding b;
  b.leave = true;
  EXPECT_EQ(reason_to_move(&m, b), Reason::rebalance);
  EXPECT_FALSE(moved(b, *member("b").backend).leave);
}

TEST(Lifecycle, AMoveRaisesTheEpochAndChangesTheKeyOfTheNextChoice) {
  Binding b;
  b.id = new_session_id();
  b.generation = 5;
  const Binding next = moved(b, *member("b").backend);
  EXPECT_EQ(next.epoch, 2U);
  EXPECT_EQ(next.id, b.id);
  EXPECT_EQ(next.generation, 0U);
  EXPECT_NE(move_key(b), move_key(next));
}

TEST(Lifecycle, AnnouncesAStructuredFieldItem) {
  Binding b;
  b.id.bytes.fill(0xa5);
  b.epoch = 7;
  std::string out;
  append_announcement(b, Reason::failover, out);
  EXPECT_EQ(out, "\"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\";epoch=7;reason=failover");
}

TEST(SessionFields, AreReadStrictly) {
  struct Row {
    std::vector<std::pair<const char*, const char*>> fields;
    Control control;
    std::uint64_t generation;
  };
  for (const Row& row : std::vector<Row>{
           {{}, Control::none, 0},
           {{{"Remora-Session-Control", "end"}}, Control::end, 0},
           {{{"remora-session-control", "RENEW"}}, Control::renew, 0},
           {{{"Remora-Session-Control", "move"}}, Control::move, 0},
           {{{"Remora-Session-Control", "explode"}}, Control::none, 0},
           {{{"Remora-Session-Control", ""}}, Control::none, 0},
           {{{"Remora-Session-Control", "end"}, {"Remora-Session-Control", "end"}}, Control::end, 0},
           {{{"Remora-Session-Control", "end"}, {"Remora-Session-Control", "renew"}}, Control::none, 0},
           {{{"Remora_Session_Control", "end"}}, Control::none, 0},
           {{{"Remora-Generation", "1763720000000"}}, Control::none, 1763720000000},
           {{{"Remora-Generation", "-1"}}, Control::none, 0},
           {{{"Remora-Generation", "1e9"}}, Control::none, 0},
           {{{"Remora-Generation", "99999999999999999999"}}, Control::none, 0},
           {{{"Remora-Generation", "1"}, {"Remora-Generation", "2"}}, Control::none, 0},
           {{{"Remora-Other", "end"}}, Control::none, 0},
       }) {
    std::vector<Field> fields;
    for (const auto& [name, value] : row.fields) fields.push_back({name, value, Known::remora});
    const SessionFields said = read_session_fields(fields);
    EXPECT_EQ(said.control, row.control) << (row.fields.empty() ? "" : row.fields[0].second);
    EXPECT_EQ(said.generation, row.generation) << (row.fields.empty() ? "" : row.fields[0].second);
  }
}

// RFC 8941: an item with a parameter. The backend's name is a token or a quoted string.
TEST(SessionFields, AMoveMayNameItsBackend) {
  struct Row {
    const char* value;
    Control control;
    const char* to;
  };
  for (const Row& row : {Row{"move", Control::move, ""}, Row{"move; to=\"app2\"", Control::move, "app2"},
                         Row{"MOVE;to=app2", Control::move, "app2"},
                         Row{"move; to=10.0.0.2:8080", Control::move, "10.0.0.2:8080"},
                         Row{"pin", Control::pin, ""}, Row{"move; to=", Control::none, ""},
                         Row{"move; to=\"\"", Control::none, ""}, Row{"move; to=\"a", Control::none, ""},
                         Row{"move; to=a; to=b", Control::none, ""}, Row{"move; from=a", Control::none, ""},
                         Row{"pin; to=a", Control::none, ""}, Row{"end; to=a", Control::none, ""}}) {
    const std::vector<Field> fields{{"Remora-Session-Control", row.value, Known::remora}};
    const SessionFields said = read_session_fields(fields);
    EXPECT_EQ(said.control, row.control) << row.value;
    EXPECT_EQ(said.move_to, row.to) << row.value;
  }
  const std::vector<Field> two{{"Remora-Session-Control", "move; to=a", Known::remora},
                               {"Remora-Session-Control", "move; to=b", Known::remora}};
  EXPECT_EQ(read_session_fields(two).control, Control::none) << "they disagree";
}

TEST(SessionFields, OfAStateTheLastStandsAndHowManyThereWereIsSaid) {
  const std::vector<Field> fields = {{"Remora-State", "first", Known::remora},
                                     {"remora-state", "last", Known::remora},
                                     {"Remora-State-Version", "7", Known::remora},
                                     {"Remora_State", "not ours", Known::remora},
                                     {"X-State", "nor this", Known::other}};
  const SessionFields said = read_session_fields(fields);
  EXPECT_EQ(said.state_fields, 2U);
  EXPECT_EQ(said.state, "last");
  EXPECT_EQ(said.state_version, 7U);
  const std::vector<Field> malformed = {{"Remora-State-Version", "7x", Known::remora}};
  EXPECT_EQ(read_session_fields(malformed).state_version, 0U);
}

TEST(Lifecycle, ASessionIsBornAtItsFirstEpoch) {
  const Member m = member();
  const SessionId id = new_session_id();
  const Clock::Wall now{std::chrono::hours(500000)};
  const Binding b = born(id, *m.backend, now);
  EXPECT_EQ(b.id, id);
  EXPECT_EQ(b.backend, m.backend->hash);
  EXPECT_EQ(b.epoch, 1U);
  EXPECT_TRUE(b.created == now && b.last_seen == now && b.generation == 0 && !b.leave);
}

TEST(Lifecycle, TheIdOfAKeyIsTheSameEverywhereAndDiffersFromKeyToKey) {
  SessionKey key;
  for (std::size_t i = 0; i < key.mac.size(); ++i) key.mac[i] = static_cast<std::uint8_t>(i);
  const SessionId id = id_from_key(key);
  EXPECT_EQ(id, id_from_key(key));
  key.mac.back() ^= 1;
  EXPECT_NE(id, id_from_key(key));
}

TEST(Lifecycle, TheIdOfAKeyThatNeverChangesIsOneForAnIdleTimeoutAndNotBeyond) {
  SessionKey key, other;
  other.mac.back() = 1;
  config::Session lifetimes;
  lifetimes.idle_timeout = std::chrono::hours(1);
  const Clock::Wall now{std::chrono::hours(500000)};
  const SessionId id = id_from_key(key, lifetimes, now);
  EXPECT_EQ(id, id_from_key(key, lifetimes, now + std::chrono::minutes(59)));
  EXPECT_NE(id, id_from_key(key, lifetimes, now + std::chrono::minutes(60)));
  EXPECT_NE(id, id_from_key(other, lifetimes, now));
  lifetimes.idle_timeout.reset();
  lifetimes.max_lifetime = std::chrono::minutes(5);
  EXPECT_NE(id_from_key(key, lifetimes, now), id_from_key(key, lifetimes, now + std::chrono::minutes(5)));
}

TEST(Lifecycle, TheSuccessorOfAnExpiredSessionIsOneForTenMinutes) {
  const SessionId id = new_session_id();
  const Clock::Wall now{std::chrono::hours(500000)};
  EXPECT_EQ(successor(id, now), successor(id, now + std::chrono::minutes(9)));
  EXPECT_NE(successor(id, now), successor(id, now + std::chrono::minutes(10)));
  EXPECT_NE(successor(id, now), successor(new_session_id(), now));
  EXPECT_NE(successor(id, now), id);
}

}  // namespace
}  // namespace remora
