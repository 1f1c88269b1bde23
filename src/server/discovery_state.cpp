#include "server/discovery_state.h"

#include <boost/json/array.hpp>

#include "net/address.h"
#include "util/json_members.h"

namespace remora {

namespace json = boost::json;

json::object discovery_state(const WatchedNames& names) {
  json::object out;
  for (const auto& [key, watched] : names) {
    if (!watched.answered) continue;
    json::array list;
    for (const DnsRecord& r : watched.records)
      list.push_back(json::object{{"ip", r.ip},
                                  {"target", r.target},
                                  {"port", r.port},
                                  {"priority", r.priority},
                                  {"weight", r.weight}});
    out[key] = std::move(list);
  }
  return out;
}

std::map<std::string, std::vector<DnsRecord>> parse_discovery_state(const json::value& state) {
  std::map<std::string, std::vector<DnsRecord>> out;
  if (!state.is_object()) return out;
  for (const auto& entry : state.get_object()) {
    if (!entry.value().is_array()) continue;
    std::vector<DnsRecord>& records = out[entry.key()];
    for (const json::value& item : entry.value().get_array()) {
      if (!item.is_object()) continue;
      const json::object& r = item.get_object();
      if (!parse_ip(json_text(r, "ip"))) continue;
      records.push_back({json_text(r, "ip"), json_text(r, "target"), json_number<std::uint16_t>(r, "port"),
                         json_number<std::uint16_t>(r, "priority"), json_number<std::uint32_t>(r, "weight")});
    }
  }
  return out;
}

}  // namespace remora
