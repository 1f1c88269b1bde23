// Counters of the store and of the states in it; one object per process.
//
// Threading: any thread. Atomics are enough, because store operations are rare compared with requests.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace remora {

/// How a store operation ended.
enum class StoreOutcome : std::uint8_t { done, timeout, unavailable, refused, full, count_ };
/// What happened to a state that an app saved, or should get back.
enum class StateEvent : std::uint8_t {
  saved,
  outdated,   // a late response of a previous owner
  conflict,   // the app had not seen the latest version
  too_large,  // over max_bytes
  malformed,  // not base64, or given twice
  unsaved,    // could not be written to the store
  replayed,   // given to the session's new backend
  none,       // there was no state to give
  unavailable,
  unreadable,  // sealed by a key that is gone, or garbage
  count_
};
std::string_view to_string(StoreOutcome) noexcept;
std::string_view to_string(StateEvent) noexcept;

struct StoreCounts {
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(StoreOutcome::count_)> outcomes{};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(StateEvent::count_)> states{};
  std::atomic<bool> available{true};  // as last seen by the control thread
  std::atomic<std::uint64_t> lookups{0}, waiting{0}, written_late{0}, dropped{0};
  void count(StoreOutcome o) noexcept { add(outcomes[static_cast<std::size_t>(o)]); }
  void count(StateEvent e) noexcept { add(states[static_cast<std::size_t>(e)]); }
  static void add(std::atomic<std::uint64_t>& n) noexcept { n.fetch_add(1, std::memory_order_relaxed); }
};

}  // namespace remora
