// Pipes for splicing (net/splice.h), borrowed from a per-thread pool.
//
// Threading: one pool per thread. Lifetime: the pool outlives its pipes.
#pragma once

#include <cstddef>
#include <vector>

#include "util/unique_fd.h"

namespace remora {

class PipePool;

/// A pipe borrowed from the thread's pool, empty at first. Move only.
class Pipe {
 public:
  Pipe() noexcept = default;
  Pipe(Pipe&& o) noexcept = default;
  Pipe& operator=(Pipe&& o) noexcept;
  ~Pipe();
  explicit operator bool() const noexcept { return static_cast<bool>(in_); }
  int in() const noexcept { return in_.get(); }
  int out() const noexcept { return out_.get(); }
  std::size_t room() const noexcept { return room_; }
  /// Returns the pipe to the pool. REQUIRES: it is empty.
  void give_back() noexcept;

 private:
  friend class PipePool;
  void close() noexcept;
  PipePool* pool_ = nullptr;
  UniqueFd in_, out_;
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
