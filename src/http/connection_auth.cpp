#include "http/connection_auth.h"

#include <algorithm>

#include "util/text.h"

namespace remora {

namespace {

/// The schemes that IIS, WinRM, Exchange, mod_auth_gssapi and others bind to a connection.
bool binds_connection(std::string_view scheme) noexcept {
  static constexpr std::string_view schemes[] = {"ntlm", "negotiate", "kerberos", "nego2", "credssp"};
  return std::any_of(std::begin(schemes), std::end(schemes), [&](auto s) { return iequals(s, scheme); });
}

/// The text before the first blank.
std::string_view first_word(std::string_view text) noexcept {
  return text.substr(0, text.find_first_of(" \t"));
}

/// The end of a list element: the next comma outside quoted strings.
std::size_t end_of_element(std::string_view list) noexcept {
  bool quoted = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (quoted && list[i] == '\\')
      ++i;
    else if (list[i] == '"')
      quoted = !quoted;
    else if (list[i] == ',' && !quoted)
      return i;
  }
  return quoted ? std::min(list.find(','), list.size()) : list.size();  // an unterminated quote is ignored
}

/// Challenges are a comma-separated list, and so are the parameters of each (RFC 9110 11.6.1). An element
/// begins a challenge if it is one word, or if its first word is not followed by `=`.
ConnectionAuth asked_by(std::string_view list) noexcept {
  ConnectionAuth asked = ConnectionAuth::none;
  while (!list.empty()) {
    const std::size_t end = end_of_element(list);
    const std::string_view element = trim(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
    const std::string_view scheme = first_word(element);
    if (!binds_connection(scheme)) continue;
    const std::string_view rest = trim(element.substr(scheme.size()));
    if (!rest.empty() && rest.front() == '=') continue;  // a parameter with the scheme's name
    // A leg is one token68: letters, digits, a few marks, and `=` as padding only. `realm="x"` is not a leg.
    const std::string_view token = rest.substr(0, rest.find_last_not_of('=') + 1);
    const bool leg = !token.empty() && token.find_first_of("=\" \t") == std::string_view::npos;
    asked = std::max(asked, leg ? ConnectionAuth::continued : ConnectionAuth::offered);
  }
  return asked;
}

}  // namespace

ConnectionAuth asked_connection_auth(std::uint16_t status, const std::vector<Field>& fields) noexcept {
  ConnectionAuth asked = ConnectionAuth::none;
  if (status != 401 && status != 407) return asked;
  for (const Field& f : fields)
    if (f.known == Known::proxy_authenticate || iequals(f.name, "www-authenticate"))
      asked = std::max(asked, asked_by(f.value));
  return asked;
}

bool is_connection_auth(std::string_view credentials) noexcept {
  return binds_connection(first_word(trim(credentials)));
}

}  // namespace remora
