// CountedRetry: RAII count of one retried request in the pool's retry budget.
//
// The destructor returns the count, however the request ends, to the pool it was taken from: the exchange
// may no longer know that pool by then.
//
// Threading: all workers share the counter; one object belongs to one exchange.
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
