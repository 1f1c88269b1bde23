#include "proxy/preflight.h"

#include "util/text.h"

namespace remora {

bool is_cors_preflight(const RequestHead& request) noexcept {
  if (request.method != Method::options) return false;
  if (!request.body.is_empty()) return false;
  unsigned origins = 0, methods = 0;
  for (const Field& f : request.fields) {
    if (iequals(f.name, "origin")) {
      if (trim(f.value).empty()) return false;
      ++origins;
    } else if (iequals(f.name, "access-control-request-method")) {
      if (!is_token(trim(f.value))) return false;
      ++methods;
    } else if (f.known == Known::cookie || iequals(f.name, "authorization") ||
               iequals(f.name, "x-http-method-override") || iequals(f.name, "x-http-method") ||
               iequals(f.name, "x-method-override")) {
      return false;
    }
  }
  return origins == 1 && methods == 1;
}

}  // namespace remora
