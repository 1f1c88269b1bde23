// What one thread's I/O needs: the event loop, its wheel, its buffers and pipes. A worker owns one, so does
// the control thread. Everything made from a Loop is touched by that thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

#include "net/buffers.h"
#include "net/deadlines.h"
#include "net/pipes.h"

namespace remora {

struct Loop {
  // One thread runs it; others only post. So its descriptors need no locks.
  asio::io_context ctx{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  DeadlineWheel wheel{ctx};
  BufferPool buffers{wheel};
  PipePool pipes;
};

/// Runs the loop until it has nothing left to do. What a handler throws, std::bad_alloc above all, ends that
/// handler and is said now and then; everybody else is served on. `who`: the thread, for the log. `stumbled`:
/// called after each; must not throw.
void run_to_end(asio::io_context& ctx, std::string_view who, const std::function<void()>& stumbled = {});

/// Exceptions that ended something and not the process, for the log: the first at once, then how many there
/// were, at most once in five seconds. Threading: one thread.
class Complaints {
 public:
  /// `who`: a literal.
  explicit Complaints(std::string_view who) : who_(who) {}
  void add(const char* what) noexcept;

 private:
  const std::string_view who_;
  std::uint64_t count_ = 0;
  std::chrono::steady_clock::time_point said_{};
};

}  // namespace remora
