// The memory of nghttp2: a free list for each size of small blocks.
//
// nghttp2 allocates for each stream, frame and header field. Here these blocks are kept when they are freed,
// so that a request allocates nothing in the steady state. Blocks come from malloc and have no header: how
// large one is malloc itself tells, so any thread may free it. With AddressSanitizer nothing is kept.
//
// Threading: each thread has its own lists, without locks. Lifetime: kept blocks go back to malloc when their
// thread ends.
#pragma once

#include <cstddef>

namespace remora {

struct Http2Memory {
  /// What a thread keeps at most. 128 streams of one connection need about a quarter of it.
  static constexpr std::size_t max_kept = 512 * 1024;
  /// Larger blocks are malloc's, or in pages of the session (pages.h).
  static constexpr std::size_t max_block = 8 * 1024;

  /// As malloc() and free().
  static void* take(std::size_t bytes) noexcept;
  static void give_back(void* block) noexcept;
  /// Bytes that this thread keeps.
  static std::size_t kept() noexcept;
};

}  // namespace remora
