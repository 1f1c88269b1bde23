// The `jwt` section: named verifiers of JSON Web Tokens.

#include <algorithm>

#include "config/sections.h"
#include "net/fetch.h"
#include "util/text.h"

namespace remora::config {

namespace {

bool is_hmac(JwtAlgorithm a) {
  return a == JwtAlgorithm::hs256 || a == JwtAlgorithm::hs384 || a == JwtAlgorithm::hs512;
}

void read_algorithms(const Value& v, std::vector<JwtAlgorithm>& out) {
  for_each_item(v, true, [&](const Value& item) {
    if (item.node.IsScalar() && iequals(item.node.Scalar(), "none"))
      return item.bad("`none` verifies nothing and is never accepted");
    JwtAlgorithm a{};
    const std::size_t before = item.errors->count();
    using enum JwtAlgorithm;
    read_choice(item, a,
                {{"HS256", hs256},
                 {"HS384", hs384},
                 {"HS512", hs512},
                 {"RS256", rs256},
                 {"RS384", rs384},
                 {"RS512", rs512},
                 {"PS256", ps256},
                 {"PS384", ps384},
                 {"PS512", ps512},
                 {"ES256", es256},
                 {"ES384", es384},
                 {"EdDSA", eddsa}});
    if (item.errors->count() == before) out.push_back(a);
  });
}

/// {jwks_file: F} | {jwks_url: U, refresh: 10m, tls: {ca: F}} | {secret: {file: F}} | {public_key: F}
void read_keys(const Value& v, Jwt& out) {
  Map m(v);
  int given = 0;
  if (const auto secret = m.get("secret")) ++given, read_secret(*secret, out.secret);
  if (const auto file = m.get("public_key")) {
    ++given;
    read_value(*file, out.public_key);
    readable_file(*file, out.public_key);
  }
  if (const auto file = m.get("jwks_file")) {
    ++given;
    read_value(*file, out.jwks_file);
    readable_file(*file, out.jwks_file);
  }
  if (const auto url = m.get("jwks_url")) {
    ++given;
    read_value(*url, out.jwks_url);
    if (!parse_fetch_url(out.jwks_url))
      url->bad("must be a URL of https (or of http, inside a network that you trust)");
  }
  if (const auto refresh = m.get("refresh")) {
    read_positive(*refresh, out.refresh);
    if (out.jwks_url.empty()) refresh->bad("belongs to `jwks_url`");
  }
  if (const auto tls = m.get("tls")) {
    read_backend_tls(*tls, out.tls);
    const auto url = parse_fetch_url(out.jwks_url);
    if (out.jwks_url.empty()) tls->bad("belongs to `jwks_url`");
    if (out.tls && url && !url->secure) tls->bad("belongs to a URL of https");
  }
  if (given != 1) v.bad("needs exactly one of secret, public_key, jwks_file and jwks_url");
}

void read_carriers(const Value& v, Jwt& out) {
  out.from.clear();
  for_each_item(v, true, [&](const Value& item) {
    if (item.node.IsScalar() && item.node.Scalar() == "bearer") {
      out.from.emplace_back(Jwt::Carrier::bearer, "");
      return;
    }
    if (!item.is_map()) return item.bad("must be bearer, {cookie: NAME} or {query: NAME}");
    Map m(item);
    std::string cookie, query;
    m.read("cookie", cookie);
    m.read("query", query);
    if (cookie.empty() == query.empty()) return item.bad("must be bearer, {cookie: NAME} or {query: NAME}");
    if (!is_token(cookie.empty() ? query : cookie))
      return item.bad("a name is made of letters, digits and -_.");
    out.from.emplace_back(cookie.empty() ? Jwt::Carrier::query : Jwt::Carrier::cookie,
                          cookie.empty() ? query : cookie);
  });
  if (out.from.empty()) v.bad("needs at least one place");
}

void read_verifier(const std::string& name, const Value& v, Jwt& out) {
  out.name = name;
  Map m(v);
  if (const auto algorithms = m.get("algorithms"))
    read_algorithms(*algorithms, out.algorithms);
  else
    v.bad(
        "needs `algorithms: [RS256]`, say: what a token may be signed with is yours to choose, not the "
        "token's");
  if (const auto keys = m.get("keys"))
    read_keys(*keys, out);
  else
    v.bad("needs `keys: {jwks_file: F}`, or secret, public_key or jwks_url");
  const bool hmac = std::any_of(out.algorithms.begin(), out.algorithms.end(), is_hmac);
  if (hmac && !std::all_of(out.algorithms.begin(), out.algorithms.end(), is_hmac))
    v.bad(
        "mixes HMAC with public keys: a public key would become a secret that everybody knows (RFC 8725 "
        "2.1)");
  if (hmac && (!out.public_key.empty() || !out.jwks_url.empty()))
    v.bad("HMAC needs `keys: {secret: {file: F}}`");
  if (!hmac && !out.algorithms.empty() && !out.secret.empty())
    v.bad("a secret serves HS256, HS384 and HS512 only");
  const auto optional_text = [&](const char* key, std::string& text) {
    if (const auto x = m.get(key); x && !x->is_null()) read_value(*x, text);
  };
  optional_text("issuer", out.issuer);
  optional_text("audience", out.audience);
  m.read("leeway", out.leeway);
  if (const auto from = m.get("from")) read_carriers(*from, out);
  const auto pairs = [&](const char* key, auto& list, bool headers) {
    const auto x = m.get(key);
    if (!x) return;
    Map map(*x);
    map.for_each([&](const std::string& claim, const Value& item) {
      std::string text;
      read_value(item, text);
      if (headers && !editable_field(item, text)) return;
      list.emplace_back(claim, text);
    });
  };
  pairs("required_claims", out.required_claims, false);
  pairs("forward_claims", out.forward_claims, true);
  if (const auto r = m.get("revocation"); r && !is_off(*r)) {
    Map map(*r);
    map.read_with("claims", out.revocation_claims, [](const Value& x, std::vector<std::string>& o) {
      for_each_item(x, true, [&](const Value& item) { read_value(item, o.emplace_back()); });
    });
    map.read_with("on_error", out.revocation_denies_on_error,
                  [](const Value& x, bool& o) { read_choice(x, o, {{"allow", false}, {"deny", true}}); });
    if (out.revocation_claims.empty())
      r->bad("needs `claims: [jti]`, say: the claims whose values are looked up");
    if (out.revocation_claims.size() > 4) r->bad("at most 4 claims");
  }
}

}  // namespace

void read_jwt(const Value& v, std::vector<Jwt>& out) {
  Map m(v);
  m.for_each([&](const std::string& name, const Value& value) {
    if (!is_token(name)) return value.bad("a verifier's name is made of letters, digits, '-', '_' and '.'");
    Jwt jwt;
    read_verifier(name, value, jwt);
    for (const Jwt& other : out)
      if (!jwt.jwks_url.empty() && other.jwks_url == jwt.jwks_url && other.tls != jwt.tls)
        value.bad("keys.tls: '" + other.name + "' fetches the same jwks_url with another `tls`");
    out.push_back(std::move(jwt));
  });
}

void key_warnings(const Config& config, std::vector<std::string>& out) {
  for (const Jwt& j : config.jwt) {
    const auto same = [&](const std::string& key) {
      return !j.secret.empty() && (j.secret == key || base64_decode(j.secret).value_or("") == key);
    };
    if (std::any_of(config.keys.begin(), config.keys.end(), same))
      out.push_back(
          "jwt." + j.name +
          ".keys.secret is also one of `keys`: whoever may sign tokens could forge sessions; give each "
          "its own (`remora keygen`)");
  }
}

}  // namespace remora::config
