#include "proxy/request.h"

#include "proxy/decide.h"

namespace remora {

bool Request::comes_through_unknown_proxies() const noexcept {
  return through_unknown_proxies(head.fields);
}

}  // namespace remora
