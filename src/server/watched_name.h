// A name of the configuration that DNS is asked about: it stands for backends (`discovery`), or for the
// address of one (`follow`). Plain data of discovery and of the functions that turn it into a configuration.
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
  std::vector<std::string> ids;  // of the backends that follow it; empty: its addresses are backends
  config::Discovery rules;
  std::vector<DnsRecord> records;  // what is known, of both families
  DiscoveredSet set;               // what the pool makes of it, unless backends follow it
  Clock::Steady next{}, asked{};   // when it is asked again, and was last
  bool asking = false, answered = false;
  std::string error;  // of the last lookup; logged once
  bool follows() const noexcept { return !ids.empty(); }
};

/// By pool and entry; see watch_key().
using WatchedNames = std::map<std::string, WatchedName>;

inline bool is_watched(const config::Backend& entry) {
  return entry.discovery || entry.follow;
}

/// Names an entry of a pool across reloads and hot restarts. REQUIRES: is_watched(entry).
inline std::string watch_key(const std::string& pool, const config::Backend& entry) {
  if (entry.follow) return pool + "\nfollow " + entry.address.host;
  return pool + '\n' + (entry.discovery->srv ? "srv " + entry.address.host : entry.address.text());
}

}  // namespace remora
