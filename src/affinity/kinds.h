// What every affinity kind is made from, and one maker per kind. See README.md here for adding one.
#pragma once

#include <memory>

#include "remora/affinity.h"
#include "remora/config.h"

namespace remora {

class KeyRing;

struct AffinityInput {
  const config::Pool& pool;
  std::shared_ptr<const KeyRing> keys;
};

std::shared_ptr<const Affinity> make_cookie_affinity(const AffinityInput&);
std::shared_ptr<const Affinity> make_ip_hash_affinity(const AffinityInput&);

// Lifetimes, shared by every kind whose tokens carry a Binding. Pure.

/// Cause::none while the session lives. Skew between replicas' clocks of up to two minutes is tolerated.
Cause judge_lifetime(const Binding&, const config::Session&, Clock::Wall now) noexcept;
/// The stamp is older than a quarter of the idle timeout: time to send it again.
bool needs_refresh(const Binding&, const config::Session&, Clock::Wall now) noexcept;

}  // namespace remora
