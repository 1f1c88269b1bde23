#include "util/block_cache.h"

#include <malloc.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "util/sanitizers.h"

namespace remora {

namespace {

#ifdef REMORA_ASAN
constexpr bool keeps_blocks = false;  // so that it finds blocks that are used after they were freed
#else
constexpr bool keeps_blocks = true;
#endif

// Class c is of blocks with at least 16 c + 8 bytes: just the sizes that glibc's malloc has, so rounding up
// to one wastes nothing.
constexpr std::size_t step = 16, first = 8;
constexpr std::size_t classes = (BlockCache::max_block - first) / step + 1;

constexpr std::size_t class_for(std::size_t bytes) noexcept {
  return bytes <= first ? 1 : (bytes - first + step - 1) / step;
}
constexpr std::size_t size_of(std::size_t c) noexcept {
  return first + step * c;
}

struct Free {
  Free* next;
};

// Not a member with a constructor: each access would test whether it has run.
thread_local constinit std::array<Free*, classes> free_blocks{};
thread_local constinit std::size_t kept_bytes = 0;
thread_local constinit bool closed = false;

/// Returns the blocks when the thread ends. What is freed after that goes to malloc at once.
struct AtThreadEnd {
  ~AtThreadEnd() {
    closed = true;
    for (Free*& top : free_blocks)
      while (top != nullptr) std::free(std::exchange(top, top->next));
    kept_bytes = 0;
  }
};

void keep(void* block, std::size_t c) noexcept {
  static thread_local const AtThreadEnd at_end;
  static_cast<void>(&at_end);
  auto* const free = static_cast<Free*>(block);
  free->next = free_blocks[c];
  free_blocks[c] = free;
  kept_bytes += size_of(c);
}

void keep_or_free(void* block, std::size_t c) noexcept {
  if (!keeps_blocks || closed || c >= classes || kept_bytes + size_of(c) > BlockCache::max_kept)
    std::free(block);
  else
    keep(block, c);
}

}  // namespace

void* BlockCache::take(std::size_t bytes) noexcept {
  const std::size_t c = class_for(bytes);
  if (!keeps_blocks || c >= classes) return std::malloc(bytes);
  Free* const top = free_blocks[c];
  if (top == nullptr) return std::malloc(size_of(c));
  free_blocks[c] = top->next;
  kept_bytes -= size_of(c);
  return top;
}

void BlockCache::give_back(void* block) noexcept {
  if (block == nullptr) return;
  const std::size_t size = ::malloc_usable_size(block);
  keep_or_free(block, size < size_of(1) ? classes : (size - first) / step);
}

void BlockCache::give_back(void* block, std::size_t bytes) noexcept {
  keep_or_free(block, class_for(bytes));
}

std::size_t BlockCache::kept() noexcept {
  return kept_bytes;
}

std::size_t BlockCache::room(void* block) noexcept {
  return ::malloc_usable_size(block);
}

bool BlockCache::keeps() noexcept {
  return keeps_blocks;
}

}  // namespace remora
