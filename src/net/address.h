// Network addresses: endpoints to connect or bind to, client addresses, CIDR blocks. Pure, except `resolve`.
#pragma once

#include <sys/socket.h>

#include <cstring>
#include <span>
#include <string_view>

#include "remora/config.h"
#include "remora/http_view.h"
#include "remora/result.h"

namespace remora {

/// A socket address of any family that remora speaks, ready for the kernel.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family() const noexcept { return storage.ss_family; }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  bool operator==(const Endpoint& o) const noexcept {
    return size == o.size && std::memcmp(&storage, &o.storage, size) == 0;
  }
};

/// Resolves a configured address to an endpoint. Blocks if the host is a name: call it at start or reload,
/// on the control thread, never while serving.
Result<Endpoint> resolve(const config::Address&);

ClientAddress client_address(const sockaddr_storage&) noexcept;
std::optional<ClientAddress> parse_ip(std::string_view) noexcept;
bool contains(const config::Cidr&, const ClientAddress&) noexcept;
bool contains(std::span<const config::Cidr>, const ClientAddress&) noexcept;

/// The address with all but the first `v4` or `v6` bits cleared.
ClientAddress mask(const ClientAddress&, unsigned v4, unsigned v6) noexcept;

}  // namespace remora
