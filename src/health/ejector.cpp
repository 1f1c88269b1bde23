#include "health/ejector.h"

#include <algorithm>

namespace remora {

std::optional<std::chrono::milliseconds> Ejector::report(const std::shared_ptr<Backend>& backend, Ejected how,
                                                         const config::Eject& rules, std::size_t members,
                                                         Clock::Steady now) {
  const auto ejected =
      static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), [&](const auto& e) {
        return e.second.how != Ejected::no && e.second.backend->pool == backend->pool &&
               e.first != backend.get();
      }));
  if (static_cast<double>(ejected + 1) > rules.max_share * static_cast<double>(members)) return std::nullopt;
  Entry& e = entries_[backend.get()];
  if (e.how != Ejected::no) {
    e.how = std::max(e.how, how);  // may escalate from new_sessions to all; the end time stays
    return std::nullopt;
  }
  constexpr auto longest = std::chrono::minutes(5);
  const bool again = e.last.count() > 0 && now - e.until <= e.last;
  e.last = again ? std::min<std::chrono::milliseconds>(
                       e.last * 2, std::max<std::chrono::milliseconds>(longest, rules.length))
                 : rules.length;
  e.backend = backend;
  e.how = how;
  e.until = now + e.last;
  return e.last;
}

Ejected Ejector::state(const Backend& backend) const {
  const auto it = entries_.find(&backend);
  return it == entries_.end() ? Ejected::no : it->second.how;
}

std::vector<std::shared_ptr<Backend>> Ejector::expire(Clock::Steady now) {
  std::vector<std::shared_ptr<Backend>> back;
  for (auto& [key, e] : entries_) {
    if (e.how == Ejected::no || e.until > now) continue;
    e.how = Ejected::no;
    back.push_back(e.backend);
  }
  return back;
}

std::optional<Clock::Steady> Ejector::next_end() const {
  std::optional<Clock::Steady> next;
  for (const auto& [key, e] : entries_)
    if (e.how != Ejected::no && (!next || e.until < *next)) next = e.until;
  return next;
}

}  // namespace remora
