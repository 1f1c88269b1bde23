// Lets allocations of this thread fail: those by `new`, and those of Asio's operations (aligned_alloc).
//
// A program that links failing_memory.cpp has its own operator new. Asio keeps some memory to use again, so
// an operation fails only when that is used up: see use_up_recycled().
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>

#include "util/sanitizers.h"

namespace remora::test {

/// While it lives, allocations fail, except the first `spared`. At most one at a time.
class FailingMemory {
 public:
  /// ThreadSanitizer brings its own operator new, which never fails: such tests are to be skipped.
#ifdef REMORA_TSAN
  static constexpr bool works = false;
#else
  static constexpr bool works = true;
#endif
  explicit FailingMemory(std::size_t spared = 0) noexcept;
  ~FailingMemory();
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;
  /// Allocations that failed so far.
  std::size_t failures() const noexcept;
};

/// Called by a handler of the loop: whatever else it posts before it returns needs memory.
inline void use_up_recycled(boost::asio::io_context& ctx) {
  constexpr int most = 64;
  for (int i = 0; i < most; ++i) boost::asio::post(ctx, [] {});
}

}  // namespace remora::test
