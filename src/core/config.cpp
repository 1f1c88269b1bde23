#include "remora/config.h"

namespace remora::config {

std::string Address::text() const {
  if (kind == Kind::unix_path) return "unix:" + host;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace remora::config
