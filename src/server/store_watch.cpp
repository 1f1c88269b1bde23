#include "server/store_watch.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace remora {

void StoreWatch::heard(bool available, const std::string& error) {
  memory_.store.available = available;
  const State now = !available ? State::away : error.empty() ? State::fine : State::partly;
  // The reason (which node refuses what, say) may be known only after the store was found unreachable.
  constexpr std::chrono::seconds first_pause{1}, longest_pause{60};
  const Clock::Steady at = clock_.steady_now();
  const bool same = std::exchange(state_, now) == now;
  if (same && (error.empty() || error == error_ || at < silent_until_)) return;
  pause_ = same ? std::min(pause_ * 2, longest_pause) : first_pause;
  error_ = error;
  silent_until_ = at + pause_;
  if (now == State::away)
    spdlog::warn("store unreachable: {}; sessions continue without it, and writes wait until it is back",
                 error);
  else if (now == State::partly)
    spdlog::warn("part of the store is unreachable: {}", error);
  else
    spdlog::info("store reachable again");
  events_.emit("store", {{"available", available}, {"trouble", error}}, clock_.wall_now());
}

}  // namespace remora
