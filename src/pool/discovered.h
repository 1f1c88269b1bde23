// The DNS results for one entry of a pool, over time. Pure: answers and `now` in, members out.
//
// An address that vanishes from the answer is not removed at once: its server may still hold sessions. It is
// kept for `hold` as vanished, and restored if it returns. A failed lookup changes nothing.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "net/resolver.h"
#include "remora/clock.h"

namespace remora {

class DiscoveredSet {
 public:
  struct Found {
    DnsRecord record;
    bool backup = false;                    // SRV: its priority is not the lowest
    std::optional<Clock::Steady> vanished;  // when it vanished from the answer
  };

  /// Applies an answer. True: a member was added, vanished or changed.
  bool update(std::vector<DnsRecord> records, Clock::Steady now) {
    const auto key = [](const DnsRecord& r) { return std::pair(r.ip, r.port); };
    std::sort(records.begin(), records.end(), [&](const auto& a, const auto& b) {
      return key(a) != key(b) ? key(a) < key(b) : a.priority < b.priority;
    });
    records.erase(std::unique(records.begin(), records.end(),
                              [&](const auto& a, const auto& b) { return key(a) == key(b); }),
                  records.end());
    std::uint16_t first = 0xffff;
    for (const DnsRecord& r : records) first = std::min(first, r.priority);
    bool changed = false;
    std::vector<Found> fresh;
    for (DnsRecord& r : records) fresh.push_back({std::move(r), false, std::nullopt});
    for (Found& f : fresh) f.backup = f.record.priority > first;
    for (const Found& old : found_) {
      const auto same = std::find_if(fresh.begin(), fresh.end(),
                                     [&](const Found& f) { return key(f.record) == key(old.record); });
      if (same == fresh.end()) {
        fresh.push_back(old);
        if (!old.vanished) {
          fresh.back().vanished = now;
          changed = true;
        }
      } else if (old.vanished || same->record != old.record || same->backup != old.backup) {
        changed = true;
      }
    }
    changed = changed || fresh.size() != found_.size();
    std::sort(fresh.begin(), fresh.end(),
              [&](const Found& a, const Found& b) { return key(a.record) < key(b.record); });
    found_ = std::move(fresh);
    return changed;
  }

  /// Removes addresses that vanished at least `hold` ago. True: some were removed.
  bool expire(std::chrono::milliseconds hold, Clock::Steady now) {
    return std::erase_if(found_, [&](const Found& f) { return f.vanished && now - *f.vanished >= hold; }) > 0;
  }
  /// Removes vanished addresses for which `dead(ip, port)` is true. True: some were removed.
  template <class Dead>
  bool drop_dead(Dead dead) {
    return std::erase_if(found_,
                         [&](const Found& f) { return f.vanished && dead(f.record.ip, f.record.port); }) > 0;
  }
  std::optional<Clock::Steady> next_expiry(std::chrono::milliseconds hold) const {
    std::optional<Clock::Steady> next;
    for (const Found& f : found_)
      if (f.vanished && (!next || *f.vanished + hold < *next)) next = *f.vanished + hold;
    return next;
  }
  const std::vector<Found>& found() const noexcept { return found_; }

 private:
  std::vector<Found> found_;  // sorted by address and port
};

}  // namespace remora
