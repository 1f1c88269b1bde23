// RoutedScope: which URLs lead to the pool that serves a request. Only those may carry its session token.
//
// Threading: any thread. Lifetime: of one request, which it refers to.
#pragma once

#include "proxy/request.h"

namespace remora {

class RoutedScope final : public UrlScope {
 public:
  explicit RoutedScope(const Request& request) : request_(request) {}
  /// A GET of this path, with the request's host and fields, would be routed to the request's pool.
  bool leads_here(std::string_view path) const override;
  std::string as_routed(std::string_view path) const override;
  std::size_t deciding_bytes() const noexcept override;

 private:
  const Request& request_;
};

}  // namespace remora
