// OutText: an output buffer built from many short pieces.
//
// Why not std::string: to extend it costs either a call for each of the thirty pieces of a head, or zeros
// that are overwritten at once.
//
// A cleared text gives its memory to the next text of the same thread. Heads are sent soon after they are
// written, so a few blocks serve all connections and stay in the CPU caches.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace remora {

/// A free list of the memory of cleared texts. At most 16 blocks of at most 16 KiB each.
class SpareText {
 public:
  struct Memory {
    std::unique_ptr<char[]> data;
    std::size_t size = 0;
  };
  void put(Memory memory) noexcept {
    if (count_ < most && memory.size <= worth_keeping) kept_[count_++] = std::move(memory);
  }
  /// Returns no memory if the list is empty.
  Memory take() noexcept { return count_ > 0 ? std::move(kept_[--count_]) : Memory{}; }

 private:
  static constexpr std::size_t most = 16, worth_keeping = 16 * 1024;
  std::array<Memory, most> kept_;
  std::size_t count_ = 0;
};

class OutText {
 public:
  /// Extends the text by `n` bytes for the caller to write, and returns their start.
  char* extend(std::size_t n) {
    if (capacity_ - size_ < n) grow(n);
    size_ += n;
    return data_.get() + size_ - n;
  }
  OutText& append(std::string_view piece) {
    put(extend(piece.size()), piece);
    return *this;
  }
  /// Writes a piece and returns the position behind it.
  static char* put(char* to, std::string_view piece) noexcept {
    copy(to, piece.data(), piece.size());
    return to + piece.size();
  }
  OutText& operator+=(std::string_view piece) { return append(piece); }
  OutText& operator+=(char c) { return append({&c, 1}); }
  void clear() noexcept {
    size_ = 0;
    if (capacity_ > 0) spare.put({std::move(data_), std::exchange(capacity_, 0)});
  }
  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  const char* data() const noexcept { return data_.get(); }

 private:
  /// Copies short pieces by two moves that may overlap, long ones by memcpy.
  static void copy(char* to, const char* from, std::size_t n) noexcept {
    if (n > 32) {
      std::memcpy(to, from, n);
    } else if (n >= 16) {
      move<16>(to, from, n);
    } else if (n >= 8) {
      move<8>(to, from, n);
    } else if (n >= 4) {
      move<4>(to, from, n);
    } else if (n >= 2) {
      move<2>(to, from, n);
    } else if (n == 1) {
      *to = *from;
    }
  }
  template <std::size_t step>
  static void move(char* to, const char* from, std::size_t n) noexcept {
    char first[step], last[step];
    std::memcpy(first, from, step);
    std::memcpy(last, from + n - step, step);
    std::memcpy(to, first, step);
    std::memcpy(to + n - step, last, step);
  }
  void grow(std::size_t by) {
    if (capacity_ == 0) {
      SpareText::Memory left = spare.take();
      data_ = std::move(left.data);
      capacity_ = left.size;
      if (by <= capacity_) return;
    }
    const std::size_t wanted = (size_ + by) * 2 < 512 ? 512 : (size_ + by) * 2;
    std::unique_ptr<char[]> bigger(new char[wanted]);
    if (size_ > 0) std::memcpy(bigger.get(), data_.get(), size_);
    data_ = std::move(bigger);
    capacity_ = wanted;
  }

  static inline thread_local SpareText spare;

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace remora
