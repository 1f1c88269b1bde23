// Everything one thread's I/O needs: the event loop, its clock and deadlines, its buffers and pipes. Each
// worker owns one, and so does the control thread. Everything made from a Loop is used on that thread only
// and takes the time from its clock.
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
  // One thread runs it and others only post, so its descriptors need no locks.
  asio::io_context ctx{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  DeadlineWheel wheel;
  BufferPool buffers{wheel};
  PipePool pipes;
};

/// Runs the loop until it has no work left. An exception, std::bad_alloc above all, ends only its handler
/// and is logged (rate-limited); other handlers keep running. `who`: the thread's name for the log.
/// `on_exception`: called after each exception; must not throw.
void run_to_end(Loop& loop, std::string_view who, const std::function<void()>& on_exception = {});

/// Logs exceptions that ended one operation but not the process: the first at once, then a count at most
/// once in five seconds. Threading: one thread.
class LoggedErrors {
 public:
  /// `who`: a string literal (not copied).
  LoggedErrors(std::string_view who, const Clock& clock) : who_(who), clock_(clock) {}
  void add(const char* what) noexcept;

 private:
  const std::string_view who_;
  const Clock& clock_;
  std::uint64_t count_ = 0;
  std::optional<Clock::Steady> said_;
};

}  // namespace remora
