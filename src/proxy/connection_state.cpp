#include "proxy/connection_state.h"

namespace remora {

bool ConnectionState::serves(std::string_view host) const {
  if (!listener->tls || listener->tls->choice().groups().size() < 2) return true;
  // The authority without its port; an IPv6 address keeps its colons, and names no certificate here.
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos)
    host = host.substr(0, colon);
  return host == server_name || listener->tls->choice().share_one(server_name, host);
}

}  // namespace remora
