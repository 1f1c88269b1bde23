// SessionStore's read-decide-swap loop: retries, errors, record lifetimes.

#include "session/session_store.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <deque>

#include "support/manual_loop.h"
#include "util/text.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

/// A store with scripted replies.
class ScriptedStore final : public Store {
 public:
  Task<Result<std::optional<Found>>> get(std::string key, StoreCall) override {
    asked.push_back("get " + key);
    if (gets.empty()) co_return std::optional<Found>();
    Result<std::optional<Found>> reply = gets.front();
    gets.pop_front();
    co_return reply;
  }
  Task<Result<Swapped>> swap(std::string key, std::uint64_t expected, std::string value,
                             std::chrono::milliseconds ttl, StoreCall) override {
    asked.push_back("swap " + key + " " + std::to_string(expected));
    written = decode(value);
    lifetime = ttl;
    if (swaps.empty()) co_return otherwise;
    Result<Swapped> reply = swaps.front();
    swaps.pop_front();
    co_return reply;
  }
  bool may_hold(std::string_view key) const noexcept override { return holds_all || Store::may_hold(key); }
  bool available() const noexcept override { return true; }
  std::string problem() const override { return {}; }
  void stop() noexcept override {}

  std::deque<Result<std::optional<Found>>> gets;
  std::deque<Result<Swapped>> swaps;
  Result<Swapped> otherwise = done();
  std::vector<std::string> asked;
  std::optional<Record> written;
  std::chrono::milliseconds lifetime{0};
  bool holds_all = false;
  static Swapped done() { return {true, std::nullopt}; }
};

class SessionStoreTest : public ::testing::Test {
 protected:
  SessionStoreTest() { key_.mac.fill(0xff); }
  template <class T>
  Result<T> wait(Task<Result<T>> task) {
    std::optional<Result<T>> result;
    asio::co_spawn(loop_.ctx.get_executor(), std::move(task),
                   [&](const std::exception_ptr&, Result<T> r) { result.emplace(std::move(r)); });
    loop_.settle();
    return std::move(result.value());
  }
  Result<SessionStore::Outcome> change(const SessionStore::Rule& rule, bool fresh = false) {
    return wait(sessions_.change(key_, rule, lifetimes_, fresh, call()));
  }
  StoreCall call() { return {wake_, loop_.now() + 50ms}; }
  Record record_at(std::uint32_t epoch) const {
    Record r;
    r.binding.id.bytes.fill(1);
    r.binding.backend = 10 + epoch;
    r.binding.epoch = epoch;
    r.binding.created = r.binding.last_seen = loop_.clock.wall_now();
    return r;
  }
  Store::Found stored(std::uint32_t epoch) const { return {encode(record_at(epoch)), epoch}; }
  Store::Swapped lost_to(std::uint32_t epoch) const { return {false, stored(epoch)}; }

  test::ManualLoop loop_;
  EventFlags wake_{loop_.wheel};
  ScriptedStore store_;
  SessionStore sessions_{store_, "app", loop_.clock};
  SessionKey key_;
  config::Session lifetimes_;
};

TEST_F(SessionStoreTest, KeysBeginWithThePrefixAndNeedNoEscaping) {
  wait(sessions_.find(key_, call()));
  ASSERT_EQ(store_.asked.size(), 1U);
  std::string name = "get app:s:";
  base64url_append(name, key_.mac.data(), key_.mac.size());
  EXPECT_EQ(store_.asked.front(), name);
}

TEST_F(SessionStoreTest, AFreshSessionCostsOneRoundTrip) {
  const auto changed = change([&](const auto& now) { return bind_rule(now, record_at(1)); }, true);
  EXPECT_TRUE(changed && changed->changed);
  ASSERT_EQ(store_.asked.size(), 1U);
  EXPECT_TRUE(store_.asked.front().ends_with(" 0"));
}

TEST_F(SessionStoreTest, WhatTheRuleLeavesAloneIsNotWritten) {
  store_.gets.emplace_back(stored(3));
  const auto standing = change([](const auto&) { return std::optional<Record>(); });
  ASSERT_TRUE(standing && standing->record);
  EXPECT_FALSE(standing->changed);
  EXPECT_EQ(standing->record->binding.epoch, 3U);
  EXPECT_EQ(store_.asked.size(), 1U);
}

TEST_F(SessionStoreTest, ARuleIsAskedAgainAboutWhatAFasterWriterWrote) {
  store_.gets.emplace_back(stored(1));
  store_.swaps.emplace_back(lost_to(2));
  store_.swaps.emplace_back(lost_to(3));
  std::vector<std::uint32_t> seen;
  const auto changed = change([&](const std::optional<Record>& now) {
    seen.push_back(now->binding.epoch);
    return record_at(now->binding.epoch + 1);
  });
  EXPECT_TRUE(changed && changed->changed);
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_TRUE(store_.asked.back().ends_with(" 3"));
  EXPECT_EQ(store_.written->binding.epoch, 4U);
}

TEST_F(SessionStoreTest, ARecordThatVanishedMeanwhileIsWrittenAsANewOne) {
  store_.gets.emplace_back(stored(1));
  store_.swaps.emplace_back(Store::Swapped{});
  const auto changed = change([&](const std::optional<Record>& now) { return record_at(now ? 2 : 7); });
  EXPECT_TRUE(changed && changed->changed);
  EXPECT_TRUE(store_.asked.back().ends_with(" 0"));
  EXPECT_EQ(store_.written->binding.epoch, 7U);
}

TEST_F(SessionStoreTest, AStoreThatNeverSwapsIsGivenUpAfterSixteenRounds) {
  store_.otherwise = lost_to(1);
  const auto changed = change([&](const auto&) { return record_at(2); });
  EXPECT_EQ(changed.error(), StoreErrc::refused);
  EXPECT_EQ(store_.asked.size(), 17U);
}

TEST_F(SessionStoreTest, AFailureOfEitherStepIsPassedOn) {
  const auto rule = [&](const auto&) { return record_at(2); };
  for (const StoreErrc why :
       {StoreErrc::unavailable, StoreErrc::timeout, StoreErrc::refused, StoreErrc::full}) {
    store_.gets.emplace_back(error_code(why));
    EXPECT_EQ(wait(sessions_.find(key_, call())).error(), why);
    store_.gets.emplace_back(error_code(why));
    EXPECT_EQ(change(rule).error(), why);
    store_.swaps.emplace_back(error_code(why));
    EXPECT_EQ(change(rule).error(), why);
    store_.gets.emplace_back(error_code(why));
    EXPECT_EQ(wait(sessions_.revoked("jti", call())).error(), why);
  }
}

TEST_F(SessionStoreTest, AValueThatIsHashedIsAlsoLookedUpAsItself) {
  const std::string value(201, 'x');
  store_.gets.emplace_back(std::optional<Store::Found>());
  store_.gets.emplace_back(stored(1));
  EXPECT_TRUE(*wait(sessions_.revoked(value, call())));
  EXPECT_EQ(store_.asked.back(), "get app:revoked:" + value);
  store_.gets.emplace_back(std::optional<Store::Found>());
  store_.gets.emplace_back(error_code(StoreErrc::timeout));
  EXPECT_EQ(wait(sessions_.revoked(value, call())).error(), StoreErrc::timeout);
}

TEST_F(SessionStoreTest, AValueThatNoKeyCanBeIsLookedUpByItsHashOnly) {
  for (const bool all : {false, true}) {
    store_.holds_all = all;
    store_.asked.clear();
    EXPECT_FALSE(*wait(sessions_.revoked("with space", call())));
    EXPECT_EQ(store_.asked.size(), all ? 2U : 1U);
  }
  store_.asked.clear();
  EXPECT_FALSE(*wait(sessions_.revoked(std::string(5000, 'x'), call())));
  EXPECT_EQ(store_.asked.size(), 1U);
}

// Lifetimes -----------------------------------------------------------------------------------------

TEST_F(SessionStoreTest, ARecordLivesForAnIdleTimeoutAndAQuarter) {
  lifetimes_.idle_timeout = 60s;
  change([&](const auto&) { return record_at(1); });
  EXPECT_EQ(store_.lifetime, 75s);
}

TEST_F(SessionStoreTest, ARecordEndsWithItsSession) {
  lifetimes_.idle_timeout = 60s;
  lifetimes_.max_lifetime = 1h;
  Record old = record_at(1);
  old.binding.created -= 1h - 10s;
  EXPECT_EQ(time_to_live(old, lifetimes_, loop_.clock.wall_now()), 10s);
  lifetimes_.idle_timeout.reset();
  EXPECT_EQ(time_to_live(old, lifetimes_, loop_.clock.wall_now()), 10s);
  old.binding.created -= 1h;
  EXPECT_EQ(time_to_live(old, lifetimes_, loop_.clock.wall_now()), 1s);  // never none at all
}

TEST_F(SessionStoreTest, AMarkOfAnEndedSessionOutlivesEveryTokenOfIt) {
  lifetimes_.idle_timeout = 60s;
  lifetimes_.max_lifetime = 1h;
  Record old = record_at(1);
  old.binding.created -= 1h;
  old.ended = true;
  EXPECT_EQ(time_to_live(old, lifetimes_, loop_.clock.wall_now()), 75s);
  lifetimes_.idle_timeout.reset();
  EXPECT_EQ(time_to_live(old, lifetimes_, loop_.clock.wall_now()), 1h);
  lifetimes_.idle_timeout = 1ms;
  EXPECT_EQ(time_to_live(old, lifetimes_, loop_.clock.wall_now()), 1s);
}

}  // namespace
}  // namespace remora
