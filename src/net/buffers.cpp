#include "net/buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <new>

namespace remora {

void Buffer::reset() noexcept {
  if (data_ != nullptr) pool_->give_back(std::exchange(data_, nullptr), std::exchange(size_, 0));
}

BufferPool::~BufferPool() {
  for (const Shelf* shelf : {&small_, &large_})
    for (char* p : shelf->free) ::munmap(p, shelf->size);
}

/// nullptr: none is there.
char* BufferPool::Shelf::take() {
  if (free.empty()) {
    unused = 0;
    return nullptr;
  }
  char* data = free.back();
  free.pop_back();
  unused = std::min(unused, free.size());
  return data;
}

/// For one more buffer.
void BufferPool::Shelf::make_room() {
  if (++made > free.capacity()) free.reserve(std::max(keep, 2 * made));
}

/// The lowest lay there longest.
void BufferPool::Shelf::trim() {
  const std::size_t surplus = std::min(unused, free.size() > keep ? free.size() - keep : 0);
  for (std::size_t i = 0; i < surplus; ++i) ::munmap(free[i], size);
  free.erase(free.begin(), free.begin() + static_cast<std::ptrdiff_t>(surplus));
  made -= surplus;
  unused = free.size();
}

Buffer BufferPool::take(std::size_t bytes) {
  const std::size_t size = bytes <= small   ? small
                           : bytes <= large ? large
                                            : (bytes + large - 1) / large * large;
  Shelf* const shelf = shelf_for(size);
  if (shelf != nullptr)
    if (char* const data = shelf->take()) return Buffer(this, data, size);
  void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  if (shelf != nullptr) shelf->make_room();
  return Buffer(this, static_cast<char*>(p), size);
}

void BufferPool::give_back(char* data, std::size_t size) noexcept {
  Shelf* const shelf = shelf_for(size);
  if (shelf == nullptr) {
    ::munmap(data, size);
    return;
  }
  shelf->free.push_back(data);
  if (shelf->free.size() > shelf->keep && !armed())
    arm(wheel_, std::chrono::steady_clock::now() + std::chrono::seconds(1));
}

void BufferPool::expired() {
  small_.trim();
  large_.trim();
  if (small_.free.size() > small_.keep || large_.free.size() > large_.keep)
    arm(wheel_, std::chrono::steady_clock::now() + std::chrono::seconds(1));
}

}  // namespace remora
