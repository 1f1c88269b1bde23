#include "proxy/route.h"

#include <algorithm>

#include "http/readings.h"
#include "http/target.h"
#include "util/text.h"

namespace remora {

namespace {

enum class HostRank { exact, suffix, any };
HostRank rank(const std::string& host) {
  return host.empty() ? HostRank::any : host.rfind("*.", 0) == 0 ? HostRank::suffix : HostRank::exact;
}

bool host_matches(const std::string& pattern, std::string_view authority) noexcept {
  if (pattern.empty()) return true;
  const std::string_view name = host_name(authority);
  if (pattern.front() != '*') return iequals(pattern, name);
  const std::string_view suffix = std::string_view(pattern).substr(1);
  return name.size() > suffix.size() && iequals(name.substr(name.size() - suffix.size()), suffix);
}

bool more_specific(const RouteView& a, const RouteView& b) {
  const HostRank ra = rank(a.config.host), rb = rank(b.config.host);
  if (ra != rb) return ra < rb;
  if (ra == HostRank::suffix && a.config.host.size() != b.config.host.size())
    return a.config.host.size() > b.config.host.size();
  if (a.path.size() != b.path.size()) return a.path.size() > b.path.size();
  const auto conditions = [](const RouteView& r) {
    return r.config.headers.size() * 2 + (r.config.methods.empty() ? 0 : 1);
  };
  if (conditions(a) != conditions(b)) return conditions(a) > conditions(b);
  return a.index < b.index;
}

bool fields_match(const config::Route& route, std::span<const Field> fields) noexcept {
  return std::all_of(route.headers.begin(), route.headers.end(), [&](const auto& wanted) {
    return std::any_of(fields.begin(), fields.end(), [&](const Field& f) {
      return iequals(f.name, wanted.first) && f.value == wanted.second;
    });
  });
}

}  // namespace

Router::Router(const std::vector<config::Route>& routes, const std::vector<std::string>& pools) {
  const auto index_of = [&](const std::string& name) {
    return static_cast<std::size_t>(std::find(pools.begin(), pools.end(), name) - pools.begin());
  };
  for (const config::Route& route : routes) {
    RouteView view;
    view.config = route;
    decode_harmless(route.path, view.path);
    view.index = routes_.size();
    if (!route.pool.empty()) view.targets.push_back({index_of(route.pool), 1});
    for (const auto& [pool, weight] : route.split) view.targets.push_back({index_of(pool), weight});
    for (const auto& t : view.targets) view.weight_sum += t.weight;
    deciding_bytes_ = std::max(deciding_bytes_, view.path.size() + 1);  // including the slash behind it
    paths_matter_ = paths_matter_ || view.path != "/";
    upper_case_matters_ = upper_case_matters_ || has_upper_case(view.path);
    routes_.push_back(std::move(view));
  }
  std::sort(routes_.begin(), routes_.end(), more_specific);
}

void Router::set_verifiers(const std::vector<config::Jwt>& verifiers,
                           const std::vector<std::vector<std::size_t>>& of_pools) {
  for (RouteView& route : routes_) {
    for (std::size_t i = 0; i < verifiers.size(); ++i)
      if (verifiers[i].name == route.config.verifier) route.auth = i;
    if (route.auth != RouteView::no_verifier) route.verifiers.push_back(route.auth);
    for (const auto& target : route.targets)
      for (const std::size_t v : of_pools[target.pool])
        if (std::find(route.verifiers.begin(), route.verifiers.end(), v) == route.verifiers.end())
          route.verifiers.push_back(v);
  }
}

std::vector<std::string> route_labels(const std::vector<config::Route>& routes) {
  std::vector<std::string> out;
  for (const config::Route& route : routes) {
    std::string label = (route.host.empty() ? "*" : route.host) + route.path;
    for (const std::string& method : route.methods)
      label.append(&method == &route.methods.front() ? " " : ",").append(method);
    const std::string plain = label;
    for (int n = 2; std::find(out.begin(), out.end(), label) != out.end(); ++n)
      label = plain + " #" + std::to_string(n);
    out.push_back(std::move(label));
  }
  return out;
}

void Router::set_traffic(const std::vector<std::shared_ptr<RouteTraffic>>& by_index) {
  for (RouteView& route : routes_) route.traffic = by_index[route.index];
}

const RouteView* Router::match(std::string_view host, std::string_view path, std::string_view method,
                               std::span<const Field> fields) const noexcept {
  return match(host, path, method, fields, path_covers);
}

bool Router::all_agree(const RouteView& ours, std::string_view host, std::string_view sent,
                       std::string_view method, std::span<const Field> fields) const {
  if (!paths_matter_) return true;
  const bool readings = has_readings(sent);
  // Escapes may hide capital letters, hence `readings`.
  const bool case_matters = upper_case_matters_ || readings || has_upper_case(sent);
  if (!readings && !case_matters) return true;
  // If two routes' paths differ only in case, the operator wants them told apart.
  const auto same_but_for_case = [&](const RouteView* r) {
    return r != nullptr && iequals(r->path, ours.path);
  };
  const auto asks_for_more = [&](const RouteView* r) {
    if (r == nullptr || r->auth == RouteView::no_verifier) return false;
    return r->auth != ours.auth || (r->config.auth_required && !ours.config.auth_required);
  };
  const auto agrees = [&](const Reading& reading) {
    const auto same = [&](Covers covers) {
      const RouteView* const r = match(host, reading.path, method, fields, covers);
      if (r == &ours) return true;
      // Most servers resolve dot segments, as remora does. One that does not is a danger only if it sees a
      // path that needs more authentication.
      if (reading.with_dots) return !asks_for_more(r);
      return covers == path_covers_in_any_case && same_but_for_case(r);
    };
    return same(path_covers) && (!case_matters || same(path_covers_in_any_case));
  };
  if (!readings) return agrees({sent});
  return for_each_reading(sent, agrees) == Reviewed::all;
}

const RouteView* Router::match(std::string_view host, std::string_view path, std::string_view method,
                               std::span<const Field> fields, Covers covers) const noexcept {
  for (const RouteView& r : routes_) {
    if (!host_matches(r.config.host, host) || !covers(r.path, path)) continue;
    const auto& methods = r.config.methods;
    if (!methods.empty() && std::find(methods.begin(), methods.end(), method) == methods.end()) continue;
    if (!r.config.headers.empty() && !fields_match(r.config, fields)) continue;
    return &r;
  }
  return nullptr;
}

}  // namespace remora
