// Places at a backend with `max_in_flight`, and the queue of those who wait for one.
//
// Shared by all workers, under a mutex that is taken only when the backend has a limit. A place that is
// freed on one worker is granted to the longest waiter, whichever worker it is on, by posting to its loop.
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

#include "net/loop.h"
#include "net/wake.h"
#include "remora/pool_snapshot.h"

namespace remora {

struct Waiter {
  Waiter(asio::io_context& c, Wake& w) : ctx(c), wake(&w) {}
  asio::io_context& ctx;
  Wake* wake;            // its worker's thread only; null: gave up
  bool granted = false;  // its worker's thread only
};

class PlaceQueue {
 public:
  /// Takes a place if one is free and nobody waits longer.
  bool enter(Backend& backend, std::uint32_t limit);
  /// Takes a place, or lines up: then `granted` is set and the wake's `granted` bit comes.
  std::shared_ptr<Waiter> line_up(Backend& backend, std::uint32_t limit, asio::io_context& ctx, Wake& wake);
  /// The waiter no longer wants its place. Call on its own worker; gives back a place already granted.
  void give_up(const std::shared_ptr<Backend>& backend, const std::shared_ptr<Waiter>& waiter);
  /// The limit was raised or taken away (0): those who wait longest enter, as far as it allows.
  void admit(const std::shared_ptr<Backend>& backend, std::uint32_t limit);
  /// Frees a place, or hands it to the longest waiter.
  void leave(const std::shared_ptr<Backend>& backend);

 private:
  /// The place is counted already, and `next` has left the line.
  static void grant(const std::shared_ptr<Backend>& backend, std::shared_ptr<Waiter> next);

  std::mutex mutex_;
  std::deque<std::shared_ptr<Waiter>> line_;  // guarded by mutex_
};

/// A backend with its queue. REQUIRED for members with `max_in_flight`.
std::shared_ptr<Backend> make_backend(std::string pool, std::string id, std::size_t workers = 1);

/// Holds one request's place at a backend; frees it on destruction. Without a limit it only counts. It owns
/// nothing, so that taking a place touches no count of owners: `backend` is the snapshot's, which the request
/// keeps for longer.
class Place {
 public:
  Place() = default;
  Place(const std::shared_ptr<Backend>& backend, bool limited) : backend_(&backend), limited_(limited) {}
  Place(std::shared_ptr<Backend>&&, bool) = delete;
  Place(Place&& o) noexcept : backend_(std::exchange(o.backend_, nullptr)), limited_(o.limited_) {}
  Place& operator=(Place&& o) noexcept {
    if (this != &o) {
      free();
      backend_ = std::exchange(o.backend_, nullptr);
      limited_ = o.limited_;
    }
    return *this;
  }
  ~Place() { free(); }
  void free() noexcept;
  explicit operator bool() const noexcept { return backend_ != nullptr; }

 private:
  const std::shared_ptr<Backend>* backend_ = nullptr;
  bool limited_ = false;
};

/// One request in line for a place. Going, it gives up its turn, or the place that it was granted and did not
/// take. Lifetime: `backend` is the snapshot's, which the request keeps for longer.
class InLine {
 public:
  InLine(const std::shared_ptr<Backend>& backend, std::uint32_t limit, asio::io_context& ctx, Wake& wake)
      : backend_(backend), waiter_(backend->queue->line_up(*backend, limit, ctx, wake)) {
    // Those before may have lined up under a lower limit.
    if (!waiter_->granted) backend->queue->admit(backend, limit);
  }
  ~InLine() {
    if (waiter_) backend_->queue->give_up(backend_, waiter_);
  }
  InLine(const InLine&) = delete;
  InLine& operator=(const InLine&) = delete;

  bool granted() const noexcept { return waiter_->granted; }
  /// REQUIRES: granted().
  Place take() noexcept {
    waiter_->wake = nullptr;
    waiter_.reset();
    return Place(backend_, true);
  }

 private:
  const std::shared_ptr<Backend>& backend_;
  std::shared_ptr<Waiter> waiter_;
};

}  // namespace remora
