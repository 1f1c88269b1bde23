#include "server/restart_state.h"

#include <boost/json.hpp>
#include <map>

#include "util/text.h"

namespace remora {

namespace json = boost::json;

namespace {

std::string text_of(const json::object& o, const char* key) {
  const json::value* v = o.if_contains(key);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

std::uint64_t number_of(const json::object& o, const char* key) {
  const json::value* v = o.if_contains(key);
  if (v == nullptr) return 0;
  if (v->is_uint64()) return v->get_uint64();
  return v->is_int64() && v->get_int64() > 0 ? static_cast<std::uint64_t>(v->get_int64()) : 0;
}

void adopt_pool_numbers(const json::object& numbers, SnapshotBuilder& builder) {
  std::map<std::string, std::uint16_t> known;
  for (const auto& entry : numbers)
    if (entry.value().is_int64()) known[entry.key()] = static_cast<std::uint16_t>(entry.value().get_int64());
  builder.adopt_pool_numbers(std::move(known));
}

std::shared_ptr<Backend> adopt_backend(const json::object& backend, SnapshotBuilder& builder,
                                       BackendStatus& status) {
  const std::string pool = text_of(backend, "pool"), id = text_of(backend, "id");
  const std::uint64_t health = number_of(backend, "health");
  if (health <= 2) status.adopt_health(pool, id, static_cast<Health>(health));
  auto known = builder.backend_named(pool, id);
  known->note_generation(number_of(backend, "generation"));
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
  if (const json::value* numbers = state.if_contains("pool_numbers");
      numbers != nullptr && numbers->is_object())
    adopt_pool_numbers(numbers->get_object(), builder);
  if (const auto key = base64_decode(text_of(state, "index_key")); key && !key->empty())
    builder.adopt_index_key(*key);
  status.adopt_overrides(text_of(state, "wishes"));
  if (const json::value* found = state.if_contains("discovered")) discovery.adopt(*found);
  if (const json::value* list = state.if_contains("backends"); list != nullptr && list->is_array())
    for (const json::value& item : list->get_array())
      if (item.is_object()) adopted.push_back(adopt_backend(item.get_object(), builder, status));
  return adopted;
}

}  // namespace remora
