#include "server/housekeeping.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace remora {

namespace {
constexpr std::chrono::seconds interval{1}, sweep_every{60}, tell_every{30};
}  // namespace

Housekeeping::Housekeeping(const Clock& clock, Sessions sessions, std::unique_ptr<Alarm> alarm, Tasks tasks)
    : clock_(clock), sessions_(sessions), alarm_(std::move(alarm)), tasks_(std::move(tasks)) {}

void Housekeeping::run() {
  const Clock::Steady at = clock_.steady_now();
  alarm_->set(at + interval, [this] { run(); });  // first, because the rest may run out of memory
  if (stumbled_) {
    tasks_.recover();
    stumbled_ = false;
  }
  if (at - swept_at_ >= sweep_every) {
    swept_at_ = at;
    sessions_.memory.sweep({at, clock_.wall_now()});
  }
  if (at - told_at_ >= tell_every) warn_of_losses();
  tasks_.every_second();
}

void Housekeeping::warn_of_losses() {
  const std::uint64_t evicted = sessions_.memory.evicted(), unknown = tasks_.unknown_keys();
  if (evicted > evictions_told_)
    spdlog::warn("the session table is full: {} sessions were evicted; raise store.capacity ({})",
                 evicted - evictions_told_, sessions_.capacity);
  if (unknown > unknown_keys_told_)
    spdlog::warn(
        "{} tokens were sealed with a key that is not in `keys`: was a key removed before max_lifetime was "
        "over, or does a replica have others?",
        unknown - unknown_keys_told_);
  if (evicted > evictions_told_ || unknown > unknown_keys_told_) told_at_ = clock_.steady_now();
  evictions_told_ = evicted;
  unknown_keys_told_ = unknown;
}

}  // namespace remora
