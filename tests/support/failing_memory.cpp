#include "support/failing_memory.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace remora::test {

namespace {
thread_local bool fails = false;
thread_local std::size_t left = 0, failed = 0;

[[maybe_unused]] bool may_allocate() noexcept {
  if (!fails) return true;
  if (left > 0) {
    --left;
    return true;
  }
  ++failed;
  return false;
}
}  // namespace

FailingMemory::FailingMemory(std::size_t spared) noexcept {
  left = spared;
  failed = 0;
  fails = true;
}

FailingMemory::~FailingMemory() {
  fails = false;
}

std::size_t FailingMemory::failures() const noexcept {
  return failed;
}

}  // namespace remora::test

#ifndef REMORA_TSAN
void* operator new(std::size_t bytes) {
  void* const memory = remora::test::may_allocate() ? std::malloc(std::max<std::size_t>(bytes, 1)) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

extern "C" void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  void* memory = nullptr;
  if (!remora::test::may_allocate() ||
      ::posix_memalign(&memory, std::max(alignment, sizeof(void*)), bytes) != 0)
    return nullptr;
  return memory;
}
#endif
