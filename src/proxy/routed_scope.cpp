#include "proxy/routed_scope.h"

#include "http/target.h"
#include "proxy/decide_pool.h"

namespace remora {

bool RoutedScope::leads_here(std::string_view path) const {
  const RouteView* route = request_.snapshot->shared->router->match(request_.head.host, as_routed(path),
                                                                    "GET", request_.head.fields);
  return route != nullptr && can_lead_to(*request_.snapshot->shared, *route, request_.pool_index);
}

std::string RoutedScope::as_routed(std::string_view path) const {
  std::string normal;
  normalize_path(path, normal);
  TextArena arena;
  return std::string(routed_path(*request_.snapshot->shared, path, normal, arena));
}

std::size_t RoutedScope::deciding_bytes() const noexcept {
  return request_.snapshot->shared->router->deciding_bytes();
}

}  // namespace remora
