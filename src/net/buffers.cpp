#include "net/buffers.h"

#include <sys/mman.h>

#include <new>

namespace remora {

void Buffer::reset() noexcept {
  if (data_ != nullptr) pool_->give_back(std::exchange(data_, nullptr), std::exchange(size_, 0));
}

BufferPool::~BufferPool() {
  for (char* p : small_) ::munmap(p, small);
  for (char* p : large_) ::munmap(p, large);
}

Buffer BufferPool::take(std::size_t bytes) {
  const std::size_t size = bytes <= small   ? small
                           : bytes <= large ? large
                                            : (bytes + large - 1) / large * large;
  auto* free = size == small ? &small_ : size == large ? &large_ : nullptr;
  if (free != nullptr && !free->empty()) {
    char* data = free->back();
    free->pop_back();
    return Buffer(this, data, size);
  }
  if (free != nullptr && free->capacity() == 0) free->reserve(size == small ? keep_small : keep_large);
  void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return Buffer(this, static_cast<char*>(p), size);
}

void BufferPool::give_back(char* data, std::size_t size) noexcept {
  auto* free = size == small ? &small_ : size == large ? &large_ : nullptr;
  if (free != nullptr && free->size() < (size == small ? keep_small : keep_large))
    free->push_back(data);
  else
    ::munmap(data, size);
}

}  // namespace remora
