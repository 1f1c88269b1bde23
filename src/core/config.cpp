#include "remora/config.h"

#include <algorithm>

namespace remora::config {

std::string Address::text() const {
  if (kind == Kind::unix_path) return "unix:" + host;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Listener::speaks(Alpn version) const noexcept {
  if (!tls) return version == Alpn::http11 || h2c;
  return std::find(tls->alpn.begin(), tls->alpn.end(), version) != tls->alpn.end();
}

}  // namespace remora::config
