// What one thread's I/O needs: the event loop, its clock and deadlines, its buffers and pipes. A worker owns
// one, so does the control thread. Everything made from a Loop is touched by that thread only, and takes the
// time from its clock.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "net/buffers.h"
#include "net/deadlines.h"
#include "net/pipes.h"

namespace remora {

struct Loop {
  using Driver = DeadlineWheel::Driver;
  /// The clock outlives the loop. `driver`: see DeadlineWheel.
  explicit Loop(const Clock& c = real_clock(), Driver driver = Driver::timer)
      : clock(c), wheel(ctx, c, driver) {}

  const Clock& clock;
  // One thread runs it; others only post. So its descriptors need no locks.
  asio::io_context ctx{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  DeadlineWheel wheel;
  BufferPool buffers{wheel};
  PipePool pipes;
};

/// Runs the loop until it has nothing left to do. What a handler throws, std::bad_alloc above all, ends that
/// handler and is said now and then; everybody else is served on. `who`: the thread, for the log. `stumbled`:
/// called after each; must not throw.
void run_to_end(Loop& loop, std::string_view who, const std::function<void()>& stumbled = {});

/// Exceptions that ended something and not the process, for the log: the first at once, then how many there
/// were, at most once in five seconds. Threading: one thread.
class Complaints {
 public:
  /// `who`: a literal.
  Complaints(std::string_view who, const Clock& clock) : who_(who), clock_(clock) {}
  void add(const char* what) noexcept;

 private:
  const std::string_view who_;
  const Clock& clock_;
  std::uint64_t count_ = 0;
  std::optional<Clock::Steady> said_;
};

}  // namespace remora
