// Persisted memory: a process that is killed at any time is followed by one that knows the same sessions.

#include "server/session_log.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "session/log_world.h"
#include "support/manual_clock.h"

namespace remora {
namespace {

using namespace test;
namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::milliseconds;

/// Different for each number, and all over the table.
SessionKey spread_key(std::uint64_t n) {
  SessionKey key;
  const std::uint64_t mixed = (n + 1) * 0x9e3779b97f4a7c15ULL;
  std::memcpy(key.mac.data(), &mixed, sizeof mixed);
  return key;
}

/// One process: its tables and its log.
struct Process {
  Process(std::string where, const Clock& clock, char key = 'k', std::uint64_t compact_from = 1U << 20)
      : folder(std::move(where)),
        log(memory, clock,
            std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, key), std::string(32, 'k')}),
            {folder, compact_from, LogChanges::default_bytes, milliseconds(0)}) {}
  const std::string folder;
  SessionMemory memory{10'000};
  SessionLog log;
};

class SessionLogOf : public ::testing::Test {
 protected:
  SessionLogOf() {
    std::string name = (fs::temp_directory_path() / "remora-log-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~SessionLogOf() override { fs::remove_all(folder); }
  ClockReading now() const { return {clock.steady_now(), clock.wall_now()}; }
  void bind(Process& p, std::uint8_t n, std::uint64_t backend) {
    p.memory.learned.bind(log_key(n), log_binding(n, backend, now()), 0, lifetimes, now());
  }
  std::uint64_t backend_in(Process& p, std::uint8_t n) {
    const auto known = p.memory.learned.find_now(log_key(n), now());
    return known ? known->binding.backend : 0;
  }
  SessionLog::Restored begin(Process& p) {
    EXPECT_TRUE(p.log.open());
    auto restored = p.log.restore({"app"});
    p.log.start({{{"app", 0}}, "the index key"});
    return restored;
  }
  /// The folder as a process that is killed now leaves it.
  std::string killed(Process& p) {
    p.log.flush();
    const std::string copy = folder + "/copy" + std::to_string(++copies_);
    fs::create_directory(copy);
    fs::copy_file(p.folder + "/sessions.log", copy + "/sessions.log");
    return copy;
  }
  ManualClock clock;
  config::Session lifetimes;
  std::string folder;

 private:
  int copies_ = 0;
};

TEST_F(SessionLogOf, AKilledProcessIsKnownToTheNext) {
  Process first(folder, clock);
  begin(first);
  bind(first, 1, 7);
  const std::string left = killed(first);
  bind(first, 2, 8);
  Process next(left, clock, 'n');  // `keys` were rotated
  const SessionLog::Restored restored = begin(next);
  EXPECT_EQ(backend_in(next, 1), 7U);
  EXPECT_EQ(backend_in(next, 2), 0U);
  EXPECT_EQ(restored.index_key, "the index key");
  EXPECT_EQ(restored.pool_numbers, (std::map<std::string, std::uint16_t>{{"app", 0}}));
  bind(next, 3, 9);  // what is restored is in its log, too
  Process third(killed(next), clock);
  begin(third);
  EXPECT_EQ(backend_in(third, 1), 7U);
  EXPECT_EQ(backend_in(third, 3), 9U);
}

TEST_F(SessionLogOf, AStopWritesWhatIsQueued) {
  {
    Process first(folder, clock);
    begin(first);
    bind(first, 1, 7);
  }
  Process next(folder, clock);
  begin(next);
  EXPECT_EQ(backend_in(next, 1), 7U);
}

TEST_F(SessionLogOf, ATornEndIsCutAndTheLogGoesOnBehindIt) {
  Process first(folder, clock);
  begin(first);
  bind(first, 1, 7);
  const std::string left = killed(first);
  std::ofstream(left + "/sessions.log", std::ios::app) << std::string("\0\0\0\7torn", 8);
  const auto torn = fs::file_size(left + "/sessions.log");
  std::string second_left;
  {
    Process next(left, clock);
    ASSERT_TRUE(next.log.open());
    next.log.restore({"app"});
    EXPECT_LT(fs::file_size(left + "/sessions.log"), torn);
    next.log.start({{{"app", 0}}, "the index key"});
    bind(next, 2, 8);
  }
  Process third(left, clock);
  begin(third);
  EXPECT_EQ(backend_in(third, 1), 7U);
  EXPECT_EQ(backend_in(third, 2), 8U);
}

TEST_F(SessionLogOf, ALogOfAnotherVersionIsReplacedByANewOne) {
  std::ofstream(folder + "/sessions.log") << "remora sessions 9\nwhatever";
  {
    Process first(folder, clock);
    EXPECT_EQ(begin(first).index_key, "");
    bind(first, 1, 7);
  }
  Process next(folder, clock);
  begin(next);
  EXPECT_EQ(backend_in(next, 1), 7U);
}

TEST_F(SessionLogOf, ASecondInstanceRunsWithoutIt) {
  Process first(folder, clock), second(folder, clock);
  begin(first);
  EXPECT_FALSE(second.log.open(milliseconds(0)));
  bind(second, 1, 7);
  second.log.stop();  // has nothing to stop
  bind(first, 2, 8);
  Process next(killed(first), clock);
  begin(next);
  EXPECT_EQ(backend_in(next, 1), 0U);
  EXPECT_EQ(backend_in(next, 2), 8U);
}

// A hot restart: the sessions are handed over in memory, and the log changes hands. Nothing is in it twice,
// and what the old process knew and the new one does not is not read back.
TEST_F(SessionLogOf, ASuccessorBeginsANewLogOnceTheOldProcessLetsGo) {
  Process old(folder, clock), fresh(folder, clock);
  begin(old);
  bind(old, 1, 7);
  old.log.flush();
  bind(fresh, 1, 7);  // handed over
  bind(fresh, 2, 8);
  fresh.log.take_over({{{"app", 0}}, "the index key"});
  bind(old, 3, 9);
  old.log.stop();
  bind(fresh, 4, 10);
  Process next(killed(fresh), clock);
  begin(next);
  EXPECT_EQ(next.memory.learned.size(), 3U);
  EXPECT_EQ(backend_in(next, 1), 7U);
  EXPECT_EQ(backend_in(next, 2), 8U);
  EXPECT_EQ(backend_in(next, 4), 10U);
}

TEST_F(SessionLogOf, ASuccessorThatEndsWhileItWaitsLeavesTheLogAlone) {
  Process old(folder, clock);
  begin(old);
  bind(old, 1, 7);
  old.log.flush();
  {
    Process fresh(folder, clock);
    fresh.log.take_over({{{"app", 0}}, "the index key"});
  }
  Process next(killed(old), clock);
  begin(next);
  EXPECT_EQ(backend_in(next, 1), 7U);
}

TEST_F(SessionLogOf, IsReplacedOnceItHasTwiceItsSizeAndKeepsEverything) {
  Process p(folder, clock, 'k', 16 * 1024);
  begin(p);
  for (std::uint8_t n = 0; n < 50; ++n) bind(p, n, 7);
  Binding b = log_binding(0, 7, now());
  for (std::uint32_t epoch = 1; epoch < 2000; ++epoch) {
    b.epoch = epoch + 1;
    b.backend = 1000 + epoch;
    p.memory.learned.move(log_key(0), epoch, b, Reason::failover, 0, lifetimes, now());
    if (epoch % 100 == 0) p.log.flush();
  }
  const std::string left = killed(p);
  EXPECT_GT(p.memory.log.compactions.load(), 2U);
  EXPECT_LT(fs::file_size(left + "/sessions.log"), 64U * 1024);
  Process next(left, clock);
  begin(next);
  EXPECT_EQ(backend_in(next, 0), 2999U);
  EXPECT_EQ(next.memory.learned.find_now(log_key(0), now())->binding.epoch, 2000U);
  for (std::uint8_t n = 1; n < 50; ++n) EXPECT_EQ(backend_in(next, n), 7U);
}

TEST_F(SessionLogOf, ChangesDuringACompactionAreInTheNewLog) {
  Process p(folder, clock, 'k', 1024);
  begin(p);
  std::thread writer([&] {
    for (std::uint32_t i = 0; i < 20'000; ++i) {
      const SessionKey key = spread_key(i);
      p.memory.learned.bind(key, log_binding(1, i + 1, now()), 0, lifetimes, now());
      Binding moved = log_binding(1, i + 2, now(), 2);
      p.memory.learned.move(key, 1, moved, Reason::drain, 0, lifetimes, now());
    }
  });
  writer.join();
  Process next(killed(p), clock);
  begin(next);
  EXPECT_GT(p.memory.log.compactions.load(), 1U);
  EXPECT_EQ(p.memory.log.dropped.load(), 0U);
  std::size_t wrong = 0;
  p.memory.learned.entries().sweep([&](const SessionKey& key, const LocalTable::Kept& kept) {
    const auto known = next.memory.learned.find_now(key, now());
    // The two tables may have evicted different ones.
    wrong += known && (known->binding.backend != kept.backend || known->binding.epoch != 2) ? 1 : 0;
    return true;
  });
  EXPECT_EQ(wrong, 0U);
}

// Dropped changes may be ends of sessions: once there is room the log is written anew.
TEST_F(SessionLogOf, AFullDiskCostsNothingButTheLogWhichIsMadeGoodLater) {
  Process p(folder, clock);
  begin(p);
  bind(p, 1, 7);
  bind(p, 2, 7);
  p.log.flush();
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{fs::file_size(folder + "/sessions.log") + 5, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &full);
  p.memory.learned.end(log_key(1), log_id(1));
  bind(p, 3, 9);
  p.log.flush();
  EXPECT_EQ(backend_in(p, 3), 9U);
  EXPECT_EQ(p.memory.log.dropped.load(), 2U);
  const std::string left = killed(p);
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  {
    Process next(left, clock);
    begin(next);
    EXPECT_EQ(backend_in(next, 2), 7U) << "what was written before is whole";
    EXPECT_EQ(backend_in(next, 3), 0U);
  }
  p.log.flush();
  Process next(killed(p), clock);
  begin(next);
  EXPECT_TRUE(next.memory.learned.find_now(log_key(1), now())->ended);
  EXPECT_EQ(backend_in(next, 3), 9U);
}

// From `store.index_key`, or from a key that has gone: sessions are named anew.
TEST_F(SessionLogOf, AnIndexKeyThatCannotBeOpenedIsUnknown) {
  {
    Process first(folder, clock, 'x');
    begin(first);
  }
  SessionMemory memory(100);
  SessionLog next(memory, clock, std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'y')}),
                  {folder});
  ASSERT_TRUE(next.open());
  EXPECT_EQ(next.restore({"app"}).index_key, "");
}

TEST_F(SessionLogOf, NeitherTheIndexKeyNorPlainStatesAreInTheFile) {
  Process p(folder, clock);
  begin(p);
  const std::string left = killed(p);
  std::ifstream in(left + "/sessions.log", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text.find("the index key"), std::string::npos);
}

TEST_F(SessionLogOf, AHundredThousandSessionsAreBackWithinASecond) {
  SessionMemory memory(200'000), again(200'000);
  const auto keys = std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  {
    SessionLog log(memory, clock, keys, {folder});
    ASSERT_TRUE(log.open());
    log.start({{{"app", 0}}, "the index key"});
    for (std::uint32_t i = 0; i < 100'000; ++i) {
      const SessionKey key = spread_key(i);
      memory.learned.bind(key, log_binding(static_cast<std::uint8_t>(i), 7, now()), 0, lifetimes, now());
      if (i % 20'000 == 0) log.flush();
    }
  }
  const auto began = std::chrono::steady_clock::now();
  SessionLog log(again, clock, keys, {folder});
  ASSERT_TRUE(log.open());
  log.restore({"app"});
  const auto took = std::chrono::steady_clock::now() - began;
  std::printf("restored %zu sessions in %lld ms\n", again.learned.size(),
              static_cast<long long>(std::chrono::duration_cast<milliseconds>(took).count()));
  EXPECT_EQ(again.learned.size(), memory.learned.size());
}

}  // namespace
}  // namespace remora
