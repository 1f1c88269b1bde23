// Pipes for splicing (net/splice.h), borrowed from a per-thread pool.
//
// Threading: one pool per thread. Lifetime: the pool outlives its pipes.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace remora {

class PipePool;

/// A pipe borrowed from the thread's pool, empty at first. Move only.
class Pipe {
 public:
  Pipe() noexcept = default;
  Pipe(Pipe&& o) noexcept
      : pool_(o.pool_), in_(std::exchange(o.in_, -1)), out_(std::exchange(o.out_, -1)), room_(o.room_) {}
  Pipe& operator=(Pipe&& o) noexcept;
  ~Pipe();
  explicit operator bool() const noexcept { return in_ >= 0; }
  int in() const noexcept { return in_; }
  int out() const noexcept { return out_; }
  std::size_t room() const noexcept { return room_; }
  /// Returns the pipe to the pool. REQUIRES: it is empty.
  void give_back() noexcept;

 private:
  friend class PipePool;
  void close() noexcept;
  PipePool* pool_ = nullptr;
  int in_ = -1, out_ = -1;
  std::size_t room_ = 0;
};

class PipePool {
 public:
  PipePool() = default;
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;
  /// Returns no pipe if the process is out of descriptors or the pool has reached its limit.
  Pipe take() noexcept;

 private:
  friend class Pipe;
  static constexpr std::size_t most = 512, keep = 64;
  std::size_t lent_ = 0;
  std::vector<Pipe> spare_;
};

}  // namespace remora
