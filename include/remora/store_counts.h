// What is counted about the store and the states in it; one for the process.
//
// Threading: any thread. Atomics, because store operations are rare beside requests.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace remora {

/// How an operation on the store ended.
enum class StoreOutcome : std::uint8_t { done, timeout, unavailable, refused, full, count_ };
/// What became of what an app wanted kept, or given back.
enum class StateEvent : std::uint8_t {
  saved,
  outdated,   // a late answer of a previous owner
  conflict,   // the app had not seen the latest version
  too_large,  // over max_bytes
  malformed,  // no base64, or said twice
  unsaved,    // the store could not be told
  replayed,   // given to the session's new backend
  none,       // there was none to give
  unavailable,
  unreadable,  // of a key that is gone, or garbage
  count_
};
std::string_view to_string(StoreOutcome) noexcept;
std::string_view to_string(StateEvent) noexcept;

struct StoreCounts {
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(StoreOutcome::count_)> outcomes{};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(StateEvent::count_)> states{};
  std::atomic<bool> available{true};  // as the control thread last heard
  std::atomic<std::uint64_t> lookups{0}, waiting{0}, written_late{0}, dropped{0};
  void count(StoreOutcome o) noexcept { add(outcomes[static_cast<std::size_t>(o)]); }
  void count(StateEvent e) noexcept { add(states[static_cast<std::size_t>(e)]); }
  static void add(std::atomic<std::uint64_t>& n) noexcept { n.fetch_add(1, std::memory_order_relaxed); }
};

}  // namespace remora
