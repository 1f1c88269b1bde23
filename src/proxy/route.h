// Router: finds the route of a request. Pure matching over immutable routes.
//
// The most specific route wins: exact host, then *.suffix (the longest first), then any host; then the
// longest path; then the route with more conditions (a header counts twice as much as methods); then the
// order in the file.
//
// Threading: any thread, once the setters were called.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "remora/config.h"
#include "remora/http_view.h"
#include "remora/traffic_counts.h"

namespace remora {

/// A route's counters; they survive reloads that keep the route.
struct RouteTraffic {
  RouteTraffic(std::string l, std::size_t workers) : label(std::move(l)), by_worker(workers) {}
  const std::string label;
  std::vector<TrafficCounts> by_worker;
};

/// The label of each route in metrics: host and path, then methods, then a number if the label is not unique.
std::vector<std::string> route_labels(const std::vector<config::Route>& routes);

/// One route, prepared for matching.
struct RouteView {
  config::Route config;
  std::string path;       // the configured path in the form of normalized request paths
  std::size_t index = 0;  // position in the file, for logs
  struct Target {
    std::size_t pool;  // index into the snapshot's pools
    std::uint32_t weight;
  };
  std::vector<Target> targets;  // one pool, or those of `split`; empty for a redirect
  std::uint64_t weight_sum = 0;
  static constexpr std::size_t no_verifier = ~std::size_t{0};
  std::size_t auth = no_verifier;         // index of the route's JWT verifier in Snapshot::verifiers
  std::vector<std::size_t> verifiers;     // `auth`, and those that its pools' affinity needs
  std::shared_ptr<RouteTraffic> traffic;  // null: not counted
};

class Router {
 public:
  /// `pools`: names in snapshot order. REQUIRES: routes name existing pools (checked by the loader).
  Router(const std::vector<config::Route>& routes, const std::vector<std::string>& pools);
  /// `of_pools`: for each pool, the verifiers that its affinity needs, as indexes into Snapshot::verifiers.
  void set_verifiers(const std::vector<config::Jwt>& verifiers,
                     const std::vector<std::vector<std::size_t>>& of_pools);
  /// Sets the counters; `by_index` is in the order of the file.
  void set_traffic(const std::vector<std::shared_ptr<RouteTraffic>>& by_index);
  const std::vector<RouteView>& routes() const noexcept { return routes_; }
  /// The most specific route that matches; `path` in normal form. Null: none.
  const RouteView* match(std::string_view host, std::string_view path, std::string_view method,
                         std::span<const Field> fields) const noexcept;
  /// Servers parse odd paths differently. True: however a backend parses `sent`, the path as it is forwarded,
  /// it belongs to `ours`, the matched route. False: the request could bypass the authentication of another
  /// route and must be refused.
  bool all_agree(const RouteView& ours, std::string_view host, std::string_view sent, std::string_view method,
                 std::span<const Field> fields) const;

  /// Routes compare only this many bytes at the start of a path.
  std::size_t deciding_bytes() const noexcept { return deciding_bytes_; }

 private:
  using Covers = bool (*)(std::string_view prefix, std::string_view path) noexcept;
  const RouteView* match(std::string_view host, std::string_view path, std::string_view method,
                         std::span<const Field> fields, Covers covers) const noexcept;
  std::vector<RouteView> routes_;  // most specific first
  bool paths_matter_ = false;      // some route has a path other than /
  std::size_t deciding_bytes_ = 1;
  bool upper_case_matters_ = false;  // and some route's path has capital letters
};

}  // namespace remora
