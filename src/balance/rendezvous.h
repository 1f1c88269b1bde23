// Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by logarithms): each key has its own
// order of preference over the members, and adding or removing one of n moves only about 1/n of the keys.
#pragma once

#include <cstdint>

#include "remora/pool_snapshot.h"

namespace remora {

/// The key's first choice among members that accept new sessions and are not in `tried`; backups only
/// when no ordinary member is left. nullptr: none.
const Member* rendezvous(std::uint64_t key, const PoolSnapshot& pool, const Tried& tried) noexcept;

}  // namespace remora
