// The last DNS answers as JSON, for the successor in a hot restart, which may find the name server silent.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <vector>

#include "server/watched_name.h"

namespace remora {

/// Contains the names that have been answered, by watch_key().
boost::json::object discovery_state(const WatchedNames& names);
/// Ignores members that it does not understand.
std::map<std::string, std::vector<DnsRecord>> parse_discovery_state(const boost::json::value& state);

}  // namespace remora
