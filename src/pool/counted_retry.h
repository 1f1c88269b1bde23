// CountedRetry: one request that is being retried, as the pool's retry budget counts it.
//
// It gives the count back when it goes, whichever way the request ends, and to the pool that it was taken
// from: by then the exchange may have forgotten which one that was.
//
// Threading: the counter is shared by all workers; one object belongs to one exchange.
#pragma once

#include <memory>
#include <utility>

#include "pool/pool_view.h"

namespace remora {

class CountedRetry {
 public:
  CountedRetry() = default;
  explicit CountedRetry(std::shared_ptr<PoolCounters> pool) noexcept : pool_(std::move(pool)) {
    pool_->retrying.fetch_add(1, std::memory_order_relaxed);
  }
  CountedRetry(CountedRetry&&) noexcept = default;
  CountedRetry& operator=(CountedRetry&& other) noexcept {
    if (this != &other) {
      give_back();
      pool_ = std::move(other.pool_);
    }
    return *this;
  }
  ~CountedRetry() { give_back(); }

  void give_back() noexcept {
    if (const auto pool = std::exchange(pool_, nullptr))
      pool->retrying.fetch_sub(1, std::memory_order_relaxed);
  }
  explicit operator bool() const noexcept { return pool_ != nullptr; }

 private:
  std::shared_ptr<PoolCounters> pool_;
};

}  // namespace remora
