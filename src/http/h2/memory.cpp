#include "http/h2/memory.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "http/h2/callbacks.h"
#include "http/h2/pages.h"
#include "net/buffers.h"

namespace remora {

namespace {

#ifdef REMORA_ASAN
constexpr bool keeps = false;  // so that it finds blocks that are used after they were freed
#else
constexpr bool keeps = true;
#endif

// Class c is of blocks with at least 16 c + 8 bytes: just the sizes that glibc's malloc has, so rounding up
// to one wastes nothing.
constexpr std::size_t step = 16, first = 8;
constexpr std::size_t classes = (Http2Memory::max_block - first) / step + 1;

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

// nghttp2's names and types of the functions.
Http2Pages& pages_of(void* user) noexcept {
  return *static_cast<Http2Pages*>(user);
}
void* allocate(std::size_t bytes, void* user) {
  void* const block = pages_of(user).take(bytes);
  return block != nullptr ? block : Http2Memory::take(bytes);
}
void release(void* block, void* user) {
  if (!pages_of(user).give_back(block)) Http2Memory::give_back(block);
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
  const std::size_t size = in_pages > 0 ? in_pages : ::malloc_usable_size(block);
  const bool large = size > Http2Memory::max_block && bytes > Http2Memory::max_block;
  if (in_pages == 0 && (!keeps || large)) return std::realloc(block, bytes);
  void* const moved = Http2Memory::take(bytes);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(size, bytes));
  release(block, user);
  return moved;
}

}  // namespace

void* Http2Memory::take(std::size_t bytes) noexcept {
  const std::size_t c = class_for(bytes);
  if (!keeps || c >= classes) return std::malloc(bytes);
  Free* const top = free_blocks[c];
  if (top == nullptr) return std::malloc(size_of(c));
  free_blocks[c] = top->next;
  kept_bytes -= size_of(c);
  return top;
}

void Http2Memory::give_back(void* block) noexcept {
  if (block == nullptr) return;
  const std::size_t size = ::malloc_usable_size(block);
  const std::size_t c = (size - first) / step;
  if (!keeps || closed || size < size_of(1) || c >= classes || kept_bytes + size_of(c) > max_kept)
    std::free(block);
  else
    keep(block, c);
}

std::size_t Http2Memory::kept() noexcept {
  return kept_bytes;
}

nghttp2_mem Http2Callbacks::memory(Http2Pages& pages) noexcept {
  return {&pages, allocate, release, allocate_zero, reallocate};
}

}  // namespace remora
