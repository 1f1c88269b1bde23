// Http2Pages: pages of its own for the two large blocks of an nghttp2 session: its table of streams (4 KiB)
// and the buffer in which it serializes frames (16 KiB). While the connection is parked they need no memory.
//
// Why: malloc lays these blocks among others, so that they stay resident although an idle session reads
// neither: the table is all zeros then, and the buffer is written before it is read. An idle connection held
// 16 KB with malloc, of which they were a half.
//
// Threading: a session's; each thread keeps a few free ones. Lifetime: longer than the session.
#pragma once

#include <cstddef>

namespace remora {

class Http2Pages {
 public:
  /// Without memory, if there is none: then other memory serves both blocks.
  Http2Pages() noexcept;
  ~Http2Pages();
  Http2Pages(const Http2Pages&) = delete;
  Http2Pages& operator=(const Http2Pages&) = delete;

  /// Null: a block of another size, or one that is taken already. The content is undefined.
  void* take(std::size_t bytes) noexcept;
  /// False: it is not from here.
  bool give_back(const void* block) noexcept;
  /// Bytes of the block, if it is one of the two and taken, else 0.
  std::size_t room(const void* block) const noexcept;
  /// Returns the memory to the kernel, but not the addresses. REQUIRES: the session is idle.
  void discard() noexcept;

 private:
  std::byte* table() const noexcept { return pages_; }
  std::byte* frames() const noexcept;

  std::byte* pages_ = nullptr;
  bool table_taken_ = false, frames_taken_ = false;
};

}  // namespace remora
