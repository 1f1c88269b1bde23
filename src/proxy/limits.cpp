#include "proxy/limits.h"

#include <algorithm>
#include <cmath>

namespace remora {

ClientLimits::Entry& ClientLimits::entry(Shard& s, const Key& key, Clock::Steady now) {
  if (s.entries.size() >= most_per_shard && !s.entries.contains(key)) {
    // Full buckets without connections carry no memory worth keeping.
    const auto stale = now - std::chrono::seconds(60);
    boost::unordered::erase_if(
        s.entries, [&](const auto& e) { return e.second.connections == 0 && e.second.at < stale; });
    if (s.entries.size() >= most_per_shard)
      boost::unordered::erase_if(s.entries, [&](const auto& e) { return e.second.connections == 0; });
  }
  const auto [it, fresh] = s.entries.try_emplace(key);
  if (fresh && limits_.requests_per_second) it->second.tokens = burst();
  if (fresh) it->second.at = now;
  return it->second;
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
  if (it == s.entries.end()) return;
  if (--it->second.connections == 0 && !limits_.requests_per_second) s.entries.erase(it);
}

std::uint32_t ClientLimits::request(const ClientAddress& a, Clock::Steady now) {
  const Key key = key_of(a);
  Shard& s = shard(key);
  const std::lock_guard lock(s.mutex);
  if (!limits_.requests_per_second) return 0;
  Entry& e = entry(s, key, now);
  const double rate = *limits_.requests_per_second;
  e.tokens = std::min(burst(), e.tokens + rate * std::chrono::duration<double>(now - e.at).count());
  e.at = now;
  if (e.tokens >= 1) {
    e.tokens -= 1;
    return 0;
  }
  return static_cast<std::uint32_t>(std::ceil((1 - e.tokens) / rate));
}

}  // namespace remora
