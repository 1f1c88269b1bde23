// What no request waits for: told to the store later, again when it could not be told, and not for ever.

#include "session/store_writer.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "session/memory_store.h"
#include "support/manual_loop.h"
#include "util/text.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

/// A store in memory that fails as the test wants.
class MoodyStore final : public Store {
 public:
  explicit MoodyStore(const Clock& clock)
      : memory_(std::make_shared<MemoryValues>(1U << 20), clock), clock_(clock) {}
  Task<Result<std::optional<Found>>> get(std::string key, StoreCall call) override {
    ++asked;
    keys.push_back(key);
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    if (mute) {
      call.wake.until(call.deadline);
      while (clock_.steady_now() < call.deadline && !stopped_) {
        unsigned bits = call.wake.take();
        if (bits == 0) bits = co_await call.wake.any();
        stopped_ = stopped_ || (bits & EventFlags::stop) != 0;
      }
      co_return error_code(StoreErrc::timeout);
    }
    if (failure) co_return error_code(*failure);
    Result<std::optional<Found>> found = co_await memory_.get(std::move(key), call);
    co_return found;
  }
  Task<Result<Swapped>> swap(std::string key, std::uint64_t expected, std::string value,
                             std::chrono::milliseconds ttl, StoreCall call) override {
    Result<Swapped> swapped = co_await memory_.swap(std::move(key), expected, std::move(value), ttl, call);
    co_return swapped;
  }
  bool available() const noexcept override { return true; }
  std::string problem() const override { return {}; }
  void stop() noexcept override {}

  std::optional<StoreErrc> failure;
  bool mute = false;
  int asked = 0;
  std::vector<std::string> keys;    // that were asked for
  std::function<void()> meanwhile;  // once, while it is asked

 private:
  MemoryStore memory_;
  const Clock& clock_;
  bool stopped_ = false;
};

class Writing : public ::testing::Test {
 protected:
  ~Writing() override {
    writer.stop();
    loop.settle();
  }
  StoreWriter::Job job(std::uint8_t session) const {
    StoreWriter::Job j;
    j.key.mac.fill(session);
    j.record.binding.id.bytes.fill(session);
    j.record.binding.backend = 11;
    j.record.binding.epoch = 1;
    j.record.binding.created = j.record.binding.last_seen = loop.clock.wall_now();
    return j;
  }
  std::optional<Record> kept(std::uint8_t session) {
    EventFlags wake(loop.wheel);
    std::optional<Record> found;
    const StoreCall call{wake, loop.now() + 1s};
    asio::co_spawn(
        loop.ctx.get_executor(), sessions.find(job(session).key, call),
        [&](const std::exception_ptr&, Result<std::optional<Record>> r) { found = r ? *r : std::nullopt; });
    loop.settle();
    return found;
  }

  test::ManualLoop loop;
  MoodyStore store{loop.clock};
  SessionStore sessions{store, "remora", loop.clock};
  StoreCounts counts;
  StoreWriter writer{loop, sessions, loop.clock, 50ms, counts};
};

TEST_F(Writing, IsDoneAtOnceWhenTheStoreIsThere) {
  writer.later(job(1));
  EXPECT_FALSE(writer.idle());
  loop.settle();
  EXPECT_TRUE(writer.idle());
  EXPECT_TRUE(kept(1));
  EXPECT_EQ(counts.written_late, 0U);
}

TEST_F(Writing, WhatFailedIsTriedAgainEveryTenthOfASecond) {
  store.failure = StoreErrc::unavailable;
  writer.later(job(1));
  loop.settle();
  EXPECT_EQ(store.asked, 1);
  loop.advance(90ms);
  EXPECT_EQ(store.asked, 1);
  loop.advance(10ms);
  EXPECT_EQ(store.asked, 2);
  loop.advance(1s);
  EXPECT_EQ(store.asked, 12);
  EXPECT_FALSE(writer.idle());
  store.failure.reset();
  loop.advance(100ms);
  EXPECT_TRUE(writer.idle());
  EXPECT_TRUE(kept(1));
  EXPECT_EQ(counts.written_late, 1U);
}

TEST_F(Writing, AStoreThatDoesNotAnswerIsAskedAgainAfterItsTimeoutAndThePause) {
  store.mute = true;
  writer.later(job(1));
  loop.advance(140ms);
  EXPECT_EQ(store.asked, 1);
  loop.advance(10ms);
  EXPECT_EQ(store.asked, 2);
  EXPECT_EQ(counts.outcomes[static_cast<std::size_t>(StoreOutcome::timeout)], 1U);
}

TEST_F(Writing, AnOutageCostsFourCallsAtATimeWhateverWaits) {
  store.mute = true;
  for (std::uint8_t i = 1; i <= 100; ++i) writer.later(job(i));
  loop.settle();
  EXPECT_EQ(store.asked, 4);
  loop.advance(150ms);
  EXPECT_EQ(store.asked, 8);
  store.mute = false;
  loop.advance(150ms);
  EXPECT_TRUE(writer.idle());
  for (std::uint8_t i = 1; i <= 100; ++i) EXPECT_TRUE(kept(i)) << int{i};
  EXPECT_EQ(counts.dropped, 0U);
}

TEST_F(Writing, WhatTheStoreRefusesIsNotRepeated) {
  for (const StoreErrc why : {StoreErrc::refused, StoreErrc::full}) {
    store.failure = why;
    writer.later(job(1));
    loop.settle();
    EXPECT_TRUE(writer.idle());
  }
  EXPECT_EQ(counts.dropped, 2U);
}

TEST_F(Writing, ASessionThatIsTooOldMeanwhileIsDropped) {
  store.failure = StoreErrc::unavailable;
  StoreWriter::Job old = job(1);
  old.lifetimes.max_lifetime = 60s;
  writer.later(old);
  loop.advance(59s);
  EXPECT_FALSE(writer.idle());
  loop.advance(2s);
  EXPECT_TRUE(writer.idle());
  EXPECT_EQ(counts.dropped, 1U);
}

TEST_F(Writing, AStateThatCouldNotBeToldIsNotLostUnderALaterWord) {
  StoreWriter::Job with_state = job(1);
  with_state.save =
      StoreWriter::Save{[](std::uint32_t, std::uint64_t) { return std::string("state"); }, 5, 0};
  store.failure = StoreErrc::unavailable;
  store.meanwhile = [&] { writer.later(job(1)); };
  writer.later(with_state);
  loop.settle();
  store.failure.reset();
  loop.advance(1s);
  const auto found = kept(1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state.sealed, "state");
  EXPECT_EQ(counts.waiting, 0U);
  EXPECT_TRUE(writer.idle());
}

TEST_F(Writing, StoppedItTellsNothingMore) {
  store.failure = StoreErrc::unavailable;
  writer.later(job(1));
  loop.settle();
  writer.stop();
  writer.later(job(2));
  loop.advance(1min);
  EXPECT_EQ(store.asked, 1);
}

TEST_F(Writing, WhatBecameOfAStateIsCounted) {
  const auto state = [&](std::uint32_t epoch, std::uint64_t seen) {
    StoreWriter::Job j = job(1);
    j.record.binding.epoch = epoch;
    j.save = StoreWriter::Save{[](std::uint32_t, std::uint64_t) { return std::string("state"); }, 5, seen};
    writer.later(j);
    loop.settle();
  };
  const auto counted = [&](StateEvent e) { return counts.states[static_cast<std::size_t>(e)].load(); };
  state(2, 0);
  EXPECT_EQ(counted(StateEvent::saved), 1U);
  state(2, 9);  // of a version that is not the latest
  EXPECT_EQ(counted(StateEvent::conflict), 1U);
  state(1, 0);  // of the former owner
  EXPECT_EQ(counted(StateEvent::outdated), 1U);
  EXPECT_EQ(kept(1)->state.version, 1U);
}

TEST_F(Writing, WhatIsOnlyToBeUpdatedIsNotCreated) {
  StoreWriter::Job use = job(1), over = job(2), mark = job(3);
  use.only_if_there = over.only_if_there = true;
  over.record.ended = mark.record.ended = true;
  for (const auto& j : {use, over, mark}) writer.later(j);
  loop.settle();
  EXPECT_FALSE(kept(1) || kept(2));
  EXPECT_TRUE(kept(3) && kept(3)->ended);
}

TEST_F(Writing, AnEndOvertakesWhatWaits) {
  store.failure = StoreErrc::unavailable;
  for (std::uint8_t i = 1; i <= 10; ++i) writer.later(job(i));
  loop.settle();
  StoreWriter::Job over = job(99);
  over.record.ended = true;
  writer.later(over);
  store.failure.reset();
  store.keys.clear();
  loop.advance(100ms);
  EXPECT_TRUE(writer.idle());
  ASSERT_FALSE(store.keys.empty());
  std::string name = "remora:s:";
  base64url_append(name, over.key.mac.data(), over.key.mac.size());
  EXPECT_EQ(store.keys.front(), name);
  EXPECT_TRUE(kept(99) && kept(99)->ended);
}

}  // namespace
}  // namespace remora
