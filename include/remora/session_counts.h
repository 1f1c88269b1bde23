// Counters of sessions: by reason, by cause, per pool.
//
// Threading: one SessionCounts per pool and worker, written by that worker alone and summed when read.
#pragma once

#include <array>
#include <cstdint>

#include "remora/affinity.h"
#include "remora/counter.h"

namespace remora {

/// What happened to sessions, beyond their requests.
enum class SessionEvent : std::uint8_t {
  bound,
  replaced,
  cleared,
  ended,
  renewed,
  lost,
  misdirected,  // the app named a backend that cannot take the session
  count_
};
std::string_view to_string(SessionEvent) noexcept;

struct alignas(64) SessionCounts {
  std::array<Counter, static_cast<std::size_t>(Reason::count_)> requests;  // by reason
  std::array<Counter, static_cast<std::size_t>(Cause::count_)> refused;    // by cause
  std::array<Counter, static_cast<std::size_t>(SessionEvent::count_)> events;
  void count(Reason r) noexcept { requests[static_cast<std::size_t>(r)].add(); }
  void count(Cause c) noexcept { refused[static_cast<std::size_t>(c)].add(); }
  void count(SessionEvent e) noexcept { events[static_cast<std::size_t>(e)].add(); }
};

}  // namespace remora
