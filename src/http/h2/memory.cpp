// The memory of nghttp2: two large blocks are in pages of the session (pages.h), all others in BlockCache.

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "http/h2/callbacks.h"
#include "http/h2/pages.h"
#include "util/block_cache.h"

namespace remora {

namespace {

// nghttp2's names and types of the functions.
Http2Pages& pages_of(void* user) noexcept {
  return *static_cast<Http2Pages*>(user);
}
void* allocate(std::size_t bytes, void* user) {
  void* const block = pages_of(user).take(bytes);
  return block != nullptr ? block : BlockCache::take(bytes);
}
void release(void* block, void* user) {
  if (!pages_of(user).give_back(block)) BlockCache::give_back(block);
}
void* allocate_zero(std::size_t count, std::size_t size, void* user) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
  void* const block = allocate(bytes, user);
  if (block != nullptr) std::memset(block, 0, bytes);
  return block;
}
void* reallocate(void* block, std::size_t bytes, void* user) {
  if (block == nullptr) return allocate(bytes, user);
  const std::size_t in_pages = pages_of(user).room(block);
  const std::size_t size = in_pages > 0 ? in_pages : BlockCache::room(block);
  const bool large = size > BlockCache::max_block && bytes > BlockCache::max_block;
  if (in_pages == 0 && (!BlockCache::keeps() || large)) return std::realloc(block, bytes);
  void* const moved = BlockCache::take(bytes);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(size, bytes));
  release(block, user);
  return moved;
}

}  // namespace

nghttp2_mem Http2Callbacks::memory(Http2Pages& pages) noexcept {
  return {&pages, allocate, release, allocate_zero, reallocate};
}

}  // namespace remora
