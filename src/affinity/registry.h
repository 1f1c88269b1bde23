// kind -> maker, in one explicit table.
#pragma once

#include <vector>

#include "affinity/kinds.h"

namespace remora {

/// The kinds of a pool, in the order in which they are tried; empty for `none`.
std::vector<std::shared_ptr<const Affinity>> make_affinity(const config::Pool& pool,
                                                           std::shared_ptr<const KeyRing> keys,
                                                           std::shared_ptr<const SessionNamer> namer);

}  // namespace remora
