// kind -> maker, in one explicit table.
#pragma once

#include "affinity/kinds.h"

namespace remora {

/// nullptr for `none`.
std::shared_ptr<const Affinity> make_affinity(const AffinityInput&);

}  // namespace remora
