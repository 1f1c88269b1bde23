// FakeStore: a store in memory that can be slow, be away, or fail at its Nth operation, on a manual clock.
#pragma once

#include <functional>
#include <memory>

#include "session/memory_store.h"
#include "support/faults.h"

namespace remora::test {

class FakeStore final : public Store {
 public:
  FakeStore(std::shared_ptr<MemoryValues> values, const Clock& clock, Faults& faults)
      : inner_(std::move(values), clock), faults_(&faults) {}

  bool away = false;    // every call fails at once
  bool silent = false;  // every call fails at its deadline
  unsigned calls = 0;
  /// Called once, before the next operation takes place: another instance acts at that moment.
  std::function<void()> before_next;

  Task<Result<std::optional<Found>>> get(std::string key, StoreCall call) override {
    const error_code failure = co_await begin(call);
    if (failure) co_return failure;
    Result<std::optional<Found>> found = co_await inner_.get(std::move(key), call);
    co_return found;
  }
  Task<Result<Swapped>> swap(std::string key, std::uint64_t expected, std::string value,
                             std::chrono::milliseconds ttl, StoreCall call) override {
    const error_code failure = co_await begin(call);
    if (failure) co_return failure;
    Result<Swapped> done = co_await inner_.swap(std::move(key), expected, std::move(value), ttl, call);
    co_return done;
  }
  bool available() const noexcept override { return !away; }
  std::string problem() const override { return away ? "away" : ""; }
  void stop() noexcept override {}

 private:
  Task<error_code> begin(StoreCall call) {
    ++calls;
    if (before_next) std::exchange(before_next, nullptr)();
    if (away || faults_->hits()) co_return make_error_code(StoreErrc::unavailable);
    if (!silent) co_return error_code();
    unsigned others = 0;
    call.wake.until(call.deadline);
    for (unsigned bits = call.wake.take(); (bits & EventFlags::deadline) == 0;) {
      others |= bits;
      bits = co_await call.wake.any();
    }
    if (others != 0) call.wake.set(others);
    co_return make_error_code(StoreErrc::timeout);
  }
  MemoryStore inner_;
  Faults* faults_;
};

}  // namespace remora::test
