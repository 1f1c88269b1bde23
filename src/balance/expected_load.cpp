#include "balance/expected_load.h"

#include <cmath>

namespace remora {

namespace {
constexpr std::chrono::duration<double> fading{60};
}  // namespace

double expected_load(Backend& b, Clock::Steady now) noexcept {
  ExpectedLoad& e = b.expected;
  const std::uint64_t served = b.served.load(std::memory_order_relaxed);
  const std::lock_guard lock(e.mutex);
  if (now > e.at) {
    e.recent *= std::exp(-(now - e.at) / fading);
    e.at = now;
  }
  if (served > e.counted) {  // another thread may have counted later requests already
    e.recent += static_cast<double>(served - e.counted);
    e.counted = served;
  }
  return e.recent;
}

}  // namespace remora
