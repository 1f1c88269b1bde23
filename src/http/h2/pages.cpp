#include "http/h2/pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

namespace remora {

namespace {

constexpr std::size_t page = 4096;
/// The sizes that nghttp2 1.52 asks for. Another version may ask for others, which other memory serves.
constexpr std::size_t table_bytes = page, frames_bytes = 16 * 1024 + 10;
constexpr std::size_t frames_room = (frames_bytes + page - 1) / page * page;
constexpr std::size_t all_bytes = table_bytes + frames_room;
/// Free ones that a thread keeps with their memory.
constexpr std::size_t most_kept = 32;

struct Free {
  Free* next;
};
// Without a constructor: they may be used until their thread has ended.
thread_local constinit Free* kept = nullptr;
thread_local constinit std::size_t kept_count = 0;

std::byte* map() noexcept {
  void* const mapped = ::mmap(nullptr, all_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  ::madvise(mapped, all_bytes, MADV_NOHUGEPAGE);  // one page may be resident among many that are not
  return static_cast<std::byte*>(mapped);
}

bool all_zero(const std::byte* begin, std::size_t bytes) noexcept {
  return std::all_of(begin, begin + bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

Http2Pages::Http2Pages() noexcept {
  if (kept == nullptr) {
    pages_ = map();
    return;
  }
  pages_ = reinterpret_cast<std::byte*>(kept);
  kept = kept->next;
  --kept_count;
}

Http2Pages::~Http2Pages() {
  if (pages_ == nullptr) return;
  if (kept_count < most_kept) {
    kept = ::new (pages_) Free{kept};
    ++kept_count;
  } else if (::munmap(pages_, all_bytes) != 0) {
    ::madvise(pages_, all_bytes, MADV_DONTNEED);  // too many mappings: only the addresses are lost
  }
}

std::byte* Http2Pages::frames() const noexcept {
  return pages_ + table_bytes;
}

void* Http2Pages::take(std::size_t bytes) noexcept {
  if (pages_ == nullptr) return nullptr;
  if (bytes == table_bytes && !std::exchange(table_taken_, true)) return table();
  if (bytes > frames_room - page && bytes <= frames_room && !std::exchange(frames_taken_, true))
    return frames();
  return nullptr;
}

bool Http2Pages::give_back(const void* block) noexcept {
  if (room(block) == 0) return false;
  (block == table() ? table_taken_ : frames_taken_) = false;
  return true;
}

std::size_t Http2Pages::room(const void* block) const noexcept {
  if (pages_ == nullptr || block == nullptr) return 0;
  if (block == table()) return table_taken_ ? table_bytes : 0;
  return block == frames() && frames_taken_ ? frames_room : 0;
}

void Http2Pages::discard() noexcept {
  if (pages_ == nullptr) return;
  // Zeros that are dropped read as zeros. With anything else in it the table is kept.
  const bool zero = !table_taken_ || all_zero(table(), table_bytes);
  if (zero)
    ::madvise(pages_, all_bytes, MADV_DONTNEED);
  else
    ::madvise(frames(), frames_room, MADV_DONTNEED);
}

}  // namespace remora
