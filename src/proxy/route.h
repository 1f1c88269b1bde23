// Which pool serves a request: pure matching over immutable routes.
//
// Order of specificity: host exact, then *.suffix, then any; within that the longest path; within that the
// route with more conditions (methods, headers); then the file's order.
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

/// What a route was asked for; outlives reloads that keep the route.
struct RouteTraffic {
  RouteTraffic(std::string l, std::size_t workers) : label(std::move(l)), by_worker(workers) {}
  const std::string label;
  std::vector<TrafficCounts> by_worker;
};

/// What metrics call each route: host and path, then methods, then a number where that is not enough.
std::vector<std::string> route_labels(const std::vector<config::Route>& routes);

struct RouteView {
  config::Route config;
  std::string path;       // config's, as normalise_path() leaves those of requests
  std::size_t index = 0;  // in the file, for logs
  struct Target {
    std::size_t pool;  // index into the snapshot's pools
    std::uint32_t weight;
  };
  std::vector<Target> targets;  // one, or those of `split`; empty: a redirect
  std::uint64_t weight_sum = 0;
  static constexpr std::size_t no_verifier = ~std::size_t{0};
  std::size_t auth = no_verifier;         // of JWTs, into the snapshot's verifiers
  std::vector<std::size_t> verifiers;     // that one and those of its pools' affinity
  std::shared_ptr<RouteTraffic> traffic;  // null: nobody counts
};

class Router {
 public:
  /// `pools`: names in snapshot order. Routes name existing pools (checked when the file was read).
  Router(const std::vector<config::Route>& routes, const std::vector<std::string>& pools);
  /// `of_pools`: the verifiers that each pool's affinity asks, by index into the snapshot's.
  void set_verifiers(const std::vector<config::Jwt>& verifiers,
                     const std::vector<std::vector<std::size_t>>& of_pools);
  /// By the routes' order in the file.
  void set_traffic(const std::vector<std::shared_ptr<RouteTraffic>>& by_index);
  const std::vector<RouteView>& routes() const noexcept { return routes_; }
  /// nullptr: no route.
  const RouteView* match(std::string_view host, std::string_view path, std::string_view method,
                         std::span<const Field> fields) const noexcept;
  /// Whether all servers that read `sent`, the path as it goes to the backend, in their own ways would take
  /// it for one of `ours`, the route that was matched. False: a guard on some route could be passed by, and
  /// the request must not go on.
  bool all_agree(const RouteView& ours, std::string_view host, std::string_view sent, std::string_view method,
                 std::span<const Field> fields) const;

  /// No byte of a path behind these has a say: routes compare its beginning.
  std::size_t deciding_bytes() const noexcept { return deciding_bytes_; }

 private:
  using Covers = bool (*)(std::string_view prefix, std::string_view path) noexcept;
  const RouteView* match(std::string_view host, std::string_view path, std::string_view method,
                         std::span<const Field> fields, Covers covers) const noexcept;
  std::vector<RouteView> routes_;  // most specific first
  bool paths_matter_ = false;      // some route is only for some paths
  std::size_t deciding_bytes_ = 1;
  bool upper_case_matters_ = false;  // and one of these has capital letters
};

}  // namespace remora
