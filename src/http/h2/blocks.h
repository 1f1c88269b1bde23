// Block: memory for the text of a head, or for a piece of a body, in sizes that fit: 1 KiB, 4 KiB, or a
// buffer of net/buffers.h.
//
// Why: most heads and many bodies are small, and there are as many as streams. A thread keeps some free
// blocks, so that a request allocates nothing in the steady state.
//
// Threading: one thread. Lifetime: not longer than the BufferPool.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "net/buffers.h"
#include "util/slab.h"

namespace remora {

/// A LIFO free list of objects of one type in front of their slab, which would unmap them too eagerly.
template <class T>
class Spare {
 public:
  static void* take() { return kept.count > 0 ? kept.free[--kept.count] : Slab<T>::take(); }
  static void give_back(void* p) noexcept {
    if (kept.count < most)
      kept.free[kept.count++] = p;
    else
      Slab<T>::give_back(p);
  }

 private:
  static constexpr std::size_t most = 256;
  struct Kept {
    void* free[most];
    std::size_t count = 0;
  };
  static inline thread_local Kept kept;
};

class Block {
 public:
  static constexpr std::size_t tiny = 1024, medium = 4096;

  Block() noexcept = default;
  /// At least `bytes`. Throws std::bad_alloc.
  Block(BufferPool& pool, std::size_t bytes) {
    if (bytes <= tiny) {
      data_ = static_cast<char*>(Spare<Room<tiny>>::take());
      size_ = tiny;
    } else if (bytes <= medium) {
      data_ = static_cast<char*>(Spare<Room<medium>>::take());
      size_ = medium;
    } else {
      buffer_ = pool.take(bytes);
      data_ = buffer_.data();
      size_ = buffer_.size();
    }
  }
  Block(Block&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)),
        size_(std::exchange(o.size_, 0)),
        buffer_(std::move(o.buffer_)) {}
  Block& operator=(Block&& o) noexcept {
    if (this != &o) {
      reset();
      data_ = std::exchange(o.data_, nullptr);
      size_ = std::exchange(o.size_, 0);
      buffer_ = std::move(o.buffer_);
    }
    return *this;
  }
  ~Block() { reset(); }

  char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }
  void reset() noexcept {
    if (data_ == nullptr) return;
    if (buffer_)
      buffer_.reset();
    else if (size_ == tiny)
      Spare<Room<tiny>>::give_back(data_);
    else
      Spare<Room<medium>>::give_back(data_);
    data_ = nullptr;
    size_ = 0;
  }

 private:
  template <std::size_t bytes>
  struct Room {
    std::array<char, bytes> room;
  };
  char* data_ = nullptr;
  std::size_t size_ = 0;
  Buffer buffer_;  // if it is a large one
};

}  // namespace remora
