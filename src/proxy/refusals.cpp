#include "proxy/refusals.h"

#include <spdlog/spdlog.h>

#include <iterator>

namespace remora {

std::string_view to_string(Refusal r) noexcept {
  constexpr std::string_view names[] = {"connections", "requests", "new_sessions", "proxy_line",
                                        "handshake",   "head",     "flood"};
  static_assert(std::size(names) == static_cast<std::size_t>(Refusal::count_));
  return names[static_cast<std::size_t>(r)];
}

void RefusalCounts::note(Refusal what, std::string_view listener, const ClientAddress& client,
                         std::string_view why) {
  counts_[static_cast<std::size_t>(what)].fetch_add(1, std::memory_order_relaxed);
  if (spdlog::should_log(spdlog::level::debug))
    spdlog::debug("listener {}: refused {}: {}: {}", listener, client.text(), to_string(what), why);
}

}  // namespace remora
