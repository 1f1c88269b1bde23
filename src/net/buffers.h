// Receive buffers, borrowed from a per-thread pool and returned when idle.
//
// Buffers come from the kernel (mmap), so that freeing one really returns its memory: with malloc, 10,000
// freed buffers interleaved with 10,000 small live objects stay resident.
// Two sizes: `small` holds a head and the body of most requests; `large` is for long bodies and large heads.
// Each is 16 KiB larger than a power of two of body (16 and 64 KiB), so that the head in front of the body
// does not cost another receive. Pages that were never written are not resident.
//
// Free buffers are reused in LIFO order, so the same few stay in the CPU cache. Buffers that were not needed
// for a second go back to the kernel, except for a few.
//
// Threading: one pool per thread. Lifetime: the pool outlives its buffers.
#pragma once

#include <cstddef>
#include <utility>

#include "net/deadlines.h"
#include "util/sanitizers.h"

#ifdef REMORA_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace remora {

class BufferPool;

/// A LIFO free list of buffers of one size.
class BufferShelf {
 public:
  const std::size_t size, keep;  // bytes of one buffer; free buffers that are never unmapped

  BufferShelf(BufferPool& pool, std::size_t bytes, std::size_t most) : size(bytes), keep(most), pool_(pool) {}
  ~BufferShelf() { give_to_kernel(count_); }
  BufferShelf(const BufferShelf&) = delete;
  BufferShelf& operator=(const BufferShelf&) = delete;

  /// Pops the most recently returned buffer; nullptr if the list is empty.
  char* take() noexcept {
    char* const data = top_;
    if (data == nullptr) {
      unused_ = 0;
      return nullptr;
    }
    top_ = below(data);
    unpoison(data, size);
    if (--count_ < unused_) unused_ = count_;
    return data;
  }
  void put(char* data) noexcept {
    below(data) = top_;
    top_ = data;
    poison(data, size);
    if (++count_ > keep) see_to_it_later();
  }
  /// Unmaps the buffers that were not needed since the last trim, but leaves `keep` of them.
  void trim() noexcept;
  std::size_t count() const noexcept { return count_; }

 private:
  /// A free buffer begins with a pointer to the next one.
  static char*& below(char* data) noexcept { return *reinterpret_cast<char**>(data); }
  // With AddressSanitizer, free buffers are poisoned: a stale view of one client's bytes would show another
  // client's.
#ifdef REMORA_ASAN
  static void poison(char* data, std::size_t bytes) noexcept {
    ASAN_POISON_MEMORY_REGION(data + sizeof(char*), bytes - sizeof(char*));
  }
  static void unpoison(char* data, std::size_t bytes) noexcept { ASAN_UNPOISON_MEMORY_REGION(data, bytes); }
#else
  static void poison(char*, std::size_t) noexcept {}
  static void unpoison(char*, std::size_t) noexcept {}
#endif
  void see_to_it_later() noexcept;
  void give_to_kernel(std::size_t lowest) noexcept;

  BufferPool& pool_;
  char* top_ = nullptr;
  std::size_t count_ = 0;
  std::size_t unused_ = 0;  // lowest count_ since the last trim
};

/// An owned buffer, or nothing. Move only.
class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(Buffer&& o) noexcept
      : shelf_(o.shelf_), data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  Buffer& operator=(Buffer&& o) noexcept {
    if (this != &o) {
      reset();
      shelf_ = o.shelf_;
      data_ = std::exchange(o.data_, nullptr);
      size_ = std::exchange(o.size_, 0);
    }
    return *this;
  }
  ~Buffer() { reset(); }
  void reset() noexcept {
    if (data_ == nullptr) return;
    if (shelf_ != nullptr)
      shelf_->put(data_);
    else
      give_to_kernel();
    data_ = nullptr;
    size_ = 0;
  }
  char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  friend class BufferPool;
  Buffer(BufferShelf* shelf, char* data, std::size_t size) noexcept
      : shelf_(shelf), data_(data), size_(size) {}
  void give_to_kernel() noexcept;
  BufferShelf* shelf_ = nullptr;  // null: neither small nor large, unmapped when freed
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

class BufferPool final : private DeadlineEntry {
 public:
  static constexpr std::size_t small = 32 * 1024;
  static constexpr std::size_t large = 80 * 1024;
  explicit BufferPool(DeadlineWheel& wheel) : wheel_(wheel) {}

  /// A buffer of at least `bytes`. Throws std::bad_alloc when the kernel has none.
  Buffer take(std::size_t bytes) {
    BufferShelf* const shelf = bytes <= small ? &small_ : bytes <= large ? &large_ : nullptr;
    if (shelf != nullptr)
      if (char* const data = shelf->take()) return Buffer(shelf, data, shelf->size);
    return make(shelf, bytes);
  }
  /// Bytes of free buffers.
  std::size_t idle_bytes() const noexcept { return small_.count() * small + large_.count() * large; }

 private:
  friend class BufferShelf;
  static Buffer make(BufferShelf* shelf, std::size_t bytes);
  void trim_later() noexcept;
  void expired() override;

  DeadlineWheel& wheel_;
  BufferShelf small_{*this, small, 64}, large_{*this, large, 16};  // keep at most 3.3 MiB per thread
};

}  // namespace remora
