// Receive buffers, lent by a per-thread pool and given back when idle.
//
// Buffers come straight from the kernel (mmap), so that what is given back really leaves the
// process: with malloc, 10,000 freed buffers between 10,000 small live objects stay resident.
// Two sizes: `small` holds a head and the body of most requests, `large` is for long bodies and large heads.
// Each is a little more than a power of two of body (16 and 64 KiB), so that its head does not cost a further
// receive. Pages that were never written to are not resident.
//
// The last one given back is the first to be lent, so the same few stay in the cache. What was not needed for
// a second goes back to the kernel, all but a few.
//
// Threading: one pool per thread. Lifetime: the pool outlives its buffers.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "net/deadlines.h"

namespace remora {

class BufferPool;

/// An owned piece of memory, or nothing. Move only.
class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(Buffer&& o) noexcept
      : pool_(o.pool_), data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  Buffer& operator=(Buffer&& o) noexcept {
    if (this != &o) {
      reset();
      pool_ = o.pool_;
      data_ = std::exchange(o.data_, nullptr);
      size_ = std::exchange(o.size_, 0);
    }
    return *this;
  }
  ~Buffer() { reset(); }
  void reset() noexcept;
  char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  friend class BufferPool;
  Buffer(BufferPool* pool, char* data, std::size_t size) noexcept : pool_(pool), data_(data), size_(size) {}
  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

class BufferPool final : private DeadlineEntry {
 public:
  static constexpr std::size_t small = 32 * 1024;
  static constexpr std::size_t large = 80 * 1024;
  explicit BufferPool(DeadlineWheel& wheel) : wheel_(wheel) {}
  ~BufferPool() override;

  /// A buffer of at least `bytes`. Throws std::bad_alloc when the kernel has none.
  Buffer take(std::size_t bytes);
  /// Held in reserve, in bytes.
  std::size_t idle_bytes() const noexcept { return small_.free.size() * small + large_.free.size() * large; }

 private:
  friend class Buffer;
  struct Shelf {
    const std::size_t size, keep;  // of a buffer; how many stay for good
    std::vector<char*> free;       // with room for all that were made: giving back never allocates
    std::size_t made = 0;
    std::size_t unused = 0;  // so many were there at any time since the last look
    char* take();
    void make_room();
    void trim();
  };
  Shelf* shelf_for(std::size_t size) noexcept {
    return size == small ? &small_ : size == large ? &large_ : nullptr;
  }
  void give_back(char* data, std::size_t size) noexcept;
  void expired() override;

  DeadlineWheel& wheel_;
  Shelf small_{small, 64, {}}, large_{large, 16, {}};  // 3.3 MiB per thread stay at most
};

}  // namespace remora
