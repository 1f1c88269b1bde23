#include "net/buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <new>

namespace remora {

void BufferShelf::see_to_it_later() noexcept {
  pool_.trim_later();
}

void BufferShelf::trim() noexcept {
  give_to_kernel(std::min(unused_, count_ > keep ? count_ - keep : 0));
  unused_ = count_;
}

/// Unmaps the `lowest` oldest buffers: they have been free longest and are out of every CPU cache.
void BufferShelf::give_to_kernel(std::size_t lowest) noexcept {
  if (lowest == 0) return;
  char** end = &top_;
  for (std::size_t stay = count_ - lowest; stay > 0; --stay) end = &below(*end);
  char* data = std::exchange(*end, nullptr);
  while (data != nullptr) {
    char* const gone = std::exchange(data, below(data));
    unpoison(gone, size);
    ::munmap(gone, size);
  }
  count_ -= lowest;
}

void Buffer::give_to_kernel() noexcept {
  ::munmap(data_, size_);
}

Buffer BufferPool::make(BufferShelf* shelf, std::size_t bytes) {
  const std::size_t size = shelf != nullptr ? shelf->size : (bytes + large - 1) / large * large;
  void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return Buffer(shelf, static_cast<char*>(p), size);
}

void BufferPool::trim_later() noexcept {
  if (!armed()) arm(wheel_, wheel_.now() + std::chrono::seconds(1));
}

void BufferPool::expired() {
  small_.trim();
  large_.trim();
  if (small_.count() > small_.keep || large_.count() > large_.keep) trim_later();
}

}  // namespace remora
