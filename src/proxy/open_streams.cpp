#include "proxy/open_streams.h"

#include <algorithm>
#include <utility>

#include "proxy/drain_times.h"

namespace remora {

OpenStreams::OpenStreams(unsigned worker) noexcept : shift_(spread_fraction(worker)) {}

const OpenStreams::Ending* OpenStreams::ending_of(const Backend& of) const noexcept {
  const auto it =
      std::find_if(endings_.begin(), endings_.end(), [&](const Ending& e) { return e.of == &of; });
  return it == endings_.end() ? nullptr : &*it;
}

void OpenStreams::add(OpenStream& stream, const Backend& of, Clock::Steady counts_from,
                      Clock::Steady now) noexcept {
  stream.leave();
  stream.of_ = &of;
  stream.counts_from_ = counts_from;
  stream.ends_at_ = Clock::Steady::max();
  // Its session could not move yet. It has the whole spread again, so that a client does not come back at
  // once.
  if (const Ending* const ending = ending_of(of))
    stream.ends_at_ =
        std::max(drain_time(now, ending->spread, 0, 1, spread_fraction(late_++)), stream.counts_from_);
  all_.push_back(stream);
}

void OpenStreams::begin(const Ending& ending, Clock::Steady now, List& changed) noexcept {
  const auto all = static_cast<std::size_t>(
      std::count_if(all_.begin(), all_.end(), [&](const OpenStream& s) { return s.of_ == ending.of; }));
  std::size_t nth = 0;
  for (auto it = all_.begin(); it != all_.end();) {
    OpenStream& stream = *it++;
    if (stream.of_ != ending.of) continue;
    stream.ends_at_ = std::max(drain_time(now, ending.spread, nth++, all, shift_), stream.counts_from_);
    stream.unlink();
    changed.push_back(stream);
  }
}

void OpenStreams::cancel(const Backend& of, List& changed) noexcept {
  for (auto it = all_.begin(); it != all_.end();) {
    OpenStream& stream = *it++;
    if (stream.of_ != &of) continue;
    stream.ends_at_ = Clock::Steady::max();
    stream.unlink();
    changed.push_back(stream);
  }
}

void OpenStreams::follow(std::vector<Ending> endings, std::span<const Backend* const> living,
                         Clock::Steady now) {
  if (endings == endings_) return;
  const std::vector<Ending> before = std::exchange(endings_, std::move(endings));
  List changed;
  for (const Ending& old : before)
    if (ending_of(*old.of) == nullptr && std::find(living.begin(), living.end(), old.of) != living.end())
      cancel(*old.of, changed);
  for (const Ending& ending : endings_)
    if (std::find(before.begin(), before.end(), ending) == before.end()) begin(ending, now, changed);
  while (!changed.empty()) {
    OpenStream& first = changed.front();
    first.unlink();
    all_.push_back(first);
    first.wake_.set(EventFlags::snapshot);
  }
}

}  // namespace remora
