// Prefetch hints: load several cache lines at once so that their misses overlap.
//
// Worthwhile where each request uses other objects than the last ones did. With 500 backends, a backend, its
// idle connection and its stream have left the caches by the time their turn comes again; loaded pointer by
// pointer, each costs a wait of 100 ns and more on a busy machine.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remora {

constexpr std::size_t cache_line = 64;

/// `p` may be any value, even null: it is not dereferenced.
inline void prefetch_line(const void* p) noexcept {
  __builtin_prefetch(p);
}

/// All cache lines of an object; `p` may be null.
template <class T>
void prefetch_whole(const T* p) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(p);
  for (std::size_t at = 0; at < sizeof(T); at += cache_line)
    prefetch_line(reinterpret_cast<const void*>(begin + at));
}

}  // namespace remora
