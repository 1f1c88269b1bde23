// Which URLs lead to the pool that serves a request: those may carry its token.
//
// Threading: any. Lifetime: of one request.
#pragma once

#include "proxy/request.h"

namespace remora {

class RoutedScope final : public UrlScope {
 public:
  explicit RoutedScope(const Request& request) : request_(request) {}
  bool leads_here(std::string_view path) const override;
  std::string as_routed(std::string_view path) const override;
  std::size_t deciding_bytes() const noexcept override;

 private:
  const Request& request_;
};

}  // namespace remora
