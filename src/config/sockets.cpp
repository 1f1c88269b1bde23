// Unix sockets: who may connect, and whether the peer is trusted to name the client.

#include <grp.h>

#include <algorithm>

#include "config/sections.h"
#include "net/address.h"
#include "util/text.h"

namespace remora::config {

namespace {

constexpr bool octal(char c) noexcept {
  return c >= '0' && c <= '7';
}

/// A mode as for chmod, quoted or not: 0660, 660, "0o660".
void read_mode(const Value& v, std::uint32_t& out) {
  const auto text = scalar(v);
  if (!text) return;
  std::string_view digits = *text;
  if (istarts_with(digits, "0o")) digits.remove_prefix(2);
  if (digits.size() == 4 && digits.front() == '0') digits.remove_prefix(1);
  if (digits.size() != 3 || !std::all_of(digits.begin(), digits.end(), octal))
    return v.bad(quoted(v) + " is not a mode (\"0660\", \"0666\")");
  std::uint32_t mode = 0;
  for (const char c : digits) mode = mode << 3 | static_cast<std::uint32_t>(c - '0');
  if ((mode & 0222U) == 0) return v.bad("whoever connects needs the right to write: 0660, say");
  out = mode;
}

void read_group(const Value& v, std::optional<std::uint32_t>& out) {
  const auto text = scalar(v);
  if (!text) return;
  if (const auto number = parse_decimal(*text); number && *number < 0xffffffffU) {
    out = static_cast<std::uint32_t>(*number);
    return;
  }
  const group* const found = ::getgrnam(text->c_str());
  if (found == nullptr) return v.bad("there is no group " + quoted(v) + " on this machine");
  out = found->gr_gid;
}

bool trusts_unix_peers(const Listener& l) noexcept {
  return contains(l.trusted_proxies, ClientAddress{});
}

/// True if the clients have no known address: no PROXY protocol, and no trusted peer to report it.
bool hides_clients(const Listener& l) noexcept {
  return l.bind.kind == Address::Kind::unix_path && !l.proxy_protocol && !trusts_unix_peers(l);
}

bool names_unix_peers(const Listener& l) noexcept {
  return std::any_of(l.trusted_proxies.begin(), l.trusted_proxies.end(),
                     [](const Cidr& block) { return block.bits == 128 && contains(block, ClientAddress{}); });
}

}  // namespace

void read_socket_access(Map& m, const Address& bind, SocketAccess& out) {
  for (const char* const key : {"mode", "group"}) {
    const auto v = m.get(key);
    if (!v) continue;
    if (bind.kind != Address::Kind::unix_path)
      v->bad("is for unix sockets (bind: unix:/path)");
    else if (*key == 'm')
      read_mode(*v, out.mode);
    else
      read_group(*v, out.group);
  }
}

void socket_warnings(const Config& config, std::vector<std::string>& out) {
  for (const Listener& l : config.listeners) {
    if (l.bind.kind != Address::Kind::unix_path && names_unix_peers(l))
      out.push_back("listener " + l.name + ": `unix` in trusted_proxies says nothing on a TCP listener");
    if (hides_clients(l) && l.per_client.any())
      out.push_back(
          "listener " + l.name +
          ": per_client limits nobody: behind a unix socket clients cannot be told apart, unless the "
          "proxy there is trusted (trusted_proxies: [unix]) or sends PROXY lines");
  }
  const bool all_hidden = !config.listeners.empty() &&
                          std::all_of(config.listeners.begin(), config.listeners.end(), hides_clients);
  if (!all_hidden) return;
  for (const Pool& pool : config.pools)
    if (std::any_of(pool.affinity.begin(), pool.affinity.end(),
                    [](const Affinity& a) { return a.kind == "ip_hash"; }))
      out.push_back("pool " + pool.name +
                    ": ip_hash recognizes nobody: all listeners are unix sockets whose peers are not trusted "
                    "(trusted_proxies: [unix])");
}

}  // namespace remora::config
