#include "server/restart_state.h"

#include <boost/json.hpp>
#include <map>

#include "util/json_members.h"
#include "util/text.h"

namespace remora {

namespace json = boost::json;

namespace {

void adopt_pool_numbers(const json::object& numbers, SnapshotBuilder& builder) {
  std::map<std::string, std::uint16_t> known;
  for (const auto& entry : numbers)
    if (entry.value().is_int64()) known[entry.key()] = static_cast<std::uint16_t>(entry.value().get_int64());
  builder.adopt_pool_numbers(std::move(known));
}

std::shared_ptr<Backend> adopt_backend(const json::object& backend, SnapshotBuilder& builder,
                                       BackendStatus& status) {
  const std::string pool = json_text(backend, "pool"), id = json_text(backend, "id");
  const std::uint64_t health = json_number(backend, "health");
  if (health <= 2) status.adopt_health(pool, id, static_cast<Health>(health));
  auto known = builder.backend_named(pool, id);
  known->note_generation(json_number(backend, "generation"));
  return known;
}

}  // namespace

std::string restart_state(const SnapshotBuilder& builder, const BackendStatus& status,
                          const Discovery& discovery) {
  json::object numbers;
  for (const auto& [pool, number] : builder.pool_numbers()) numbers[pool] = number;
  json::array backends;
  for (const auto& pool : builder.last()->pools)
    for (const Member& m : pool->snapshot->members)
      backends.push_back(json::object{{"pool", pool->config.name},
                                      {"id", m.backend->id},
                                      {"health", static_cast<int>(status.health(*m.backend))},
                                      {"generation", m.backend->generation.load()}});
  // "wishes" is the name of the overrides in earlier versions.
  return json::serialize(json::object{{"pool_numbers", std::move(numbers)},
                                      {"backends", std::move(backends)},
                                      {"index_key", base64_encode(builder.index_key())},
                                      {"wishes", status.overrides_text()},
                                      {"discovered", discovery.state()}});
}

std::vector<std::shared_ptr<Backend>> adopt_restart_state(const std::string& text, SnapshotBuilder& builder,
                                                          BackendStatus& status, Discovery& discovery) {
  std::vector<std::shared_ptr<Backend>> adopted;
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  if (ec || !parsed.is_object()) return adopted;
  const json::object& state = parsed.get_object();
  adopt_pool_numbers(json_object(state, "pool_numbers"), builder);
  if (const auto key = base64_decode(json_text(state, "index_key")); key && !key->empty())
    builder.adopt_index_key(*key);
  status.adopt_overrides(json_text(state, "wishes"));
  if (const json::value* found = state.if_contains("discovered")) discovery.adopt(*found);
  for (const json::value& item : json_array(state, "backends"))
    if (item.is_object()) adopted.push_back(adopt_backend(item.get_object(), builder, status));
  return adopted;
}

}  // namespace remora
