#include "pool/queue.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <new>

namespace remora {

namespace {

/// Numbers of living backends. Control threads make backends, and workers may see the last of one.
class BackendNumbers {
 public:
  std::uint32_t take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      free_.reserve(next_ + 1);  // giving back never allocates
      return next_++;
    }
    const std::uint32_t number = free_.back();
    free_.pop_back();
    return number;
  }
  void give_back(std::uint32_t number) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(number);
  }

 private:
  std::mutex mutex_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 0;
};

BackendNumbers& backend_numbers() {
  static BackendNumbers numbers;
  return numbers;
}

}  // namespace

Backend::Backend(std::string pool_name, std::string backend_id, std::size_t workers)
    : pool(std::move(pool_name)),
      id(std::move(backend_id)),
      hash(backend_hash(id)),
      number(backend_numbers().take()),
      traffic(workers),
      queue(std::make_unique<PlaceQueue>()) {}

Backend::~Backend() {
  backend_numbers().give_back(number);
}

bool PlaceQueue::enter(Backend& backend, std::uint32_t limit) {
  const std::lock_guard lock(mutex_);
  if (!line_.empty() || backend.in_flight.load(std::memory_order_relaxed) >= limit) return false;
  backend.in_flight.fetch_add(1, std::memory_order_relaxed);
  return true;
}

std::shared_ptr<Waiter> PlaceQueue::line_up(Backend& backend, std::uint32_t limit, asio::io_context& ctx,
                                            Wake& wake) {
  auto waiter = std::make_shared<Waiter>(ctx, wake);
  const std::lock_guard lock(mutex_);
  if (line_.empty() && backend.in_flight.load(std::memory_order_relaxed) < limit) {
    backend.in_flight.fetch_add(1, std::memory_order_relaxed);
    waiter->granted = true;
  } else {
    line_.push_back(waiter);
  }
  return waiter;
}

void PlaceQueue::give_up(const std::shared_ptr<Backend>& backend, const std::shared_ptr<Waiter>& waiter) {
  waiter->wake = nullptr;
  if (waiter->granted) {
    leave(backend);
    return;
  }
  const std::lock_guard lock(mutex_);
  // Not in line any more: the grant is on its way and will find nobody, and pass the place on.
  std::erase(line_, waiter);
}

void PlaceQueue::leave(const std::shared_ptr<Backend>& backend) {
  std::shared_ptr<Waiter> next;
  {
    const std::lock_guard lock(mutex_);
    if (line_.empty()) {
      backend->in_flight.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    next = std::move(line_.front());
    line_.pop_front();
  }
  grant(backend, std::move(next));
}

void PlaceQueue::admit(const std::shared_ptr<Backend>& backend, std::uint32_t limit) {
  for (;;) {
    std::shared_ptr<Waiter> next;
    {
      const std::lock_guard lock(mutex_);
      const bool room = limit == 0 || backend->in_flight.load(std::memory_order_relaxed) < limit;
      if (line_.empty() || !room) return;
      backend->in_flight.fetch_add(1, std::memory_order_relaxed);
      next = std::move(line_.front());
      line_.pop_front();
    }
    grant(backend, std::move(next));
  }
}

void PlaceQueue::grant(const std::shared_ptr<Backend>& backend, std::shared_ptr<Waiter> next) {
  auto& ctx = next->ctx;
  try {
    asio::post(ctx, [backend, next = std::move(next)] {
      if (next->wake == nullptr) {
        backend->queue->leave(backend);
        return;
      }
      next->granted = true;
      next->wake->set(Wake::granted);
    });
  } catch (const std::bad_alloc&) {
    backend->in_flight.fetch_sub(1, std::memory_order_relaxed);  // nobody is told: that one waits in vain
  }
}

void Place::free() noexcept {
  const auto* const backend = std::exchange(backend_, nullptr);
  if (backend == nullptr) return;
  if (limited_)
    (*backend)->queue->leave(*backend);
  else
    (*backend)->in_flight.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace remora
