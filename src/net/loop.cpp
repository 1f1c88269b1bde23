#include "net/loop.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>

namespace remora {

void Complaints::add(const char* what) noexcept {
  ++count_;
  const auto now = std::chrono::steady_clock::now();
  if (said_ != std::chrono::steady_clock::time_point() && now - said_ < std::chrono::seconds(5)) return;
  said_ = now;
  try {
    spdlog::error("{}: {} event(s) failed, going on: {}", who_, count_, what);
  } catch (...) {  // no memory to say so either
    return;
  }
  count_ = 0;
}

void run_to_end(asio::io_context& ctx, std::string_view who, const std::function<void()>& stumbled) {
  Complaints complaints(who);
  for (;;) {
    try {
      ctx.run();
      return;
    } catch (const std::exception& e) {
      complaints.add(e.what());
    } catch (...) {
      complaints.add("unknown");
    }
    if (stumbled) stumbled();
  }
}

}  // namespace remora
