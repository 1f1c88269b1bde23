// From the tables to the log and back: each change once, nothing for what did not change, nothing that waits.

#include "session/log_changes.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "affinity/seal.h"
#include "session/log_world.h"

namespace remora {
namespace {

using namespace test;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class SessionChanges : public ::testing::Test {
 protected:
  SessionChanges() { changes.attach(); }
  /// The tables of a process that starts with this log.
  void restore(std::string_view records, SessionMemory& into) const {
    const std::string log = std::string(log_header()) + std::string(records);
    LogRecovery recovery(into, now);
    std::string_view rest = log;
    EXPECT_TRUE(recovery.read(rest));
    EXPECT_TRUE(rest.empty());
  }
  void advance(std::chrono::nanoseconds by) {
    now.steady += by;
    now.wall += std::chrono::duration_cast<Clock::Wall::duration>(by);
  }
  std::string written() { return drained(changes, now); }
  static Record record(std::uint8_t n, ClockReading at, std::string state = "") {
    Record r;
    r.binding = log_binding(n, 7, at);
    r.state.version = state.empty() ? 0 : 1;
    r.state.epoch = 1;
    r.state.sealed = std::move(state);
    return r;
  }
  void store(const std::string& name, const Record& r) {
    const auto standing = memory.values->get(name, now.steady);
    ASSERT_TRUE(
        memory.values->swap(name, standing ? standing->token : 0, encode(r), hours(1), now.steady)->done);
  }
  config::Session lifetimes;
  ClockReading now{Clock::Steady(hours(1000)), Clock::Wall(hours(500'000))};
  SessionMemory memory{1000}, next{1000};
  LogChanges changes{memory};
};

TEST_F(SessionChanges, BindingsMovesAndStatesComeBack) {
  memory.learned.bind(log_key(1), log_binding(1, 7, now), 0, lifetimes, now);
  memory.learned.move(log_key(1), 1, log_binding(1, 8, now, 2), Reason::failover, 0, lifetimes, now);
  memory.moves.moved(log_id(2), 3, 9, Reason::drain, lifetimes, now);
  memory.handed.begin(log_id(2), 3, now);
  store("a", record(3, now, "sealed bytes"));
  restore(written(), next);
  const auto session = next.learned.find_now(log_key(1), now);
  ASSERT_TRUE(session);
  EXPECT_EQ(session->binding.backend, 8U);
  EXPECT_EQ(session->binding.epoch, 2U);
  EXPECT_EQ(session->reason, Reason::failover);
  EXPECT_EQ(next.moves.find(log_id(2), now)->reason, Reason::drain);
  EXPECT_TRUE(next.handed.pending(log_id(2), 3));
  EXPECT_EQ(decode(log_value(next, "a", now))->state.sealed, "sealed bytes");
}

TEST_F(SessionChanges, ASessionThatEndedDoesNotComeBack) {
  memory.learned.bind(log_key(1), log_binding(1, 7, now), 0, lifetimes, now);
  memory.learned.end(log_key(1), log_id(1));
  memory.learned.bind(log_key(2), log_binding(2, 7, now), 0, lifetimes, now);
  memory.learned.forget(log_key(2), log_id(2));
  memory.moves.moved(log_id(3), 3, 9, Reason::drain, lifetimes, now);
  memory.moves.ended(log_id(3), 3, Reason::none, lifetimes, now);
  memory.moves.renewed(log_id(4), 1, 9, lifetimes, now);
  restore(written(), next);
  EXPECT_TRUE(next.learned.find_now(log_key(1), now)->ended);
  EXPECT_FALSE(next.learned.find_now(log_key(2), now));
  EXPECT_EQ(next.moves.find(log_id(3), now)->kind, Move::Kind::ended);
  EXPECT_EQ(next.moves.find(log_id(4), now)->kind, Move::Kind::renewed);
}

// More were ended than the table of marks holds: those in filters come back, too, from changes and from a
// compacted log.
TEST_F(SessionChanges, EveryMarkOfAnEndedSessionComesBack) {
  SessionMemory small(64), from_changes(1000), from_everything(1000);
  LogChanges of_small(small);
  of_small.attach();
  std::vector<SessionId> ended;
  for (int i = 0; i < 500; ++i) {
    ended.push_back(new_session_id());
    small.moves.ended(ended.back(), 1, Reason::none, lifetimes, now);
  }
  restore(drained(of_small, now), from_changes);
  std::string all;
  write_everything(small, now, [&](std::string_view bytes) {
    all += bytes;
    return true;
  });
  restore(all, from_everything);
  for (SessionMemory* m : {&from_changes, &from_everything})
    for (const SessionId& id : ended) {
      const auto known = m->moves.find(id, now);
      ASSERT_TRUE(known);
      EXPECT_EQ(known->kind, Move::Kind::ended);
    }
}

TEST_F(SessionChanges, ALookupOrARepeatedBindingWritesNothing) {
  memory.learned.bind(log_key(1), log_binding(1, 7, now), 0, lifetimes, now);
  memory.moves.moved(log_id(2), 3, 9, Reason::drain, lifetimes, now);
  static_cast<void>(written());
  for (int i = 0; i < 10; ++i) {
    memory.learned.find_now(log_key(1), now);
    memory.learned.bind(log_key(1), log_binding(1, 8, now), 0, lifetimes, now);
    memory.learned.trust(log_key(1), now);
    memory.moves.find(log_id(2), now);
    memory.moves.moved(log_id(2), 3, 9, Reason::drain, lifetimes, now);
  }
  EXPECT_EQ(written(), "");
}

TEST_F(SessionChanges, UseIsWrittenOnceAMinute) {
  const Binding b = log_binding(1, 7, now);
  memory.learned.bind(log_key(1), b, 0, lifetimes, now);
  store("a", record(3, now, "sealed"));
  static_cast<void>(written());
  std::size_t sessions = 0, values = 0;
  for (int second = 0; second < 600; ++second) {
    advance(seconds(1));
    memory.learned.refresh(log_key(1), b, lifetimes, now);
    sessions += records_in(written());
    Record used = record(3, now, "sealed");
    used.binding.created -= seconds(second + 1);
    store("a", used);
    values += records_in(written());
  }
  EXPECT_EQ(sessions, 10U);
  EXPECT_EQ(values, 10U);
  Record changed = record(3, now, "other!");  // what the app keeps is written each time
  changed.binding.created -= seconds(600);
  store("a", changed);
  EXPECT_EQ(records_in(written()), 1U);
}

// The last use may be missing in the log, so a restored session gets that minute.
TEST_F(SessionChanges, AShortSessionDoesNotEndBeforeItsTimeBecauseItsUseWasNotWritten) {
  lifetimes.idle_timeout = seconds(30);
  now.steady = Clock::Steady(hours(1000) + seconds(1));  // early in a minute
  const Binding b = log_binding(1, 7, now);
  memory.learned.bind(log_key(1), b, 0, lifetimes, now);
  advance(seconds(20));
  memory.learned.refresh(log_key(1), b, lifetimes, now);
  const std::string log = written();
  advance(seconds(29));
  restore(log, next);
  std::size_t living = 0;
  next.learned.count(now, [&](std::uint16_t, std::uint64_t) { ++living; });
  EXPECT_EQ(living, 1U);
}

TEST_F(SessionChanges, AFullQueueDropsCountsAndGoesOn) {
  changes.detach();
  LogChanges tiny(memory, 8 * 1024);
  tiny.attach();
  for (std::uint8_t n = 0; n < 200; ++n)
    memory.learned.bind(log_key(n), log_binding(n, 7, now), 0, lifetimes, now);
  const std::size_t kept = records_in(drained(tiny, now));
  EXPECT_GT(kept, 0U);
  EXPECT_LT(kept, 200U);
  EXPECT_EQ(tiny.take_dropped(), 200 - kept);
  EXPECT_EQ(tiny.take_dropped(), 0U);
  memory.learned.bind(log_key(201), log_binding(201, 7, now), 0, lifetimes, now);
  EXPECT_EQ(records_in(drained(tiny, now)), 1U);
}

// After a restart a flood of one-time sessions must not push out those that came back before.
TEST_F(SessionChanges, WhoCameBackIsStillProtectedAfterARestart) {
  SessionMemory small(6400), restored(6400);
  for (std::uint8_t n = 0; n < 50; ++n) {
    small.learned.bind(log_key(n), log_binding(n, 7, now), 0, lifetimes, now);
    small.learned.find_now(log_key(n), now);
  }
  std::string all;
  write_everything(small, now, [&](std::string_view bytes) {
    all += bytes;
    return true;
  });
  restore(all, restored);
  for (int i = 0; i < 50'000; ++i) {
    SessionKey key;
    random_bytes(key.mac);
    restored.learned.bind(key, log_binding(1, 7, now), 0, lifetimes, now);
  }
  for (std::uint8_t n = 0; n < 50; ++n) EXPECT_TRUE(restored.learned.find_now(log_key(n), now)) << int(n);
}

TEST_F(SessionChanges, AWaitEndsWithTheNextChange) {
  std::thread waiting([&] { changes.wait_for_change(std::nullopt); });
  memory.learned.bind(log_key(1), log_binding(1, 7, now), 0, lifetimes, now);
  waiting.join();
  EXPECT_EQ(records_in(written()), 1U);
}

}  // namespace
}  // namespace remora
