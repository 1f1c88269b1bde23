// The kinds of affinity, one reader each.

#include <algorithm>

#include "config/sections.h"
#include "util/text.h"

namespace remora::config {

namespace {

void read_cookie_attributes(Map& m, const Value& v, CookieAttributes& out) {
  const auto clean = [](const Value& x, std::string& o) {
    if (x.is_null()) return;
    read_value(x, o);
    for (const char c : o)
      if (static_cast<unsigned char>(c) <= ' ' || c == ';' || c == ',' || c == '"' ||
          static_cast<unsigned char>(c) >= 0x7f)
        return x.bad("cannot stand in a cookie");
  };
  m.read_with("path", out.path, clean);
  m.read_with("domain", out.domain, clean);
  m.read_with("secure", out.secure, [](const Value& x, Secure& o) {
    read_choice(x, o,
                {{"auto", Secure::auto_},
                 {"on", Secure::on},
                 {"true", Secure::on},
                 {"off", Secure::off},
                 {"false", Secure::off}});
  });
  m.read("http_only", out.http_only);
  m.read_with("same_site", out.same_site, [](const Value& x, SameSite& o) {
    read_choice(x, o,
                {{"lax", SameSite::lax},
                 {"strict", SameSite::strict},
                 {"none", SameSite::none},
                 {"unset", SameSite::unset}});
  });
  m.read("partitioned", out.partitioned);
  if (const auto age = m.get("max_age"); age && !(age->node.IsScalar() && age->node.Scalar() == "session")) {
    Millis d(1000);
    read_positive(*age, d);
    out.max_age = std::chrono::duration_cast<seconds>(d);
    if (*out.max_age < seconds(1)) age->bad("must be at least 1s, or session");
  }
  if (out.same_site == SameSite::none && out.secure == Secure::off)
    v.bad("same_site: none needs Secure; browsers refuse the cookie otherwise");
  if (out.partitioned && out.secure == Secure::off)
    v.bad("partitioned needs Secure; browsers refuse the cookie otherwise");
}

/// What browsers ask of `__Host-` and `__Secure-` names (RFC 6265bis 4.1.3).
void check_prefix(const Value& v, const std::string& name, const CookieAttributes& a) {
  const bool host = istarts_with(name, "__Host-");
  if (!host && !istarts_with(name, "__Secure-")) return;
  if (a.secure == Secure::off) v.bad("'" + name + "' needs Secure; browsers refuse the cookie otherwise");
  if (host && (a.path != "/" || !a.domain.empty()))
    v.bad("'" + name + "' needs path / and no domain; browsers refuse the cookie otherwise");
}

void read_token_name(const Value& v, std::string& out, const char* what) {
  read_value(v, out);
  if (!is_token(out)) v.bad("'" + out + "' is no " + what);
}

void read_cookie(Map& m, const Value& v, CookieAffinity& out) {
  m.read_with("name", out.name, [](const Value& x, std::string& o) { read_token_name(x, o, "cookie name"); });
  read_cookie_attributes(m, v, out.attributes);
  check_prefix(v, out.name, out.attributes);
}

/// A parameter's name must survive in a URL as it is written.
void read_parameter_name(const Value& v, std::string& out) {
  if (v.is_null()) {
    out.clear();
    return;
  }
  read_value(v, out);
  const bool plain = !out.empty() && std::all_of(out.begin(), out.end(), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
  if (!plain) v.bad("'" + out + "' is no name for a URL parameter (letters, digits, '-', '_' and '.')");
}

void read_url_rewrite(Map& m, const Value&, UrlRewriteAffinity& out) {
  m.read_with("style", out.style, [](const Value& x, UrlStyle& o) {
    read_choice(x, o, {{"path", UrlStyle::path}, {"query", UrlStyle::query}});
  });
  m.read_with("name", out.name, read_parameter_name);
  if (const auto rewrite = m.get("rewrite")) {
    out.location = out.html = false;
    for_each_item(*rewrite, true, [&](const Value& item) {
      bool UrlRewriteAffinity::* flag = nullptr;
      read_choice(item, flag,
                  {{"location", &UrlRewriteAffinity::location}, {"html", &UrlRewriteAffinity::html}});
      if (flag != nullptr) out.*flag = true;
    });
    if (!out.location && !out.html) rewrite->bad("needs location, html or both: else no URL gets a token");
  }
}

void read_on_unknown(Map& m, OnUnknown& out) {
  m.read_with("on_unknown", out, [](const Value& x, OnUnknown& o) {
    read_choice(x, o, {{"choose", OnUnknown::choose}, {"reject", OnUnknown::reject}});
  });
}

void read_bounded_load(Map& m, std::optional<double>& out) {
  const auto v = m.get("bounded_load");
  if (!v) return;
  if (v->node.IsScalar() && v->node.Scalar() == "off") return;
  double factor = 2;
  read_positive_number(*v, factor);
  if (factor <= 1)
    v->bad("is a factor of the mean load: above 1 (1.25, say), or off");
  else
    out = factor;
}

void read_app_cookie(Map& m, const Value& v, AppCookieAffinity& out) {
  m.read_with("name", out.name, [](const Value& x, std::string& o) { read_token_name(x, o, "cookie name"); });
  if (out.name == "JSESSIONID") out.path_parameter = "jsessionid";  // the two names of one thing
  m.read_with("path_parameter", out.path_parameter, read_parameter_name);
  m.read_with("query_parameter", out.query_parameter, read_parameter_name);
  if (const auto separator = m.get("route_separator"); separator && !separator->is_null()) {
    read_value(*separator, out.route_separator);
    if (out.route_separator.size() != 1) separator->bad("must be one character: \".\", say");
  }
  m.read_with("carry", out.carry, [](const Value& x, Carry& o) {
    read_choice(x, o, {{"store", Carry::store}, {"token", Carry::token}});
  });
  read_on_unknown(m, out.on_unknown);
  // Of the companion cookie; of the app's own only the app decides.
  if (out.carry == Carry::token) read_cookie_attributes(m, v, out.companion);
}

void read_carry_store(Map& m, Carry& out) {
  m.read_with("carry", out, [](const Value& x, Carry& o) {
    read_choice(x, o, {{"nothing", Carry::nothing}, {"store", Carry::store}});
  });
}

void read_header(Map& m, const Value& v, HeaderAffinity& out) {
  if (const auto name = m.get("name"))
    read_token_name(*name, out.name, "header name");
  else
    v.bad("needs `name:`, the header");
  m.read("learn", out.learn);
  if (out.learn) {
    out.carry = Carry::store;
    read_on_unknown(m, out.on_unknown);
  } else {
    read_carry_store(m, out.carry);
  }
  if (out.carry == Carry::nothing) read_bounded_load(m, out.bounded_load);
}

void read_ip_hash(Map& m, const Value& v, IpHashAffinity& out) {
  std::uint16_t v4 = out.ipv4_prefix, v6 = out.ipv6_prefix;
  m.read("ipv4_prefix", v4);
  m.read("ipv6_prefix", v6);
  read_bounded_load(m, out.bounded_load);
  if (v4 < 1 || v4 > 32) v.bad("ipv4_prefix must be 1 to 32");
  if (v6 < 1 || v6 > 128) v.bad("ipv6_prefix must be 1 to 128");
  out.ipv4_prefix = static_cast<std::uint8_t>(std::min<std::uint16_t>(v4, 32));
  out.ipv6_prefix = static_cast<std::uint8_t>(std::min<std::uint16_t>(v6, 128));
}

void read_jwt_claim(Map& m, const Value& v, JwtClaimAffinity& out) {
  m.read("verifier", out.verifier);
  m.read("claim", out.claim);
  read_carry_store(m, out.carry);
  if (out.carry == Carry::nothing) read_bounded_load(m, out.bounded_load);
  if (out.verifier.empty()) v.bad("needs `verifier:`, one of `jwt`");
  if (out.claim.empty()) v.bad("needs `claim:`");
}

struct Word {
  const char* word;
  AffinityKind kind;
};
constexpr Word words[] = {
    {"cookie", AffinityKind::cookie},         {"url_rewrite", AffinityKind::url_rewrite},
    {"app_cookie", AffinityKind::app_cookie}, {"header", AffinityKind::header},
    {"ip_hash", AffinityKind::ip_hash},       {"jwt_claim", AffinityKind::jwt_claim},
};

/// A kind alone or a map with `kind:`. Nothing: it was wrong.
std::optional<Affinity> read_kind(const Value& v) {
  const bool alone = v.node.IsScalar();
  if (!alone && !v.is_map()) {
    v.bad("must be a kind, a map with `kind:`, or a list of them");
    return std::nullopt;
  }
  const YAML::Node node = alone ? v.node : v.node["kind"];
  if (!node || !node.IsScalar()) {
    v.bad("needs `kind:`, a single word");
    return std::nullopt;
  }
  Affinity out;
  std::string all;
  const Word* known = nullptr;
  for (const Word& w : words) {
    all += std::string(all.empty() ? "" : " | ") + w.word;
    if (node.Scalar() == w.word) known = &w;
  }
  if (known == nullptr) {
    v.bad("'" + node.Scalar() + "' is none of " + all);
    return std::nullopt;
  }
  out.kind = known->kind;
  YAML::Node settings = alone ? YAML::Node(YAML::NodeType::Map) : v.node;
  Map m(Value{settings, v.key, v.mark, v.errors});
  m.get("kind");
  switch (out.kind) {
    case AffinityKind::cookie:
      read_cookie(m, v, out.cookie);
      break;
    case AffinityKind::url_rewrite:
      read_url_rewrite(m, v, out.url_rewrite);
      break;
    case AffinityKind::app_cookie:
      read_app_cookie(m, v, out.app_cookie);
      break;
    case AffinityKind::header:
      read_header(m, v, out.header);
      break;
    case AffinityKind::ip_hash:
      read_ip_hash(m, v, out.ip_hash);
      break;
    case AffinityKind::jwt_claim:
      read_jwt_claim(m, v, out.jwt_claim);
      break;
  }
  return out;
}

/// Two kinds of a list that would stand in each other's way.
void check_list(const Value& v, const std::vector<Affinity>& kinds) {
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i].kind == AffinityKind::ip_hash && i + 1 < kinds.size())
      v.bad("ip_hash recognises every client, so what stands behind it is never asked; put it last");
    for (std::size_t j = 0; j < i; ++j) {
      if (kinds[i].kind != kinds[j].kind) continue;
      const bool named_apart =
          (kinds[i].kind == AffinityKind::app_cookie &&
           kinds[i].app_cookie.name != kinds[j].app_cookie.name) ||
          (kinds[i].kind == AffinityKind::header && !iequals(kinds[i].header.name, kinds[j].header.name)) ||
          (kinds[i].kind == AffinityKind::jwt_claim &&
           (kinds[i].jwt_claim.claim != kinds[j].jwt_claim.claim ||
            kinds[i].jwt_claim.verifier != kinds[j].jwt_claim.verifier));
      if (!named_apart) v.bad("the same kind stands in the list twice");
    }
  }
}

}  // namespace

bool derived(const Affinity& a) noexcept {
  switch (a.kind) {
    case AffinityKind::ip_hash:
      return true;
    case AffinityKind::header:
      return !a.header.learn && a.header.carry == Carry::nothing;
    case AffinityKind::jwt_claim:
      return a.jwt_claim.carry == Carry::nothing;
    default:
      return false;
  }
}

void read_affinity(const Value& v, std::vector<Affinity>& out) {
  if (v.node.IsScalar() && v.node.Scalar() == "none") return;
  if (!v.is_list()) {
    if (auto kind = read_kind(v)) out.push_back(std::move(*kind));
    return;
  }
  for_each_item(v, false, [&](const Value& item) {
    if (auto kind = read_kind(item)) out.push_back(std::move(*kind));
  });
  constexpr std::size_t most_kinds = 4;
  if (v.node.size() == 0) v.bad("needs at least one kind, or none");
  if (v.node.size() > most_kinds) v.bad("at most 4 kinds");
  check_list(v, out);
}

}  // namespace remora::config
