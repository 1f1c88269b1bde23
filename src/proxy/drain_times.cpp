#include "proxy/drain_times.h"

#include <cmath>

namespace remora {

double spread_fraction(std::size_t number) noexcept {
  constexpr double golden = 0.6180339887498949;
  const double turns = static_cast<double>(number + 1) * golden;
  return turns - std::floor(turns);
}

Clock::Steady drain_time(Clock::Steady from, std::chrono::nanoseconds spread, std::size_t nth,
                         std::size_t all, double shift) noexcept {
  const double share = (static_cast<double>(nth) + shift) / static_cast<double>(all);
  return from + std::chrono::nanoseconds(
                    static_cast<std::chrono::nanoseconds::rep>(static_cast<double>(spread.count()) * share));
}

}  // namespace remora
