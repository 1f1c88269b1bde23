#include "proxy/limits.h"

#include <algorithm>
#include <cmath>

namespace remora {

void ClientLimits::Bucket::refill(double rate, Clock::Steady now) noexcept {
  if (now <= at) return;  // workers read their clocks at different moments
  spent = std::max(0.0, spent - rate * std::chrono::duration<double>(now - at).count());
  at = now;
}

std::uint32_t ClientLimits::Bucket::take(double rate, double burst, Clock::Steady now) noexcept {
  refill(rate, now);
  if (spent + 1 <= burst) {
    spent += 1;
    return 0;
  }
  // A reload may have lowered `burst` far below what was spent.
  return static_cast<std::uint32_t>(std::ceil(std::min((spent + 1 - burst) / rate, 1e6)));
}

bool ClientLimits::says_nothing(Entry& e, Clock::Steady now) const noexcept {
  if (e.connections > 0) return false;
  const auto full = [&](const std::optional<double>& rate, Bucket& bucket) {
    if (!rate) return true;
    bucket.refill(*rate, now);
    return bucket.spent <= 0;
  };
  return full(limits_.requests_per_second, e.requests) && full(limits_.new_sessions_per_second, e.sessions);
}

ClientLimits::Entry& ClientLimits::entry(Shard& s, const Key& key, Clock::Steady now) {
  // A full table is swept at most this often, because a sweep may free nothing.
  constexpr auto between_sweeps = std::chrono::milliseconds(500);
  const auto known = s.entries.find(key);
  if (known != s.entries.end()) return known->second;
  if (s.entries.size() >= max_per_shard && (s.swept == Clock::Steady{} || now - s.swept >= between_sweeps)) {
    s.swept = now;
    boost::unordered::erase_if(s.entries, [&](auto& e) { return says_nothing(e.second, now); });
  }
  return s.entries.size() < max_per_shard ? s.entries[key] : s.shared;
}

std::size_t ClientLimits::size() {
  std::size_t n = 0;
  for (Shard& s : shards_) {
    const std::lock_guard lock(s.mutex);
    n += s.entries.size();
  }
  return n;
}

void ClientLimits::set(const config::PerClient& limits) {
  std::array<std::unique_lock<std::mutex>, shard_count> all;
  for (std::size_t i = 0; i < shard_count; ++i) all[i] = std::unique_lock(shards_[i].mutex);
  limits_ = limits;
}

bool ClientLimits::connected(const ClientAddress& a, Clock::Steady now) {
  const Key key = key_of(a);
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  Entry& e = entry(s, key, now);
  if (limits_.connections && e.connections >= *limits_.connections) return false;
  ++e.connections;
  return true;
}

void ClientLimits::disconnected(const ClientAddress& a) {
  const Key key = key_of(a);
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const auto it = s.entries.find(key);
  if (it == s.entries.end() || it->second.connections == 0) {  // it was counted in the shared entry
    if (s.shared.connections > 0) --s.shared.connections;
    return;
  }
  const bool rates = limits_.requests_per_second || limits_.new_sessions_per_second;
  if (--it->second.connections == 0 && !rates) s.entries.erase(it);
}

std::uint32_t ClientLimits::take(const ClientAddress& a, Clock::Steady now,
                                 std::optional<double> config::PerClient::* rate, Bucket Entry::* bucket) {
  const Key key = key_of(a);
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  const std::optional<double>& per_second = limits_.*rate;
  if (!per_second) return 0;
  const double burst = limits_.burst ? *limits_.burst : std::max(1.0, *per_second);
  return (entry(s, key, now).*bucket).take(*per_second, burst, now);
}

std::uint32_t ClientLimits::request(const ClientAddress& a, Clock::Steady now) {
  return take(a, now, &config::PerClient::requests_per_second, &Entry::requests);
}

std::uint32_t ClientLimits::new_session(const ClientAddress& a, Clock::Steady now) {
  return take(a, now, &config::PerClient::new_sessions_per_second, &Entry::sessions);
}

}  // namespace remora
