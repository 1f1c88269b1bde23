#include "session/tally.h"

#include <new>

namespace remora {

std::shared_ptr<SessionGauge> SessionTally::gauge(std::uint16_t pool, std::uint64_t backend) {
  Part& part = part_of(backend);
  const std::lock_guard lock(part.mutex);
  const auto known = part.gauges.find({pool, backend});
  if (known != part.gauges.end()) return known->second;
  // Backends that are gone leave nothing behind: discovered ones come and go for years.
  std::erase_if(part.gauges, [](const auto& entry) {
    return entry.second.use_count() == 1 && entry.second->sessions() == 0;
  });
  return part.gauges[{pool, backend}] = std::make_shared<SessionGauge>();
}

void SessionTally::entered(std::uint16_t pool, std::uint64_t backend) noexcept {
  try {
    gauge(pool, backend)->add();
  } catch (const std::bad_alloc&) {
  }
}

void SessionTally::left(std::uint16_t pool, std::uint64_t backend) noexcept {
  Part& part = part_of(backend);
  const std::lock_guard lock(part.mutex);
  const auto known = part.gauges.find({pool, backend});
  if (known != part.gauges.end()) known->second->remove();
}

}  // namespace remora
