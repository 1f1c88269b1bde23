// A DNS name in the configuration. It stands for backends (`discovery`), or for the address of one
// (`follow`). Plain data for discovery and for the functions that turn it into a configuration.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "pool/discovered.h"
#include "remora/clock.h"
#include "remora/config.h"

namespace remora {

struct WatchedName {
  std::string pool, name;
  std::vector<std::string> ids;  // backends that follow it; empty: each address is a backend
  config::Discovery rules;
  std::vector<DnsRecord> records;  // known records of both families
  DiscoveredSet set;               // the resulting backends, unless backends follow the name
  Clock::Steady next{}, asked{};   // time of the next lookup, and of the last one
  bool asking = false, answered = false;
  std::string error;  // of the last lookup; logged once
  bool follows() const noexcept { return !ids.empty(); }
};

/// Keyed by pool and entry, see watch_key().
using WatchedNames = std::map<std::string, WatchedName>;

inline bool is_watched(const config::Backend& entry) {
  return entry.discovery || entry.follow;
}

/// Identifies a pool's entry across reloads and hot restarts. REQUIRES: is_watched(entry).
inline std::string watch_key(const std::string& pool, const config::Backend& entry) {
  if (entry.follow) return pool + "\nfollow " + entry.address.host;
  return pool + '\n' + (entry.discovery->srv ? "srv " + entry.address.host : entry.address.text());
}

}  // namespace remora
