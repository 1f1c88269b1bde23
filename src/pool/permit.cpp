#include "pool/permit.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <new>

namespace remora {

std::shared_ptr<Backend> make_backend(std::string pool, std::string id, std::size_t workers) {
  return std::make_shared<Backend>(std::move(pool), std::move(id), workers, std::make_shared<PermitQueue>());
}

bool PermitQueue::enter(Backend& backend, std::uint32_t limit) {
  const std::lock_guard lock(mutex_);
  if (!line_.empty() || backend.in_flight.load(std::memory_order_relaxed) >= limit) return false;
  backend.in_flight.fetch_add(1, std::memory_order_relaxed);
  return true;
}

std::shared_ptr<Waiter> PermitQueue::enqueue(Backend& backend, std::uint32_t limit, asio::io_context& ctx,
                                             EventFlags& wake) {
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

void PermitQueue::give_up(const std::shared_ptr<Backend>& backend, const std::shared_ptr<Waiter>& waiter) {
  waiter->wake = nullptr;
  if (waiter->granted) {
    leave(backend);
    return;
  }
  const std::lock_guard lock(mutex_);
  // If it is no longer queued, its grant has been posted; the handler will find no waiter and pass the
  // permit on.
  std::erase(line_, waiter);
}

void PermitQueue::leave(const std::shared_ptr<Backend>& backend) {
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

void PermitQueue::admit(const std::shared_ptr<Backend>& backend, std::uint32_t limit) {
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

void PermitQueue::grant(const std::shared_ptr<Backend>& backend, std::shared_ptr<Waiter> next) {
  auto& ctx = next->ctx;
  try {
    asio::post(ctx, [backend, next = std::move(next)] {
      if (next->wake == nullptr) {
        backend->queue->leave(backend);
        return;
      }
      next->granted = true;
      next->wake->set(EventFlags::granted);
    });
  } catch (const std::bad_alloc&) {
    // The grant is lost: that waiter runs into its queue timeout.
    backend->in_flight.fetch_sub(1, std::memory_order_relaxed);
  }
}

void Permit::free() noexcept {
  const auto* const backend = std::exchange(backend_, nullptr);
  if (backend == nullptr) return;
  if (limited_)
    (*backend)->queue->leave(*backend);
  else
    (*backend)->in_flight.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace remora
