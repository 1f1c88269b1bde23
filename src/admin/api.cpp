#include "admin/api.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "admin/one_session.h"
#include "net/address.h"
#include "proxy/explain.h"
#include "util/json_members.h"
#include "util/text.h"
#include "util/units.h"
#include "util/utc_text.h"

namespace remora {

namespace json = boost::json;
using std::chrono::milliseconds;

std::optional<config::AdminState> parse_admin_state(std::string_view text) noexcept {
  using enum config::AdminState;
  for (const auto wanted : {ready, drain, maint})
    if (text == to_string(wanted)) return wanted;
  return std::nullopt;
}

std::string time_text(Clock::Wall t) {
  const auto ms = std::chrono::duration_cast<milliseconds>(t.time_since_epoch()).count();
  std::string out;
  format_utc(out, ms / 1000, "%Y-%m-%dT%H:%M:%S");
  const std::string fraction = std::to_string(1000 + ms % 1000);
  return out.append(".").append(fraction, 1, 3).append("Z");
}

namespace {

std::string printable(std::string_view text) {
  std::string out(text.substr(0, 300));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  return out;
}

ApiAnswer say(const json::value& value, unsigned status = 200) {
  ApiAnswer answer;
  answer.status = status;
  answer.body = json::serialize(value) + "\n";
  return answer;
}

ApiAnswer wrong_method(std::string_view allowed) {
  ApiAnswer answer = refuse(405, "only " + std::string(allowed) + " here");
  answer.allow = allowed;
  return answer;
}

std::string_view word(Ejected e) noexcept {
  return e == Ejected::all ? "all" : e == Ejected::new_sessions ? "new_sessions" : "no";
}

/// Clients may hold tokens and ids that this instance has not seen yet. Counts are complete once every
/// session that began before the start has either been seen or expired.
bool counts_are_complete(const PoolView& pool, AdminActions& actions) {
  if (pool.affinity.empty()) return true;
  const config::Session& s = pool.config.session;
  const auto horizon =
      s.idle_timeout ? std::min<milliseconds>(*s.idle_timeout * 5 / 4, s.max_lifetime) : s.max_lifetime;
  return actions.now().steady - actions.started() >= horizon;
}

json::object describe_pool(const PoolView& pool, AdminActions& actions) {
  json::object out{{"name", pool.config.name}};
  json::array kinds;
  for (const auto& kind : pool.affinity) kinds.emplace_back(kind->name());
  out["affinity"] = std::move(kinds);
  out["sessions"] = actions.session_counter().in_pool(pool.number);
  json::object reasons;
  for (std::size_t i = 0; i < static_cast<std::size_t>(Reason::count_); ++i) {
    std::uint64_t n = 0;
    for (const SessionCounts& c : pool.counters->sessions) n += c.requests[i].value();
    reasons[to_string(static_cast<Reason>(i))] = n;
  }
  out["requests_by_reason"] = std::move(reasons);
  json::array backends;
  for (std::size_t i = 0; i < pool.snapshot->members.size(); ++i)
    backends.push_back(describe_backend(pool, i, actions));
  out["backends"] = std::move(backends);
  return out;
}

json::object describe_all(AdminActions& actions) {
  json::array pools;
  for (const auto& pool : actions.snapshot().pools) pools.push_back(describe_pool(*pool, actions));
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(actions.now().steady - actions.started());
  return {{"ready", actions.ready()},
          {"at", time_text(actions.now().wall)},
          {"uptime_seconds", up.count()},
          {"config_hash", actions.config().hash},
          {"read_only", actions.config().admin.read_only},
          {"pools", std::move(pools)}};
}

ApiAnswer sessions(AdminActions& actions) {
  json::array pools;
  for (const auto& pool : actions.snapshot().pools) {
    json::array backends;
    for (const Member& m : pool->snapshot->members) {
      const auto count = actions.session_counter().at(pool->number, m.backend->hash);
      backends.push_back(
          json::object{{"id", m.backend->id}, {"learned", count.learned}, {"issued", count.issued}});
    }
    pools.push_back(json::object{{"name", pool->config.name},
                                 {"sessions", actions.session_counter().in_pool(pool->number)},
                                 {"complete", counts_are_complete(*pool, actions)},
                                 {"backends", std::move(backends)}});
  }
  json::array moves;
  for (const RecentMove& m : actions.memory().recent.list())
    moves.push_back(json::object{{"at", time_text(m.when)},
                                 {"pool", m.pool},
                                 {"from", m.from},
                                 {"to", m.to},
                                 {"reason", to_string(m.reason)}});
  SessionMemory& memory = actions.memory();
  return say(json::object{{"pools", std::move(pools)},
                          {"moves", std::move(moves)},
                          {"tables", json::object{{"learned", memory.learned.size()},
                                                  {"moves", memory.moves.size()},
                                                  {"active", memory.active.size()},
                                                  {"evicted", memory.evicted()}}}});
}

/// `wanted`: POOL/BACKEND, percent-encoded.
ApiAnswer sessions_of(std::string_view wanted, AdminActions& actions) {
  constexpr std::size_t most = 1000;
  const std::string name = percent_decoded(wanted);
  const std::size_t slash = name.find('/');
  for (const auto& pool : actions.snapshot().pools) {
    if (slash == std::string::npos || pool->config.name != name.substr(0, slash)) continue;
    for (const Member& m : pool->snapshot->members) {
      if (m.backend->id != name.substr(slash + 1)) continue;
      const SessionsAt found = sessions_at(*pool, m.backend->hash, most, actions);
      json::array ids;
      for (const SessionId& id : found.ids) ids.emplace_back(session_id_text(id));
      return say(json::object{{"backend", name}, {"sessions", std::move(ids)}, {"more", found.more}});
    }
  }
  return refuse(404, "there is no backend '" + printable(name) + "'; POOL/BACKEND");
}

/// Reads a body that is a JSON object with only the `known` keys. Returns the error response if it is not.
std::optional<ApiAnswer> read_object(const ApiRequest& request, std::initializer_list<std::string_view> known,
                                     json::object& out) {
  std::string_view type = request.content_type;
  type = trim(type.substr(0, type.find(';')));
  // Another site's page can post forms, but not this content type (CSRF).
  if (!iequals(type, "application/json")) return refuse(415, "Content-Type must be application/json");
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = 8;
  const std::string_view body =
      request.body.empty() ? std::string_view("{}") : std::string_view(request.body);
  json::value value = json::parse(body, ec, {}, options);
  if (ec) return refuse(400, "the body is no JSON: " + ec.message());
  if (!value.is_object()) return refuse(400, "the body must be a JSON object");
  out = std::move(value.get_object());
  for (const auto& entry : out)
    if (std::find(known.begin(), known.end(), std::string_view(entry.key())) == known.end())
      return refuse(400, "unknown key '" + printable(entry.key()) + "'");
  return std::nullopt;
}

std::string names(const Snapshot& snapshot) {
  std::string out;
  for (const auto& pool : snapshot.pools) out.append(out.empty() ? "" : ", ").append(pool->config.name);
  return out;
}

ApiAnswer change_backend(const ApiRequest& request, const std::string& pool, const std::string& backend,
                         AdminActions& actions) {
  if (actions.config().admin.read_only) return refuse(403, "this admin API is read-only (admin.read_only)");
  json::object body;
  if (auto wrong = read_object(request, {"admin", "deadline"}, body)) return *wrong;
  const auto wanted = parse_admin_state(json_text(body, "admin"));
  if (!wanted) return refuse(400, "needs \"admin\": \"ready\", \"drain\" or \"maint\"");
  std::optional<milliseconds> deadline;
  if (body.contains("deadline")) {
    const auto text = json_member<std::string>(body, "deadline");
    deadline = text ? parse_duration(*text) : std::nullopt;
    if (!deadline) return refuse(400, "\"deadline\" must be a duration as text: \"30m\", \"90s\"");
    if (*wanted != config::AdminState::drain) return refuse(400, "only a drain has a deadline");
  }
  const std::string why = actions.set_admin(pool, backend, *wanted, deadline);
  if (!why.empty()) return refuse(503, why);
  return ApiAnswer{};  // the caller describes the updated backend
}

ApiAnswer pools(const ApiRequest& request, std::vector<std::string_view> parts, AdminActions& actions) {
  const Snapshot& snapshot = actions.snapshot();
  if (parts.empty()) return request.method == "GET" ? say(describe_all(actions)) : wrong_method("GET");
  const std::string name = percent_decoded(parts[0]);
  const auto find_pool = [&](const Snapshot& s) {
    const auto it =
        std::find_if(s.pools.begin(), s.pools.end(), [&](const auto& p) { return p->config.name == name; });
    return it == s.pools.end() ? nullptr : it->get();
  };
  const PoolView* pool = find_pool(snapshot);
  if (pool == nullptr)
    return refuse(404, "there is no pool '" + printable(name) + "'; pools: " + names(snapshot));
  if (parts.size() == 1)
    return request.method == "GET" ? say(describe_pool(*pool, actions)) : wrong_method("GET");
  if (parts.size() != 3 || parts[1] != "backends")
    return refuse(404, "there is /api/v1/pools/POOL/backends/BACKEND");
  const std::string id = percent_decoded(parts[2]);
  const auto index_in = [&](const PoolView& p) {
    const auto& members = p.snapshot->members;
    return static_cast<std::size_t>(
        std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.backend->id == id; }) -
        members.begin());
  };
  if (index_in(*pool) == pool->snapshot->members.size()) {
    std::string all;
    for (const Member& m : pool->snapshot->members) {
      if (all.size() > 200) {
        all += ", ...";
        break;
      }
      all.append(all.empty() ? "" : ", ").append(m.backend->id);
    }
    return refuse(404, "pool " + name + " has no backend '" + printable(id) + "'; it has: " + all);
  }
  if (request.method == "PATCH") {
    const ApiAnswer changed = change_backend(request, name, id, actions);
    if (changed.status != 200) return changed;
    pool = find_pool(actions.snapshot());  // from the new snapshot
  } else if (request.method != "GET") {
    return wrong_method("GET, PATCH");
  }
  return say(describe_backend(*pool, index_in(*pool), actions));
}

ApiAnswer explain_one(const ApiRequest& request, AdminActions& actions) {
  json::object body;
  if (auto wrong = read_object(request, {"method", "target", "headers", "client", "secure"}, body))
    return *wrong;
  ExplainRequest in;
  in.method = json_member<std::string>(body, "method").value_or("GET");
  in.target = json_member<std::string>(body, "target").value_or("/");
  if (const auto secure = json_member<bool>(body, "secure")) in.secure = *secure;
  if (const auto client = json_member<std::string>(body, "client")) {
    const auto address = parse_ip(*client);
    if (!address) return refuse(400, "\"client\" must be an IP address");
    in.client = *address;
  }
  if (const json::value* headers = body.if_contains("headers")) {
    if (!headers->is_object()) return refuse(400, "\"headers\" must be an object of name: value");
    for (const auto& entry : headers->get_object()) {
      if (!entry.value().is_string()) return refuse(400, "the value of a header must be text");
      in.fields.emplace_back(std::string(entry.key()), std::string(entry.value().get_string()));
    }
  }
  const Explanation e = explain(actions.snapshot(), in, actions.memory(), actions.scratch(), actions.now());
  json::array steps;
  for (const std::string& step : e.steps) steps.emplace_back(printable(step));
  json::object out{{"steps", std::move(steps)},   {"pool", e.pool},
                   {"backend", e.backend},        {"reason", to_string(e.reason)},
                   {"cause", to_string(e.cause)}, {"epoch", e.epoch}};
  out["status"] = e.status == 0 ? json::value(nullptr) : json::value(e.status);
  return say(out);
}

ApiAnswer reload(const ApiRequest& request, AdminActions& actions) {
  if (actions.config().admin.read_only) return refuse(403, "this admin API is read-only (admin.read_only)");
  json::object body;
  if (auto wrong = read_object(request, {}, body)) return *wrong;
  const auto errors = actions.reload();
  if (errors.empty()) return say(json::object{{"reloaded", true}, {"config_hash", actions.config().hash}});
  json::array lines;
  for (const std::string& line : errors) lines.emplace_back(printable(line));
  return say(
      json::object{{"error", "the file was refused; nothing was changed"}, {"errors", std::move(lines)}},
      422);
}

ApiAnswer one_session(const ApiRequest& request, std::string_view text, AdminActions& actions) {
  const auto id = parse_session_id(text);
  if (!id) return refuse(404, "a session's id is the 32 hexadecimal digits of Remora-Session");
  const bool changes = request.method == "PATCH" || request.method == "DELETE";
  if (!changes && request.method != "GET") return wrong_method("GET, PATCH, DELETE");
  if (changes && actions.config().admin.read_only)
    return refuse(403, "this admin API is read-only (admin.read_only)");
  if (request.method == "DELETE") return say(end_session(*id, actions));
  if (request.method == "PATCH") {
    json::object body;
    if (auto wrong = read_object(request, {"to"}, body)) return *wrong;
    const json::value* const to = body.if_contains("to");
    if (to == nullptr || !(to->is_null() || (to->is_string() && !to->get_string().empty())))
      return refuse(400, "needs \"to\": the id of a backend, or null for any other");
    const std::string_view backend = to->is_null() ? std::string_view() : std::string_view(to->get_string());
    const std::string why = steer_session(*id, backend, actions);
    if (!why.empty()) return refuse(409, why);
  }
  const auto known = describe_session(*id, actions);
  if (known) return say(*known);
  if (request.method == "PATCH") return say(json::object{{"id", session_id_text(*id)}, {"state", "unknown"}});
  return refuse(404, "this instance has not seen this session; a client may hold a valid token of it");
}

}  // namespace

ApiAnswer refuse(unsigned status, std::string_view why) {
  return say(json::object{{"error", printable(why)}}, status);
}

json::object describe_backend(const PoolView& pool, std::size_t index, AdminActions& actions) {
  const Member& m = pool.snapshot->members[index];
  const config::Backend& file = pool.config.backends[index];
  actions.session_counter().refresh(actions.now());
  const auto count = actions.session_counter().at(pool.number, m.backend->hash);
  const TrafficSum traffic(m.backend->traffic);
  json::object answers;
  for (std::size_t i = 1; i < traffic.answers.size(); ++i)
    answers[std::to_string(i) + "xx"] = traffic.answers[i];
  answers["failed"] = traffic.answers[0];
  json::object out{
      {"id", m.backend->id},
      {"pool", pool.config.name},
      {"address",
       file.ip.empty() ? m.address.text() : config::Address{m.address.kind, file.ip, m.address.port}.text()},
      {"weight", file.weight},
      {"backup", m.backup},
      {"admin", to_string(m.admin)},
      {"health", to_string(m.health)},
      {"ejected", word(m.ejected)},
      {"accepts_new", m.accepts_new()},
      {"accepts_bound", m.accepts_bound()},
      {"in_flight", m.backend->in_flight.load(std::memory_order_relaxed)},
      {"sessions_left", count.all()},
      {"learned", count.learned},
      {"issued", count.issued},
      {"complete", counts_are_complete(pool, actions)},
      {"attempts", traffic.total()},
      {"answers", std::move(answers)},
      {"milliseconds", static_cast<double>(traffic.microseconds) / 1000},
      {"generation", m.backend->generation.load(std::memory_order_relaxed)}};
  if (!file.ip.empty()) out["name"] = file.address.host;
  if (file.follow) out["resolved"] = json::array(file.ips.begin(), file.ips.end());
  if (file.leaving) out["vanished"] = true;
  if (m.max_in_flight != 0) out["max_in_flight"] = m.max_in_flight;
  if (const std::string note = actions.health_note(*m.backend); !note.empty())
    out["health_note"] = printable(note);
  if (const auto deadline = actions.deadline(pool.config.name, m.backend->id)) {
    out["deadline"] = time_text(*deadline);
    out["deadline_passed"] = m.leaving;
  }
  return out;
}

ApiAnswer answer_api(const ApiRequest& request, AdminActions& actions) {
  actions.session_counter().refresh(actions.now());
  std::string_view path = request.target, query;
  if (const std::size_t mark = path.find('?'); mark != std::string_view::npos) {
    query = path.substr(mark + 1);
    path = path.substr(0, mark);
  }
  constexpr std::string_view prefix = "/api/v1/";
  if (!path.starts_with(prefix)) return refuse(404, "the API is under /api/v1/");
  path.remove_prefix(prefix.size());
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const auto slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  const std::string_view what = parts.empty() ? std::string_view() : parts.front();
  const bool get = request.method == "GET", post = request.method == "POST";
  if (what == "pools") return pools(request, {parts.begin() + 1, parts.end()}, actions);
  if (parts.size() == 2 && what == "sessions") return one_session(request, parts[1], actions);
  if (parts.size() == 1 && what == "sessions") {
    constexpr std::string_view filter = "backend=";
    if (!get) return wrong_method("GET");
    return query.starts_with(filter) ? sessions_of(query.substr(filter.size()), actions) : sessions(actions);
  }
  if (parts.size() == 1 && what == "explain")
    return post ? explain_one(request, actions) : wrong_method("POST");
  if (parts.size() == 1 && what == "reload") return post ? reload(request, actions) : wrong_method("POST");
  if (parts.size() == 1 && what == "config")
    return get ? say(json::object{{"hash", actions.config().hash}, {"text", actions.config().shown}})
               : wrong_method("GET");
  if (parts.size() == 1 && what == "events") {
    if (!get) return wrong_method("GET");
    ApiAnswer answer;
    answer.events = true;
    return answer;
  }
  return refuse(404, "there are pools, sessions, explain, config, reload and events under /api/v1/");
}

}  // namespace remora
