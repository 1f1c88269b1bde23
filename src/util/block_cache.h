// Blocks of memory that a thread keeps when they are freed: a free list for each size.
//
// For what every request takes and frees: the frames of coroutines, and what nghttp2 allocates for each
// stream, frame and header field. So a request allocates nothing in the steady state. Blocks come from malloc
// and have no header: how large one is malloc itself tells, so any thread may free it. With AddressSanitizer
// nothing is kept.
//
// Threading: each thread has its own lists, without locks. Lifetime: kept blocks go back to malloc when their
// thread ends.
#pragma once

#include <cstddef>

namespace remora {

struct BlockCache {
  /// What a thread keeps at most. 128 streams of one connection need about a quarter of it.
  static constexpr std::size_t max_kept = 1024 * 1024;
  /// Larger blocks are not kept.
  static constexpr std::size_t max_block = 8 * 1024;

  /// As malloc() and free(): null without memory.
  static void* take(std::size_t bytes) noexcept;
  static void give_back(void* block) noexcept;
  /// The same for a block of take(bytes), without a look at its size.
  static void give_back(void* block, std::size_t bytes) noexcept;
  /// As malloc_usable_size(): what `block`, which is not null, has room for.
  static std::size_t room(void* block) noexcept;
  /// Blocks up to max_block are kept at all.
  static bool keeps() noexcept;
  /// Bytes that this thread keeps.
  static std::size_t kept() noexcept;
};

}  // namespace remora
