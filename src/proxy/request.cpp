#include "proxy/request.h"

#include <algorithm>

namespace remora {

bool Request::comes_through_unknown_proxies() const noexcept {
  return std::any_of(head.fields.begin(), head.fields.end(), [](const Field& f) {
    return f.known == Known::via || f.known == Known::forwarded || f.known == Known::x_forwarded_for ||
           f.known == Known::x_forwarded_host || f.known == Known::x_forwarded_proto;
  });
}

}  // namespace remora
