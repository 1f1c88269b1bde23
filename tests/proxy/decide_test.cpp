// What is decided about sessions and rooms: where they begin, where they move, and when the fallback serves.

#include "proxy/decide.h"

#include <gtest/gtest.h>

#include <map>

#include "proxy/decide_pool.h"
#include "support/affinity.h"

namespace remora {
namespace {

using Action = Decision::Action;
using What = Recognized::What;
using Kind = Failure::Kind;

/// Allows everything, and remembers nothing.
class Inputs final : public DecisionInputs {
 public:
  Clock::Wall wall_now() const override { return {}; }
  std::optional<Move> find_move(const SessionId&) override { return std::nullopt; }
  bool allows_drain() override { return true; }
  std::optional<std::chrono::milliseconds> idle_time(const Binding&) override {
    return std::chrono::hours(1);
  }
  bool allows_rebalance() override { return true; }
};

/// A pool of a, b and c. `free`: how many more sessions each has room for; negative: it has no
/// `max_sessions`.
class Decide : public ::testing::Test {
 protected:
  Decide() { pool_.affinity = make_affinity(test::pool_with("{kind: cookie, name: x}"), keys_, namer_); }
  void rooms(std::vector<int> free) {
    auto members = std::make_shared<PoolSnapshot>();
    for (std::size_t i = 0; i < free.size(); ++i) {
      Member m;
      m.backend = std::make_shared<Backend>("p", std::string(1, static_cast<char>('a' + i)));
      constexpr std::uint32_t limit = 10;
      if (free[i] >= 0) {
        m.max_sessions = limit;
        m.sessions = std::make_shared<SessionGauge>();
        for (std::uint32_t n = static_cast<std::uint32_t>(free[i]); n < limit; ++n) m.sessions->add();
      }
      members->members.push_back(m);
    }
    members_ = members;
    pool_.snapshot = members;
  }
  Member& member(char id) { return members_->members[static_cast<std::size_t>(id - 'a')]; }
  Situation at() const { return {pool_, route_, head_, tried_, {}}; }
  Binding bound_to(char id, std::uint64_t n = 1) const {
    Binding b;
    b.id.bytes[0] = static_cast<std::uint8_t>(n);
    b.id.bytes[1] = static_cast<std::uint8_t>(n >> 8);
    b.epoch = 1;
    b.backend = backend_hash(std::string(1, id));
    return b;
  }
  /// The backends to which many sessions of `id` move, and the action.
  std::string targets(char id, Reason why) const {
    std::string out;
    for (std::uint64_t n = 0; n < 300; ++n) {
      const Decision d = decide_move(bound_to(id, n), why, at());
      const std::string to = d.action == Action::reject ? "!"
                             : d.member != nullptr      ? d.member->backend->id
                                                        : "-";
      if (out.find(to) == std::string::npos) out += to;
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  std::shared_ptr<const KeyRing> keys_ =
      std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  std::shared_ptr<const SessionNamer> namer_ = std::make_shared<SessionNamer>(std::string(32, 'i'), "app");
  PoolView pool_;
  std::shared_ptr<PoolSnapshot> members_;
  RouteView route_;
  RequestHead head_;
  Tried tried_;
};

TEST_F(Decide, AMoveThatCannotWaitGoesWhereThereIsRoomElseAnywhere) {
  struct Row {
    std::vector<int> free;
    Reason why;
    const char* to;
  };
  for (const Row& row : std::vector<Row>{
           {{-1, -1, -1}, Reason::failover, "bc"},
           {{5, 5, 5}, Reason::failover, "bc"},
           {{5, 0, 5}, Reason::failover, "c"},
           {{0, 0, 5}, Reason::maint, "c"},
           {{5, 0, -1}, Reason::removed, "c"},
           {{5, 0, 0}, Reason::failover, "bc"},  // losing the session would be worse
           {{5, 0, 0}, Reason::maint, "bc"},
           {{5, 0, 0}, Reason::overload, "bc"},
           {{0, 0, 5}, Reason::restart, "c"},
           {{5, 0, 5}, Reason::drain, "c"},
           {{5, 0, 0}, Reason::drain, "-"},  // it can wait, so it stays
       }) {
    rooms(row.free);
    EXPECT_EQ(targets('a', row.why), row.to) << to_string(row.why);
  }
}

TEST_F(Decide, ABoundSessionNeedsNoRoom) {
  rooms({0, 0, 0});
  Inputs in;
  Recognized found;
  found.what = What::session;
  found.binding = bound_to('a');
  const Decision d = decide(found, at(), in);
  EXPECT_EQ(d.action, Action::stay);
  EXPECT_EQ(d.member, &member('a'));
}

TEST_F(Decide, AnUnknownIdBeginsWhereThereIsRoomUnlessItNamesItsBackend) {
  rooms({0, 5, 0});
  Inputs in;
  Recognized found;
  found.what = What::unbound;
  for (int n = 0; n < 50; ++n) {
    found.lookup.key.mac[0] = static_cast<std::uint8_t>(n);
    const Decision d = decide(found, at(), in);
    EXPECT_EQ(d.action, Action::begin);
    ASSERT_NE(d.member, nullptr);
    EXPECT_EQ(d.member->backend->id, "b");
  }
  EXPECT_FALSE(decide(found, at(), in).is_there_already());
  found.lookup.route = backend_hash("a");
  const Decision named = decide(found, at(), in);
  EXPECT_EQ(named.member, &member('a'));
  EXPECT_TRUE(named.is_there_already());
}

TEST_F(Decide, OnlyASessionThatIsToBeginLacksRoom) {
  Recognized nothing, session;
  session.what = What::session;
  struct Row {
    std::vector<int> free;
    Health health;
    bool lacks;
  };
  for (const Row& row : std::vector<Row>{{{0, 0}, Health::up, true}, {{0, 0}, Health::down, false}}) {
    rooms(row.free);
    for (Member& m : members_->members) m.health = row.health;
    EXPECT_EQ(lacks_room(nothing, at()), row.lacks);
    EXPECT_FALSE(lacks_room(session, at()));
  }
  route_.config.affinity = false;
  rooms({0, 0});
  EXPECT_FALSE(lacks_room(nothing, at())) << "without affinity nothing begins";
}

TEST_F(Decide, FirstRequestsShareABackendOnlyWhileItHasRoom) {
  rooms({1, 0, 5});
  member('c').admin = Admin::drain;
  EXPECT_EQ(usable_new(*members_, backend_hash("a"), tried_), &member('a'));
  EXPECT_EQ(usable_new(*members_, backend_hash("b"), tried_), nullptr);
  EXPECT_EQ(usable_new(*members_, backend_hash("c"), tried_), nullptr);
  EXPECT_EQ(usable_bound(*members_, backend_hash("b"), tried_), &member('b'));
}

TEST_F(Decide, WithAFallbackASessionIsRejectedOnlyWhileSomebodyIsInService) {
  rooms({-1, -1});
  pool_.config.session.on_lost = config::OnLost::reject;
  member('a').health = Health::down;
  EXPECT_EQ(targets('a', Reason::failover), "!");
  member('b').health = Health::down;
  EXPECT_EQ(targets('a', Reason::failover), "!");
  pool_.config.fallback.emplace();
  EXPECT_EQ(targets('a', Reason::failover), "-");
  member('b').health = Health::up;
  EXPECT_EQ(targets('a', Reason::failover), "!");
}

// A backend that warms up has a small weight; that is no excess of load.
TEST_F(Decide, ASlowStartMovesNoSessionAway) {
  rooms({-1, -1, -1});
  pool_.config.session.rebalance.emplace();
  for (Member& m : members_->members) {
    m.weight = m.full_weight = 100;
    m.backend->served = 100;
  }
  member('a').weight = 10;
  Inputs in;
  Recognized found;
  found.what = What::session;
  found.binding = bound_to('a');
  EXPECT_EQ(decide(found, at(), in).action, Action::stay);
  member('a').backend->served = 400;
  EXPECT_EQ(decide(found, at(), in).action, Action::move);
}

TEST_F(Decide, TheFallbackServesWhenNobodyIsInService) {
  struct Row {
    bool configured;
    Health health;
    int free;
    bool tried;
    Kind last;
    bool serves;
  };
  for (const Row& row : std::vector<Row>{
           {true, Health::down, -1, false, Kind::none, true},
           {false, Health::down, -1, false, Kind::none, false},
           {true, Health::up, -1, false, Kind::none, false},
           {true, Health::up, 0, false, Kind::none, false},  // in service, only full
           {true, Health::up, -1, true, Kind::refused, true},
           {true, Health::up, -1, true, Kind::connect_timeout, true},
           {true, Health::down, -1, true, Kind::hung, true},
           {true, Health::down, -1, true, Kind::out_of_service, true},
           {true, Health::up, -1, true, Kind::status, false},  // it answered
           {true, Health::up, -1, true, Kind::reset, false},
           {true, Health::up, -1, true, Kind::timeout, false},
           {true, Health::up, -1, false, Kind::queue_full, false},
       }) {
    rooms({row.free});
    member('a').health = row.health;
    pool_.config.fallback.reset();
    if (row.configured) pool_.config.fallback.emplace();
    Tried tried;
    if (row.tried) tried.add(member('a').backend.get());
    Failure last;
    last.kind = row.last;
    EXPECT_EQ(decide_fallback(pool_, last, tried) != nullptr, row.serves)
        << to_string(row.last) << " " << row.free << " " << to_string(row.health);
  }
}

}  // namespace
}  // namespace remora
