#include "balance/expected_load.h"

#include <cmath>

namespace remora {

namespace {
constexpr std::chrono::duration<double> fading{60};

void bring_up_to_date(Backend& b, Clock::Steady now) noexcept {
  ExpectedLoad& e = b.expected;
  const std::uint64_t served = b.served.load(std::memory_order_relaxed);
  if (now > e.at) {
    e.recent *= std::exp(-(now - e.at) / fading);
    e.at = now;
  }
  e.recent += static_cast<double>(served - e.counted);
  e.counted = served;
}
}  // namespace

double expected_load(Backend& b, Clock::Steady now) noexcept {
  const std::lock_guard lock(b.expected.mutex);
  bring_up_to_date(b, now);
  return b.expected.recent;
}

void expect_session(Backend& b, double requests, Clock::Steady now) noexcept {
  const std::lock_guard lock(b.expected.mutex);
  bring_up_to_date(b, now);
  b.expected.recent += requests;
}

}  // namespace remora
