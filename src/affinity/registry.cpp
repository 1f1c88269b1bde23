#include "affinity/registry.h"

#include <iterator>

namespace remora {

namespace {
using Kind = config::AffinityKind;
struct Entry {
  Kind kind;
  std::shared_ptr<const Affinity> (*make)(const AffinityInput&);
};
constexpr Entry table[] = {
    {Kind::cookie, make_cookie_affinity},
    {Kind::ip_hash, make_ip_hash_affinity},
};
}  // namespace

std::shared_ptr<const Affinity> make_affinity(const AffinityInput& in) {
  for (const Entry& entry : table)
    if (entry.kind == in.pool.affinity.kind) return entry.make(in);
  return nullptr;
}

// Names ---------------------------------------------------------------------------------------------

std::string_view to_string(Reason r) noexcept {
  constexpr std::string_view names[] = {"none",  "new",     "sticky",  "failover", "drain",
                                        "maint", "expired", "restart", "overload", "removed"};
  return names[static_cast<std::size_t>(r)];
}

std::string_view to_string(Cause c) noexcept {
  constexpr std::string_view names[] = {"none",   "absent", "malformed", "unknown_key",
                                        "forged", "future", "idle",      "too_old"};
  static_assert(std::size(names) == static_cast<std::size_t>(Cause::count_));
  return names[static_cast<std::size_t>(c)];
}

// Lifetimes -----------------------------------------------------------------------------------------

Cause judge_lifetime(const Binding& b, const config::Session& session, Clock::Wall now) noexcept {
  constexpr auto skew = std::chrono::minutes(2);
  if (b.created > now + skew || b.last_seen > now + skew) return Cause::future;
  if (now - b.created >= session.max_lifetime) return Cause::too_old;
  // The stamp lags by up to a quarter, so a session never ends before its timeout.
  if (session.idle_timeout && now - b.last_seen >= *session.idle_timeout * 5 / 4) return Cause::idle;
  return Cause::none;
}

bool needs_refresh(const Binding& b, const config::Session& session, Clock::Wall now) noexcept {
  return session.idle_timeout && now - b.last_seen >= *session.idle_timeout / 4;
}

}  // namespace remora
