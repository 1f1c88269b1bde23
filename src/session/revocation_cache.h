// The store's last replies about claims that may be revoked, for as long as a copy is trusted. Bounded:
// cleared when full; long values are stored as their hash. Threading: one per worker.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <optional>
#include <string>

#include "remora/clock.h"
#include "session/revocation.h"

namespace remora {

class RevocationCache {
 public:
  void trust_for(std::chrono::milliseconds ttl) noexcept { ttl_ = ttl; }
  std::optional<bool> find(const std::string& value, Clock::Steady now) const {
    const auto at = is_short(value) ? entries_.find(value) : entries_.find(hashed_revocation_of(value));
    if (at == entries_.end() || at->second.until <= now) return std::nullopt;
    return at->second.revoked;
  }
  void put(const std::string& value, bool revoked, Clock::Steady now) {
    if (entries_.size() >= most) entries_.clear();
    entries_[is_short(value) ? value : hashed_revocation_of(value)] = {revoked, now + ttl_};
  }

 private:
  static constexpr std::size_t most = 10000, max_bytes = 200;
  static bool is_short(const std::string& value) noexcept {
    return value.size() <= max_bytes && !value.starts_with(hashed_revocation);
  }
  struct Entry {
    bool revoked = false;
    Clock::Steady until;
  };
  boost::unordered_flat_map<std::string, Entry> entries_;
  std::chrono::milliseconds ttl_{2000};
};

}  // namespace remora
