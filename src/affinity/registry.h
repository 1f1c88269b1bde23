// The kinds of affinity in one explicit table, and a pool's kinds made from its settings.
#pragma once

#include <span>
#include <vector>

#include "remora/affinity_kind.h"

namespace remora {

std::span<const AffinityKind* const> affinity_kinds() noexcept;

/// The kinds of a pool, in the order in which they are tried; empty for `none`.
std::vector<std::shared_ptr<const Affinity>> make_affinity(const config::Pool& pool,
                                                           std::shared_ptr<const KeyRing> keys,
                                                           std::shared_ptr<const SessionNamer> namer);

}  // namespace remora
