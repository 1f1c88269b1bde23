#include "remora/affinity.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <iterator>

namespace remora {

std::uint64_t SessionId::hash() const noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t SessionKey::hash() const noexcept {
  std::uint64_t h;  // a MAC, so its first bytes are as good as any hash of it
  std::memcpy(&h, mac.data(), sizeof h);
  return h;
}

std::string_view to_string(Reason r) noexcept {
  constexpr std::string_view names[] = {"none",    "new",     "sticky",   "failover",  "drain",  "maint",
                                        "expired", "restart", "overload", "rebalance", "removed"};
  static_assert(std::size(names) == static_cast<std::size_t>(Reason::count_));
  return names[static_cast<std::size_t>(r)];
}

std::string_view to_string(Cause c) noexcept {
  constexpr std::string_view names[] = {"none",   "absent", "malformed", "unknown_key", "forged",
                                        "future", "idle",   "too_old",   "ended",       "unbound"};
  static_assert(std::size(names) == static_cast<std::size_t>(Cause::count_));
  return names[static_cast<std::size_t>(c)];
}

Cause judge_lifetime(const Binding& b, const config::Session& session, Clock::Wall now) noexcept {
  constexpr auto skew = std::chrono::minutes(2);
  if (b.created > now + skew || b.last_seen > now + skew) return Cause::future;
  if (now - b.created >= session.max_lifetime) return Cause::too_old;
  // The stamp lags by up to a quarter of the timeout, so no session ends before its timeout.
  if (session.idle_timeout && now - b.last_seen >= *session.idle_timeout * 5 / 4) return Cause::idle;
  return Cause::none;
}

bool needs_refresh(const Binding& b, const config::Session& session, Clock::Wall now) noexcept {
  return session.idle_timeout && now - b.last_seen >= *session.idle_timeout / 4;
}

}  // namespace remora
