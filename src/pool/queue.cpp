#include "pool/queue.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace remora {

Backend::Backend(std::string pool_name, std::string backend_id, std::size_t workers)
    : pool(std::move(pool_name)),
      id(std::move(backend_id)),
      hash(backend_hash(id)),
      traffic(workers),
      queue(std::make_unique<PlaceQueue>()) {}

Backend::~Backend() = default;

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
  auto& ctx = next->ctx;
  asio::post(ctx, [backend, next = std::move(next)] {
    if (next->wake == nullptr) {
      backend->queue->leave(backend);
      return;
    }
    next->granted = true;
    next->wake->set(Wake::granted);
  });
}

void Place::free() noexcept {
  if (!backend_) return;
  if (limited_)
    backend_->queue->leave(backend_);
  else
    backend_->in_flight.fetch_sub(1, std::memory_order_relaxed);
  backend_.reset();
}

}  // namespace remora
