// The log of sessions as bytes: what is whole counts, whatever follows it, and times survive the machine.

#include "session/log_record.h"

#include <gtest/gtest.h>

#include "affinity/seal.h"
#include "session/log_world.h"
#include "util/hash.h"

namespace remora {
namespace {

using namespace test;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class SessionLogBytes : public ::testing::Test {
 protected:
  /// A log with a record of each kind, and where each record ends.
  std::string one_of_each() {
    std::string out(log_header());
    ends = {out.size()};
    const LogTimes times(now);
    const auto add = [&](const LogRecord& r) {
      append_log_record(out, r, times);
      ends.push_back(out.size());
    };
    LocalTable::Kept kept{};
    kept.id = log_id(1);
    kept.backend = 7;
    kept.epoch = 3;
    kept.created = kept.seen = Ticks::at(now.steady);
    kept.expires = kept.seen + Ticks::of(hours(1));
    add(LoggedSession{log_key(1), kept, true});
    Move move;
    move.epoch = 5;
    move.backend = 9;
    move.seen = kept.seen;
    move.expires = kept.expires;
    add(LoggedMove{log_id(2), move});
    move.kind = Move::Kind::ended;
    add(LoggedMove{log_id(3), move});
    add(LoggedHandOver{log_id(4), {2, kept.expires}});
    add(LoggedValue{"name", "the value", now.steady + hours(1), {0, true}});
    EndedFilter filter(64);
    filter.add(log_id(5), kept.expires);
    LoggedFilter marks;
    filter.append_to(marks.bytes);
    add(marks);
    add(LoggedPool{3, "app"});
    add(LoggedIndexKey{"sealed"});
    add(LoggedSession{log_key(6), kept, false});
    add(ForgottenSession{log_key(6)});
    add(LoggedMove{log_id(7), [&] {
                     Move other = move;
                     other.kind = Move::Kind::moved;
                     return other;
                   }()});
    add(ForgottenMove{log_id(7)});
    add(LoggedHandOver{log_id(8), {2, kept.expires}});
    add(FinishedHandOver{log_id(8)});
    return out;
  }
  std::uint64_t whole_part(std::string_view log) {
    SessionMemory memory(100);
    LogRecovery recovery(memory, now);
    std::string_view rest = log;
    recovery.read(rest);
    return recovery.whole();
  }
  const ClockReading now{Clock::Steady(hours(1000)), Clock::Wall(hours(500'000))};
  std::vector<std::size_t> ends;
};

TEST_F(SessionLogBytes, EachKindIsRestored) {
  const std::string log = one_of_each();
  SessionMemory memory(100);
  LogRecovery recovery(memory, now);
  std::string_view rest = log;
  EXPECT_TRUE(recovery.read(rest));
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(recovery.records(), ends.size() - 1);
  const auto session = memory.learned.find_now(log_key(1), now);
  ASSERT_TRUE(session);
  EXPECT_EQ(session->binding.backend, 7U);
  EXPECT_EQ(session->binding.epoch, 3U);
  EXPECT_EQ(memory.moves.find(log_id(2), now)->backend, 9U);
  EXPECT_EQ(memory.moves.find(log_id(3), now)->kind, Move::Kind::ended);
  EXPECT_TRUE(memory.handed.pending(log_id(4), 2));
  EXPECT_EQ(log_value(memory, "name", now), "the value");
  EXPECT_EQ(memory.moves.find(log_id(5), now)->kind, Move::Kind::ended) << "by the filter";
  EXPECT_EQ(recovery.pool_numbers().at("app"), 3);
  EXPECT_EQ(recovery.sealed_index_key(), "sealed");
  EXPECT_FALSE(memory.learned.find_now(log_key(6), now));
  EXPECT_FALSE(memory.moves.find(log_id(7), now));
  EXPECT_FALSE(memory.handed.pending(log_id(8), 2));
}

TEST_F(SessionLogBytes, CutAnywhereTheLogIsReadAsFarAsItIsWhole) {
  const std::string log = one_of_each();
  for (std::size_t size = 0; size <= log.size(); ++size) {
    std::uint64_t wanted = 0;
    for (const std::size_t end : ends)
      if (end <= size) wanted = end;
    ASSERT_EQ(whole_part(std::string_view(log).substr(0, size)), wanted) << size;
  }
}

TEST_F(SessionLogBytes, AnyChangedByteEndsTheLogBeforeItsRecord) {
  const std::string log = one_of_each();
  for (std::size_t at = 0; at < log.size(); ++at) {
    std::uint64_t wanted = 0;
    for (const std::size_t end : ends)
      if (end <= at) wanted = end;
    std::string changed = log;
    changed[at] = static_cast<char>(changed[at] ^ 0x41);
    ASSERT_EQ(whole_part(changed), wanted) << at;
  }
}

TEST_F(SessionLogBytes, GarbageAndZerosAfterALogAreNoPartOfIt) {
  const std::string log = one_of_each();
  EXPECT_EQ(whole_part(log + std::string(4096, '\0')), log.size());
  EXPECT_EQ(whole_part(log + std::string(4096, '\xff')), log.size());
  EXPECT_EQ(whole_part(log + log), log.size());
}

TEST_F(SessionLogBytes, AnotherVersionIsNotRead) {
  std::string log = one_of_each();
  log[log_header().size() - 2] = '2';
  EXPECT_EQ(whole_part(log), 0U);
  EXPECT_EQ(whole_part("something else entirely"), 0U);
}

// A later version may have written it.
TEST_F(SessionLogBytes, ARecordThatIsWholeButNotUnderstoodIsSkipped) {
  const auto framed = [](const std::string& payload) {
    std::string out;
    const std::uint64_t sum = hash_text(payload);
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(sum >> shift);
    return out + payload;
  };
  const std::string log = one_of_each(), first = log.substr(0, log_header().size());
  for (const char* payload : {"?of a kind to come", "Ltoo short", "M", "F", "S"}) {
    SessionMemory memory(100);
    LogRecovery recovery(memory, now);
    const std::string both = first + framed(payload) + log.substr(first.size());
    std::string_view rest = both;
    EXPECT_TRUE(recovery.read(rest)) << payload;
    EXPECT_TRUE(rest.empty()) << payload;
    EXPECT_TRUE(memory.learned.find_now(log_key(1), now)) << payload;
  }
}

// The steady clock begins anew with the machine; a session of before is older than the machine is up.
TEST_F(SessionLogBytes, AgesSurviveARestartOfTheMachine) {
  config::Session lifetimes;
  SessionMemory before(100), after(100);
  Binding b = log_binding(1, 7, now);
  b.created = now.wall - hours(11);
  LogChanges changes(before);
  changes.attach();
  before.learned.bind(log_key(1), b, 0, lifetimes, now);
  const std::string log = std::string(log_header()) + drained(changes, now);
  const ClockReading later{Clock::Steady(seconds(40)), now.wall + minutes(10)};
  LogRecovery recovery(after, later);
  std::string_view rest = log;
  recovery.read(rest);
  const auto session = after.learned.find_now(log_key(1), later);
  ASSERT_TRUE(session);
  EXPECT_NEAR(static_cast<double>((session->binding.created - b.created).count()), 0, 2e8);
  EXPECT_NEAR(static_cast<double>((session->binding.last_seen - now.wall).count()), 0, 2e8);
}

TEST_F(SessionLogBytes, AClockThatWasSetBackLengthensNoLife) {
  const std::string log = one_of_each();
  SessionMemory memory(100);
  const ClockReading back{now.steady, now.wall - hours(24 * 365)};
  LogRecovery recovery(memory, back);
  std::string_view rest = log;
  recovery.read(rest);
  ClockReading later = back;
  later.steady += hours(1) + minutes(2);
  later.wall += hours(1) + minutes(2);
  memory.learned.count(later, [](std::uint16_t, std::uint64_t) { ADD_FAILURE() << "it lives"; });
  EXPECT_FALSE(memory.moves.find(log_id(2), later));
}

TEST_F(SessionLogBytes, WhatHasExpiredIsNotRestored) {
  const std::string log = one_of_each();
  SessionMemory memory(100);
  const ClockReading later{now.steady + hours(2), now.wall + hours(2)};
  LogRecovery recovery(memory, later);
  std::string_view rest = log;
  EXPECT_TRUE(recovery.read(rest));
  EXPECT_EQ(memory.learned.size(), 0U);
  EXPECT_EQ(memory.moves.size(), 0U);
  EXPECT_FALSE(memory.moves.find(log_id(5), later));
  EXPECT_EQ(memory.values->bytes(), 0U);
}

TEST_F(SessionLogBytes, SessionsOfPoolsThatAreGoneAreDropped) {
  std::string log(log_header());
  const LogTimes times(now);
  LocalTable::Kept kept{};
  kept.epoch = 1;
  kept.created = kept.seen = Ticks::at(now.steady);
  kept.expires = kept.seen + Ticks::of(hours(1));
  for (const std::uint16_t pool : {std::uint16_t{0}, std::uint16_t{1}}) {
    kept.pool = pool;
    append_log_record(log, LoggedSession{log_key(static_cast<std::uint8_t>(pool + 1)), kept, false}, times);
    append_log_record(log, LoggedValue{pool == 0 ? "zero" : "one", "v", now.steady + hours(1), {pool, false}},
                      times);
  }
  append_log_record(log, LoggedPool{0, "gone"}, times);  // after its sessions, as a reload may
  append_log_record(log, LoggedPool{1, "here"}, times);
  SessionMemory memory(100);
  LogRecovery recovery(memory, now);
  std::string_view rest = log;
  recovery.read(rest);
  EXPECT_EQ(recovery.keep_pools({"here", "new"}), (std::map<std::string, std::uint16_t>{{"here", 1}}));
  EXPECT_FALSE(memory.learned.find_now(log_key(1), now));
  EXPECT_TRUE(memory.learned.find_now(log_key(2), now));
  EXPECT_EQ(log_value(memory, "zero", now), "");
  EXPECT_EQ(log_value(memory, "one", now), "v");
}

}  // namespace
}  // namespace remora
