// BodyQueue: received DATA of one stream that its reader has not consumed yet.
//
// nghttp2 hands out DATA in pieces that are gone after the callback, so they are copied once, here. The
// stream's window bounds the bytes. The first block fits what has arrived; further ones are whole buffers.
//
// Threading: one thread.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "http/h2/blocks.h"
#include "net/loop.h"

namespace remora {

class BodyQueue {
 public:
  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }

  /// Appends a copy. Throws std::bad_alloc.
  void push(BufferPool& pool, std::string_view bytes) {
    size_ += bytes.size();
    if (first_ && more_.empty()) bytes = append_to(first_, end_, bytes);
    if (!more_.empty()) bytes = append_to(more_.back().block, more_.back().end, bytes);
    while (!bytes.empty()) {
      if (!first_) {
        first_ = Block(pool, bytes.size());
        begin_ = end_ = 0;
        bytes = append_to(first_, end_, bytes);
      } else {
        more_.push_back({Block(pool, BufferPool::small), 0});
        bytes = append_to(more_.back().block, more_.back().end, bytes);
      }
    }
  }
  /// The first bytes, all of them unless there are very many. Valid until the next push() or pop().
  std::span<const asio::const_buffer> runs() noexcept {
    if (size_ == 0) return {};
    std::size_t n = 0;
    runs_[n++] = asio::const_buffer(first_.data() + begin_, end_ - begin_);
    for (std::size_t i = 0; i < more_.size() && n < runs_.size(); ++i)
      runs_[n++] = asio::const_buffer(more_[i].block.data(), more_[i].end);
    return {runs_.data(), n};
  }
  /// Removes the first `n` bytes. REQUIRES: n <= size().
  void pop(std::size_t n) noexcept {
    size_ -= n;
    while (n > 0) {
      const std::size_t k = std::min(n, end_ - begin_);
      begin_ += k;
      n -= k;
      if (begin_ < end_) break;
      next_block();
    }
  }
  void clear() noexcept {
    first_.reset();
    more_.clear();
    size_ = begin_ = end_ = 0;
  }

 private:
  struct Piece {
    Block block;
    std::size_t end;
  };
  static std::string_view append_to(Block& block, std::size_t& end, std::string_view bytes) noexcept {
    const std::size_t n = std::min(bytes.size(), block.size() - end);
    if (n > 0) std::memcpy(block.data() + end, bytes.data(), n);
    end += n;
    return bytes.substr(n);
  }
  void next_block() noexcept {
    begin_ = end_ = 0;
    if (more_.empty()) return first_.reset();
    first_ = std::move(more_.front().block);
    end_ = more_.front().end;
    more_.erase(more_.begin());
  }

  Block first_;
  std::vector<Piece> more_;                     // of long bodies; a window of 256 KiB needs eight
  std::size_t begin_ = 0, end_ = 0, size_ = 0;  // of first_; of all
  std::array<asio::const_buffer, 4> runs_{};
};

}  // namespace remora
