#include "net/loop.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>

namespace remora {

void LoggedErrors::add(const char* what) noexcept {
  ++count_;
  const Clock::Steady now = clock_.steady_now();
  if (said_ && now - *said_ < std::chrono::seconds(5)) return;
  said_ = now;
  try {
    spdlog::error("{}: {} operation(s) failed: {}", who_, count_, what);
  } catch (...) {  // no memory to log it either
    return;
  }
  count_ = 0;
}

void run_to_end(Loop& loop, std::string_view who, const std::function<void()>& on_exception) {
  LoggedErrors logged_errors(who, loop.clock);
  for (;;) {
    try {
      loop.ctx.run();
      return;
    } catch (const std::exception& e) {
      logged_errors.add(e.what());
    } catch (...) {
      logged_errors.add("unknown");
    }
    if (on_exception) on_exception();
  }
}

}  // namespace remora
