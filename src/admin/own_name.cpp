#include "admin/own_name.h"

#include "net/address.h"
#include "util/text.h"

namespace remora {

namespace {
/// True if empty, or a colon and a port.
bool is_port_part(std::string_view rest) noexcept {
  if (rest.empty()) return true;
  if (rest.front() != ':' || rest.size() > 6) return false;
  const auto port = parse_decimal(rest.substr(1));
  return port && *port <= 65535;
}
}  // namespace

bool is_own_name(std::string_view host) noexcept {
  if (host.starts_with('[')) {
    const std::size_t bracket = host.find(']');
    if (bracket == std::string_view::npos || !is_port_part(host.substr(bracket + 1))) return false;
    const std::string_view address = host.substr(1, bracket - 1);
    return address.find(':') != std::string_view::npos && parse_ip(address).has_value();
  }
  const std::size_t colon = host.find(':');
  if (colon != std::string_view::npos && !is_port_part(host.substr(colon))) return false;
  host = host.substr(0, colon);
  return iequals(host, "localhost") || parse_ip(host).has_value();
}

bool is_same_origin(std::string_view origin, std::string_view fetch_site, std::string_view host) noexcept {
  if (!fetch_site.empty() && fetch_site != "same-origin" && fetch_site != "none") return false;
  if (origin.empty()) return true;
  for (const std::string_view scheme : {"http://", "https://"})
    if (istarts_with(origin, scheme)) return iequals(origin.substr(scheme.size()), host);
  return false;  // `null`, or not a web page
}

}  // namespace remora
