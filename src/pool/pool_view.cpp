#include "pool/pool_view.h"

#include <algorithm>

namespace remora {

bool within_budget(std::uint32_t retries, std::uint32_t requests, double share) noexcept {
  return retries < std::max<std::uint32_t>(3, static_cast<std::uint32_t>(share * requests));
}

}  // namespace remora
