#include "server/discovery_state.h"

#include <boost/json/array.hpp>

#include "net/address.h"

namespace remora {

namespace json = boost::json;

namespace {

std::string text_of(const json::object& record, const char* key) {
  const json::value* v = record.if_contains(key);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

template <class Number>
Number number_of(const json::object& record, const char* key) {
  const json::value* v = record.if_contains(key);
  return v != nullptr && v->is_int64() ? static_cast<Number>(v->get_int64()) : Number{0};
}

}  // namespace

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
      if (!parse_ip(text_of(r, "ip"))) continue;
      records.push_back({text_of(r, "ip"), text_of(r, "target"), number_of<std::uint16_t>(r, "port"),
                         number_of<std::uint16_t>(r, "priority"), number_of<std::uint32_t>(r, "weight")});
    }
  }
  return out;
}

}  // namespace remora
