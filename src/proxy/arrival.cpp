#include "proxy/arrival.h"

#include <algorithm>
#include <array>

#include "http/client_fields.h"
#include "net/address.h"
#include "proxy/outer_scheme.h"
#include "util/text.h"

namespace remora {

namespace {

/// The last elements of a list that may be spread over several fields, counted from the end.
template <std::size_t most>
class LastElements {
 public:
  void push(std::string_view element) noexcept { elements_[count_++ % most] = element; }
  std::size_t size() const noexcept { return std::min(count_, most); }
  /// 0 is the last element. REQUIRES: i < size().
  std::string_view from_end(std::size_t i) const noexcept { return elements_[(count_ - 1 - i) % most]; }
  /// from_end(i), or the earliest element kept if there are fewer. Empty if there are none.
  std::string_view nearest(std::size_t i) const noexcept {
    return count_ == 0 ? std::string_view() : from_end(std::min(i, size() - 1));
  }
  void push_all(std::string_view list) {
    for_each_token(list, [&](std::string_view element) {
      push(element);
      return true;
    });
  }

 private:
  std::array<std::string_view, most> elements_;
  std::size_t count_ = 0;
};

std::string_view unquoted(std::string_view s) noexcept {
  const bool quoted = s.size() >= 2 && s.front() == '"' && s.back() == '"';
  return quoted ? s.substr(1, s.size() - 2) : s;
}

/// Nothing for `unknown` and for invalid text; the unknown address for a unix socket, which nginx writes as
/// `unix:`.
std::optional<ClientAddress> address_of_hop(std::string_view hop) noexcept {
  hop = unquoted(hop);
  if (iequals(hop, "unix:") || iequals(hop, "unix")) return ClientAddress{};
  if (!hop.empty() && hop.front() == '[')
    hop = hop.substr(1, hop.find(']') == std::string_view::npos ? hop.size() : hop.find(']') - 1);
  else if (std::count(hop.begin(), hop.end(), ':') == 1)
    hop = hop.substr(0, hop.find(':'));
  return parse_ip(hop);
}

/// A parameter of one Forwarded element; empty: no such parameter.
std::string_view forwarded_parameter(std::string_view element, std::string_view name) noexcept {
  while (!element.empty()) {
    const auto semicolon = element.find(';');
    const auto pair = trim(element.substr(0, semicolon));
    if (pair.size() > name.size() && pair[name.size()] == '=' && istarts_with(pair, name))
      return unquoted(pair.substr(name.size() + 1));
    element.remove_prefix(semicolon == std::string_view::npos ? element.size() : semicolon + 1);
  }
  return {};
}

/// What trusted proxies report besides addresses.
struct OuterFields {
  LastElements<32> protos, hosts;
  LastElements<8> ports, schemes, switches;

  void note(const Field& f) {
    if (f.known == Known::x_forwarded_proto) return protos.push_all(f.value);
    if (f.known == Known::x_forwarded_host) return hosts.push_all(f.value);
    if (f.known != Known::other || !may_tell_of_the_client(f.name)) return;
    if (iequals(f.name, "x-forwarded-port")) return ports.push_all(f.value);
    const SchemeField form = scheme_field(f.name);
    if (form == SchemeField::name) schemes.push_all(f.value);
    if (form == SchemeField::switch_) switches.push_all(f.value);
  }
};

/// The scheme reported by the proxy that saw the client (`speaker`). If there are more schemes than
/// addresses, some proxy appended a scheme but no address; then any secure scheme further out counts. Missing
/// a proxy that terminated TLS would cause redirect loops, while a client that forges the scheme misleads
/// only itself.
std::optional<bool> secure_among(const LastElements<32>& protos, std::size_t speaker, std::size_t hops) {
  auto secure = secure_scheme(unquoted(protos.nearest(speaker)));
  if (protos.size() <= hops) return secure;
  for (std::size_t i = speaker + 1; i < protos.size() && secure != true; ++i)
    if (secure_scheme(unquoted(protos.from_end(i))) == true) secure = true;
  return secure;
}

}  // namespace

void resolve_arrival(const std::vector<Field>& fields, std::span<const config::Cidr> trusted,
                     Arrival& arrival) {
  arrival.host = arrival.port = {};
  arrival.trusted = contains(trusted, arrival.peer);
  if (!arrival.trusted) return;
  LastElements<32> hops, forwarded;
  OuterFields outer;
  for (const Field& f : fields) {
    if (f.known == Known::x_forwarded_for) hops.push_all(f.value);
    if (f.known == Known::forwarded) forwarded.push_all(f.value);
    outer.note(f);
  }
  const bool x = hops.size() > 0;
  // From the nearest hop outwards; a trusted hop vouches for the one before it. `speaker`: index of the proxy
  // whose report on the client counts; 0 is our peer.
  std::size_t speaker = 0;
  const std::size_t count = x ? hops.size() : forwarded.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto address =
        address_of_hop(x ? hops.from_end(i) : forwarded_parameter(forwarded.from_end(i), "for"));
    if (!address) break;  // "unknown" or invalid: earlier elements cannot be trusted
    const bool passed_over = contains(trusted, *address);
    if (!address->is_unknown())
      arrival.client = *address;
    else if (!passed_over)
      break;
    speaker = i;
    if (!passed_over) break;
  }
  arrival.host = outer.hosts.nearest(speaker);
  arrival.port = outer.ports.nearest(speaker);
  auto secure = secure_among(outer.protos, speaker, hops.size());
  for (std::size_t i = std::min(speaker + 1, forwarded.size()); i > 0 && !secure && !x; --i)
    secure = secure_scheme(forwarded_parameter(forwarded.from_end(i - 1), "proto"));
  if (!secure) secure = secure_scheme(unquoted(outer.schemes.nearest(speaker)));
  if (!secure) secure = secure_switch(unquoted(outer.switches.nearest(speaker)));
  if (secure) arrival.secure = *secure;
}

}  // namespace remora
