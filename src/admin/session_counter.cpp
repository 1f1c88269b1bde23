#include "admin/session_counter.h"

#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>

namespace remora {

void SessionCounter::refresh(ClockReading now) {
  constexpr int share = 20;
  const Clock::Steady begin = clock_.steady_now();
  if (counted_ && now.steady - counted_at_ < cost_ * share) return;
  struct Hash {
    std::size_t operator()(const std::pair<std::uint16_t, std::uint64_t>& p) const noexcept {
      return static_cast<std::size_t>(p.second * 0x9e3779b97f4a7c15ULL) ^ p.first;
    }
  };
  boost::unordered_flat_map<std::pair<std::uint16_t, std::uint64_t>, Count, Hash> counts;
  memory_.learned.count(
      now, [&](std::uint16_t pool, std::uint64_t backend) { ++counts[{pool, backend}].learned; });
  memory_.active.count(now,
                       [&](std::uint16_t pool, std::uint64_t backend) { ++counts[{pool, backend}].issued; });
  counts_ = {counts.begin(), counts.end()};
  counted_ = true;
  counted_at_ = now.steady;
  cost_ = clock_.steady_now() - begin;
}

SessionCounter::Count SessionCounter::at(std::uint16_t pool, std::uint64_t backend) const {
  const auto it = counts_.find({pool, backend});
  return it == counts_.end() ? Count{} : it->second;
}

std::uint64_t SessionCounter::in_pool(std::uint16_t pool) const {
  std::uint64_t n = 0;
  for (auto it = counts_.lower_bound({pool, 0}); it != counts_.end() && it->first.first == pool; ++it)
    n += it->second.all();
  return n;
}

}  // namespace remora
