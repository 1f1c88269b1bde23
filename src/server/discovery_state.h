// The last DNS answers as JSON, for the process that takes over in a hot restart: its name server may be
// silent.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <vector>

#include "server/watched_name.h"

namespace remora {

/// Of the names that have been answered, by watch_key().
boost::json::object discovery_state(const WatchedNames& names);
/// Ignores what it does not understand.
std::map<std::string, std::vector<DnsRecord>> parse_discovery_state(const boost::json::value& state);

}  // namespace remora
