// Permits of a backend with `max_in_flight`, and the queue of requests that wait for one.
//
// Shared by all workers, under a mutex that is taken only if the backend has a limit. A permit released on
// one worker is granted to the longest waiter, on whichever worker, by posting to its loop.
//
// Lifetime: the queue belongs to its Backend. A Waiter is shared by the queue, the posted grant and the
// exchange, so that an exchange may give up at any time.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "net/event_flags.h"
#include "net/loop.h"
#include "remora/pool_snapshot.h"

namespace remora {

struct Waiter {
  Waiter(asio::io_context& c, EventFlags& w) : ctx(c), wake(&w) {}
  asio::io_context& ctx;
  EventFlags* wake;      // used on its worker's thread only; null: the exchange gave up
  bool granted = false;  // used on its worker's thread only
};

class PermitQueue {
 public:
  /// Acquires a permit if one is free and nobody is queued.
  bool enter(Backend& backend, std::uint32_t limit);
  /// Acquires a permit, or enqueues: then `granted` and the wake's `granted` bit are set later.
  std::shared_ptr<Waiter> enqueue(Backend& backend, std::uint32_t limit, asio::io_context& ctx,
                                  EventFlags& wake);
  /// Cancels a waiter, and releases a permit already granted. Call it on the waiter's own worker.
  void give_up(const std::shared_ptr<Backend>& backend, const std::shared_ptr<Waiter>& waiter);
  /// Call after the limit was raised or removed (0): grants permits to the longest waiters, up to the limit.
  void admit(const std::shared_ptr<Backend>& backend, std::uint32_t limit);
  /// Releases a permit, or hands it to the longest waiter.
  void leave(const std::shared_ptr<Backend>& backend);

 private:
  /// REQUIRES: the permit is counted already, and `next` has left the queue.
  static void grant(const std::shared_ptr<Backend>& backend, std::shared_ptr<Waiter> next);

  std::mutex mutex_;
  std::deque<std::shared_ptr<Waiter>> line_;  // guarded by mutex_
};

/// Creates a backend with its queue. REQUIRED for members with `max_in_flight`.
std::shared_ptr<Backend> make_backend(std::string pool, std::string id, std::size_t workers = 1);

/// One request's permit at a backend, released on destruction. Without a limit it only counts. Holds no
/// reference count of its own, to save the atomic operations: `backend` belongs to the snapshot, which the
/// request keeps for longer.
class Permit {
 public:
  Permit() = default;
  Permit(const std::shared_ptr<Backend>& backend, bool limited) : backend_(&backend), limited_(limited) {}
  Permit(std::shared_ptr<Backend>&&, bool) = delete;
  Permit(Permit&& o) noexcept : backend_(std::exchange(o.backend_, nullptr)), limited_(o.limited_) {}
  Permit& operator=(Permit&& o) noexcept {
    if (this != &o) {
      free();
      backend_ = std::exchange(o.backend_, nullptr);
      limited_ = o.limited_;
    }
    return *this;
  }
  ~Permit() { free(); }
  void free() noexcept;
  explicit operator bool() const noexcept { return backend_ != nullptr; }

 private:
  const std::shared_ptr<Backend>* backend_ = nullptr;
  bool limited_ = false;
};

/// One queued request. The destructor leaves the queue, or releases a permit that was granted but not taken.
/// Lifetime: `backend` belongs to the snapshot, which the request keeps for longer.
class QueuedPermit {
 public:
  QueuedPermit(const std::shared_ptr<Backend>& backend, std::uint32_t limit, asio::io_context& ctx,
               EventFlags& wake)
      : backend_(backend), waiter_(backend->queue->enqueue(*backend, limit, ctx, wake)) {
    // Earlier waiters may have been enqueued under a lower limit.
    if (!waiter_->granted) backend->queue->admit(backend, limit);
  }
  ~QueuedPermit() {
    if (waiter_) backend_->queue->give_up(backend_, waiter_);
  }
  QueuedPermit(const QueuedPermit&) = delete;
  QueuedPermit& operator=(const QueuedPermit&) = delete;

  bool granted() const noexcept { return waiter_->granted; }
  /// REQUIRES: granted().
  Permit take() noexcept {
    waiter_->wake = nullptr;
    waiter_.reset();
    return Permit(backend_, true);
  }

 private:
  const std::shared_ptr<Backend>& backend_;
  std::shared_ptr<Waiter> waiter_;
};

}  // namespace remora
