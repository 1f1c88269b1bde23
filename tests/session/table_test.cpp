// The tables of sessions: bounded, first writer wins, late writers lose, nothing ends early.

#include <gtest/gtest.h>

#include <cstring>

#include <map>
#include <random>
#include <thread>

#include "affinity/seal.h"
#include "session/memory.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

struct Number {
  std::uint64_t n;
  std::uint64_t hash() const noexcept {
    std::uint64_t z = n * 0x9e3779b97f4a7c15ULL;
    return z ^ (z >> 29);
  }
  bool operator==(const Number&) const = default;
};
using Table = ShardedTable<Number, int>;

TEST(ShardedTable, AgreesWithAMapUnderRandomOperations) {
  Table table(1 << 20);
  std::map<std::uint64_t, int> model;
  std::mt19937_64 random(1);
  for (int i = 0; i < 200000; ++i) {
    const Number key{random() % 5000};
    switch (random() % 4) {
      case 0:
      case 1:
        table.put(key, i, [&](int& v) { v = i; });
        model[key.n] = i;
        break;
      case 2:
        EXPECT_EQ(table.erase(key), model.erase(key.n) == 1);
        break;
      default: {
        const auto found = table.find(key);
        const auto it = model.find(key.n);
        ASSERT_EQ(found.has_value(), it != model.end());
        if (found) {
          ASSERT_EQ(*found, it->second);
        }
      }
    }
    ASSERT_EQ(table.size(), model.size());
  }
  std::size_t swept = 0;
  table.sweep([&](const Number& k, const int& v) {
    EXPECT_EQ(model.at(k.n), v);
    ++swept;
    return k.n % 2 == 0;
  });
  EXPECT_EQ(swept, model.size());
  table.sweep([&](const Number& k, const int&) {
    EXPECT_EQ(k.n % 2, 0U);
    return true;
  });
}

TEST(ShardedTable, AFloodOfOneTimeSessionsCannotPushOutThoseThatComeBack) {
  Table table(64 * 100);
  const auto keep = [](int&) {};
  for (std::uint64_t i = 0; i < 1000; ++i) {
    table.put({i}, 1, keep);
    EXPECT_TRUE(table.find({i}));  // seen a second time
  }
  for (std::uint64_t i = 1000; i < 200000; ++i) table.put({i}, 2, keep);
  EXPECT_LE(table.size(), table.capacity());
  EXPECT_GT(table.evicted(), 190000U);
  int left = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) left += table.find({i}) ? 1 : 0;
  EXPECT_EQ(left, 1000);
}

TEST(ShardedTable, OfThoseThatCameBackTheLeastRecentlyUsedGoesFirst) {
  Table table(64 * 10);
  const auto keep = [](int&) {};
  for (std::uint64_t i = 0; i < 640; ++i) {
    table.put({i}, 1, keep);
    table.find({i});
  }
  const auto before = table.size();
  for (std::uint64_t i = 0; i < 64; ++i) table.update({i}, keep);  // used again
  for (std::uint64_t i = 10000; i < 10640; ++i) {
    table.put({i}, 1, keep);
    table.find({i});
  }
  int used_again = 0, others = 0;
  for (std::uint64_t i = 0; i < 640; ++i) (i < 64 ? used_again : others) += table.peek({i}) ? 1 : 0;
  EXPECT_LE(table.size(), table.capacity());
  EXPECT_GE(before, 500U);
  EXPECT_GT(used_again * 9, others);  // a tenth of all, yet no worse off
}

TEST(ShardedTable, PeekingProtectsNothing) {
  Table table(64);
  const auto keep = [](int&) {};
  table.put({1}, 1, keep);
  EXPECT_TRUE(table.peek({1}));
  for (std::uint64_t i = 2; i < 10000; ++i) table.put({i}, 1, keep);
  EXPECT_FALSE(table.peek({1}));
}

TEST(ShardedTable, HoldsUnderConcurrentWriters) {
  Table table(10000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&table, t] {
      std::mt19937_64 random(static_cast<std::uint64_t>(t));
      for (int i = 0; i < 20000; ++i) {
        const Number key{random() % 20000};
        table.put(key, i, [](int& v) { ++v; });
        table.find({random() % 20000});
        if (i % 3 == 0) table.erase({random() % 20000});
      }
    });
  for (auto& t : threads) t.join();
  std::size_t swept = 0;
  table.sweep([&](const Number&, const int&) {
    ++swept;
    return true;
  });
  EXPECT_EQ(swept, table.size());
  EXPECT_LE(table.size(), table.capacity());
}

// Learned sessions ----------------------------------------------------------------------------------

class ObservedId : public ::testing::Test {
 protected:
  static SessionKey key(int n) {
    SessionKey k;
    k.mac[0] = static_cast<std::uint8_t>(n);
    k.mac[31] = 1;
    return k;
  }
  Binding binding(std::uint64_t backend) const {
    Binding b;
    b.id = new_session_id();
    b.backend = backend;
    b.created = b.last_seen = now_.wall;
    return b;
  }
  void pass(std::chrono::milliseconds d) {
    now_.steady += d;
    now_.wall += d;
  }
  std::optional<Standing> find(int n) { return table_.find_now(key(n), now_); }

  LocalTable table_{1000};
  config::Session session_;
  ClockReading now_{Clock::Steady(std::chrono::hours(1000)), Clock::Wall(std::chrono::hours(500000))};
};

TEST_F(ObservedId, OfTwoRacingFirstResponsesOneWins) {
  const Binding a = binding(1), b = binding(2);
  EXPECT_EQ(table_.bind(key(1), a, 0, session_, now_).binding.id, a.id);
  EXPECT_EQ(table_.bind(key(1), b, 0, session_, now_).binding.id, a.id);
  EXPECT_EQ(find(1)->binding.backend, 1U);
}

TEST_F(ObservedId, OfTwoRacingMovesOneWinsAndBothHearOfIt) {
  Binding b = binding(1);
  table_.bind(key(1), b, 0, session_, now_);
  Binding first = b, second = b;
  first.epoch = second.epoch = 2;
  first.backend = 2;
  second.backend = 3;
  EXPECT_EQ(table_.move(key(1), 1, first, Reason::failover, 0, session_, now_).binding.backend, 2U);
  const Standing s = table_.move(key(1), 1, second, Reason::failover, 0, session_, now_);
  EXPECT_EQ(s.binding.backend, 2U);
  EXPECT_EQ(s.binding.epoch, 2U);
}

TEST_F(ObservedId, ALateAnswerOfThePreviousBackendTakesNothingBack) {
  const Binding old = binding(1);
  table_.bind(key(1), old, 0, session_, now_);
  Binding moved = old;
  moved.epoch = 2;
  moved.backend = 2;
  table_.move(key(1), 1, moved, Reason::failover, 0, session_, now_);
  table_.refresh(key(1), old, session_, now_);
  table_.bind(key(1), old, 0, session_, now_);
  EXPECT_EQ(find(1)->binding.backend, 2U);
  EXPECT_EQ(find(1)->binding.epoch, 2U);
}

TEST_F(ObservedId, AnEndedSessionIsNotRevivedByALateAnswerButTheIdCanBeginAnew) {
  const Binding b = binding(1);
  table_.bind(key(1), b, 0, session_, now_);
  table_.end(key(1), b.id);
  table_.bind(key(1), b, 0, session_, now_);
  EXPECT_TRUE(find(1)->ended);
  const Binding fresh = binding(2);
  table_.bind(key(1), fresh, 0, session_, now_);
  EXPECT_FALSE(find(1)->ended);
  EXPECT_EQ(find(1)->binding.id, fresh.id);
}

TEST_F(ObservedId, WhatIsSaidOfAnEndedSessionChangesNothingOfTheNextUnderItsKey) {
  const Binding old = binding(1);
  table_.bind(key(1), old, 0, session_, now_);
  table_.end(key(1), old.id);
  const Binding fresh = binding(1);
  table_.bind(key(1), fresh, 0, session_, now_);
  Binding leaving = old, moved = old;
  leaving.leave = true;
  moved.epoch = 2;
  moved.backend = 2;
  table_.refresh(key(1), leaving, session_, now_);
  EXPECT_FALSE(find(1)->binding.leave);
  EXPECT_EQ(table_.move(key(1), 1, moved, Reason::failover, 0, session_, now_).binding.id, fresh.id);
  EXPECT_EQ(find(1)->binding.backend, 1U);
  table_.end(key(1), old.id);
  EXPECT_FALSE(find(1)->ended);
}

TEST_F(ObservedId, TheKeyOfAnExpiredSessionCanBeginAnother) {
  table_.bind(key(1), binding(1), 0, session_, now_);
  pass(38min);
  const Binding fresh = binding(2);
  EXPECT_EQ(table_.bind(key(1), fresh, 0, session_, now_).binding.id, fresh.id);
}

TEST_F(ObservedId, ARecordOfTheSessionBeforeDoesNotReplaceTheOneThatFollowed) {
  Record before;
  before.binding = binding(1);
  before.ended = true;
  pass(1min);
  const Binding fresh = binding(2);
  table_.bind(key(1), fresh, 0, session_, now_);
  table_.adopt(key(1), before, 0, session_, now_);
  EXPECT_EQ(find(1)->binding.id, fresh.id);
  pass(1min);
  Record later;  // another instance ended this one too, and the next
  later.binding = binding(3);
  later.ended = true;
  table_.adopt(key(1), later, 0, session_, now_);
  EXPECT_TRUE(find(1)->ended);
}

TEST_F(ObservedId, ForgettingNamesTheSessionSoThatAnothersIsLeftAlone) {
  const Binding b = binding(1);
  table_.bind(key(1), b, 0, session_, now_);
  table_.forget(key(1), new_session_id());
  EXPECT_TRUE(find(1));
  table_.forget(key(1), b.id);
  EXPECT_FALSE(find(1));
}

TEST_F(ObservedId, AgesByTheSteadyClockSoThatAWallClockThatJumpsEndsNothing) {
  table_.bind(key(1), binding(1), 0, session_, now_);
  pass(20min);
  now_.wall -= 1min;
  EXPECT_EQ(judge_lifetime(find(1)->binding, session_, now_.wall), Cause::none);
  now_.wall += 24h;
  EXPECT_EQ(judge_lifetime(find(1)->binding, session_, now_.wall), Cause::none);
}

TEST_F(ObservedId, EndsBetweenOneAndOneAndAQuarterIdleTimeouts) {
  Binding b = binding(1);
  table_.bind(key(1), b, 0, session_, now_);
  pass(30min);
  EXPECT_EQ(judge_lifetime(find(1)->binding, session_, now_.wall), Cause::none);
  EXPECT_TRUE(needs_refresh(find(1)->binding, session_, now_.wall));
  table_.refresh(key(1), b, session_, now_);
  EXPECT_FALSE(needs_refresh(find(1)->binding, session_, now_.wall));
  pass(38min);
  EXPECT_EQ(judge_lifetime(find(1)->binding, session_, now_.wall), Cause::idle);
}

TEST_F(ObservedId, CountsTheLivingPerBackendAndDropsTheRest) {
  for (int i = 0; i < 10; ++i) table_.bind(key(i), binding(i < 4 ? 1 : 2), 7, session_, now_);
  const Binding replaced = binding(1), ended = binding(1);
  table_.bind(key(20), replaced, 7, session_, now_);
  table_.mark_replaced(key(20), replaced.id);
  table_.bind(key(21), ended, 7, session_, now_);
  table_.end(key(21), ended.id);
  std::map<std::uint64_t, int> counts;
  const auto count = [&] {
    counts.clear();
    table_.count(now_, [&](std::uint16_t pool, std::uint64_t backend) {
      EXPECT_EQ(pool, 7);
      ++counts[backend];
    });
  };
  count();
  EXPECT_EQ(counts[1], 4);
  EXPECT_EQ(counts[2], 6);
  pass(38min);
  count();
  EXPECT_TRUE(counts.empty());
  EXPECT_EQ(table_.size(), 0U);
}

// The memory of moves -------------------------------------------------------------------------------

class Moves : public ObservedId {
 protected:
  MoveMemory moves_{1000};
  const SessionId id_ = new_session_id();
};

TEST_F(Moves, TheFirstOfParallelMovesDecides) {
  EXPECT_EQ(moves_.moved(id_, 2, 5, Reason::failover, session_, now_).backend, 5U);
  EXPECT_EQ(moves_.moved(id_, 2, 6, Reason::failover, session_, now_).backend, 5U);
  EXPECT_EQ(moves_.moved(id_, 3, 6, Reason::failover, session_, now_).backend, 6U);
  EXPECT_EQ(moves_.moved(id_, 2, 7, Reason::failover, session_, now_).backend, 6U);
}

TEST_F(Moves, AnEndedSessionStaysEnded) {
  moves_.ended(id_, 1, Reason::none, session_, now_);
  moves_.moved(id_, 2, 5, Reason::failover, session_, now_);
  Binding b = binding(5);
  b.id = id_;
  moves_.active(b, session_, now_);
  EXPECT_EQ(moves_.find(id_, now_)->kind, Move::Kind::ended);
}

TEST_F(Moves, AreForgottenOnceNoTokenOfBeforeCanLive) {
  moves_.moved(id_, 2, 5, Reason::failover, session_, now_);
  pass(37min);
  EXPECT_TRUE(moves_.find(id_, now_));
  pass(1min);
  EXPECT_FALSE(moves_.find(id_, now_));
  moves_.sweep(now_);
  EXPECT_EQ(moves_.size(), 0U);
}

TEST_F(Moves, ALongExchangeIsActivityButNoMove) {
  Binding b = binding(5);
  b.id = id_;
  moves_.moved(id_, 1, 5, Reason::failover, session_, now_);
  pass(20min);
  moves_.active(b, session_, now_);
  pass(20min);
  ASSERT_TRUE(moves_.find(id_, now_));
  EXPECT_EQ(moves_.find(id_, now_)->kind, Move::Kind::moved);
}

// One client that ends many sessions brought back those that others had ended.
TEST_F(Moves, NoEndIsForgottenForManyOthers) {
  MoveMemory moves(640);
  moves.ended(id_, 1, Reason::none, session_, now_);
  std::vector<SessionId> others;
  for (int i = 0; i < 20000; ++i) {
    others.push_back(new_session_id());
    moves.ended(others.back(), 1, Reason::none, session_, now_);
  }
  ASSERT_TRUE(moves.find(id_, now_));
  EXPECT_EQ(moves.find(id_, now_)->kind, Move::Kind::ended);
  for (const SessionId& id : others) {
    const auto mark = moves.find(id, now_);
    ASSERT_TRUE(mark);
    ASSERT_EQ(mark->kind, Move::Kind::ended);
  }
  EXPECT_EQ(moves.refused(), 0U);
  int wrong = 0;
  for (int i = 0; i < 20000; ++i) wrong += moves.find(new_session_id(), now_) ? 1 : 0;
  EXPECT_EQ(wrong, 0);
  pass(38min);
  moves.sweep(now_);
  EXPECT_FALSE(moves.find(others.back(), now_));
  EXPECT_EQ(moves.size(), 0U);
}

TEST_F(Moves, BeyondTheBoundMarksAreRefusedAndCountedAndThoseThatStandStay) {
  EndedSpill spill(0);
  const std::uint32_t then = Ticks::at(now_.steady), end = then + 1000;
  ASSERT_TRUE(spill.add(id_, end, then));
  int taken = 1;
  while (taken < 100000 && spill.add(new_session_id(), end, then)) ++taken;
  EXPECT_EQ(taken, 2 * 32768);
  EXPECT_EQ(spill.find(id_, then), end);
  EXPECT_FALSE(spill.add(new_session_id(), end, end - 1));
  EXPECT_TRUE(spill.add(new_session_id(), end + 1000, end)) << "the older filter's marks have expired";
  EXPECT_FALSE(spill.find(id_, end));
}

TEST_F(Moves, OtherMovesPushNoEndOut) {
  MoveMemory moves(64);
  moves.ended(id_, 1, Reason::none, session_, now_);
  for (int i = 0; i < 5000; ++i) moves.moved(new_session_id(), 2, 5, Reason::failover, session_, now_);
  EXPECT_TRUE(moves.find(id_, now_));
}

// Pools share what is bounded -----------------------------------------------------------------------

/// As MACs lie: over all shards.
SessionKey spread_key(std::uint64_t n) {
  SessionKey k;
  n = (n + 1) * 0x9e3779b97f4a7c15ULL;
  n ^= n >> 29;
  std::memcpy(k.mac.data(), &n, sizeof n);
  return k;
}

TEST_F(ObservedId, IdsOfOnePoolThatAreUsedTwiceTakeNothingFromAnother) {
  LocalTable table(640);
  for (unsigned i = 0; i < 30; ++i) {
    table.bind(spread_key(i), binding(1), 0, session_, now_);
    table.find_now(spread_key(i), now_);
  }
  for (unsigned i = 1000; i < 20000; ++i) {
    table.bind(spread_key(i), binding(1), 1, session_, now_);
    table.find_now(spread_key(i), now_);
    table.find_now(spread_key(i), now_);
  }
  for (unsigned i = 0; i < 30; ++i) EXPECT_TRUE(table.find_now(spread_key(i), now_, false)) << i;
}

TEST_F(ObservedId, AFullPoolMakesRoomForAnother) {
  LocalTable table(640);
  for (unsigned i = 0; i < 2000; ++i) {
    table.bind(spread_key(i), binding(1), 0, session_, now_);
    table.find_now(spread_key(i), now_);
  }
  for (unsigned i = 5000; i < 5010; ++i) {
    table.bind(spread_key(i), binding(1), 1, session_, now_);
    table.find_now(spread_key(i), now_);
  }
  int kept = 0;
  for (unsigned i = 5000; i < 5010; ++i) kept += table.find_now(spread_key(i), now_, false) ? 1 : 0;
  EXPECT_EQ(kept, 10);
  EXPECT_LE(table.size(), 640U);
}

class States : public ObservedId {
 protected:
  void save(const std::string& name, MemoryValues::Use use) {
    const auto found = values_.get(name, now_.steady, use);
    const auto saved =
        values_.swap(name, found ? found->token : 0, std::string(4096, 's'), 30min, now_.steady, use);
    EXPECT_TRUE(saved && saved->done);
  }
  int kept(const std::string& name, unsigned count) {
    int n = 0;
    for (unsigned i = 0; i < count; ++i) n += values_.get(name + std::to_string(i), now_.steady) ? 1 : 0;
    return n;
  }
  MemoryValues values_{1U << 20};
};

// 3,000 sessions that were begun and never came back took the states of everybody.
TEST_F(States, OfSessionsThatNeverComeBackTakeNothingFromThoseThatDo) {
  for (unsigned i = 0; i < 20; ++i) {
    save("user" + std::to_string(i), {0, false});
    save("user" + std::to_string(i), {0, true});
  }
  for (unsigned i = 0; i < 3000; ++i) save("anonymous" + std::to_string(i), {0, false});
  EXPECT_EQ(kept("user", 20), 20);
  EXPECT_LE(values_.bytes(), 1U << 20);
  EXPECT_GT(values_.evicted(), 0U);
}

TEST_F(States, OfOnePoolTakeNothingFromAnothersShare) {
  for (unsigned i = 0; i < 20; ++i) save("user" + std::to_string(i), {0, false});
  for (unsigned i = 0; i < 3000; ++i) save("other" + std::to_string(i), {1, true});
  EXPECT_EQ(kept("user", 20), 20);
}

// Active sessions -----------------------------------------------------------------------------------

TEST_F(ObservedId, OnlyASessionWithNothingOpenIsIdle) {
  ActiveSessions active(1000);
  const Binding b = binding(1);
  EXPECT_FALSE(active.begin(b, 0, session_, now_));  // never seen: who knows
  pass(5min);
  EXPECT_FALSE(active.begin(b, 0, session_, now_));  // another is open
  active.finish(b.id, now_);
  active.finish(b.id, now_);
  pass(2min);
  EXPECT_GE(active.begin(b, 0, session_, now_).value_or(0ms), 2min);
}

}  // namespace
}  // namespace remora
