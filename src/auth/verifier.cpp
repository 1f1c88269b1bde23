#include "auth/verifier.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "util/cookies.h"
#include "util/text.h"

namespace remora {

namespace {

std::string read_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Adds a token to what was found: a second one makes it ambiguous.
void found(std::string_view token, FoundToken& out) noexcept {
  if (out.outcome == JwtOutcome::absent)
    out = {JwtOutcome::fine, token};
  else if (out.token != token)
    out.outcome = JwtOutcome::ambiguous;
}

}  // namespace

JwtKeySet load_jwt_keys(const config::Jwt& rules) {
  std::string why;
  JwtKeySet keys;
  const auto refuse = [&](const std::string& what) -> void {
    throw std::runtime_error("jwt." + rules.name + ".keys: " + what);
  };
  if (!rules.secret.empty()) {
    auto key = JwtKey::from_secret(rules.secret, why);
    if (!key) refuse(why);
    keys.push_back(std::move(*key));
  } else if (!rules.public_key.empty()) {
    auto key = JwtKey::from_pem(read_file(rules.public_key), why);
    if (!key) refuse(rules.public_key + ": " + why);
    keys.push_back(std::move(*key));
  } else if (rules.jwks_file.empty()) {
    return keys;  // behind a URL
  } else {
    auto set = parse_jwks(read_file(rules.jwks_file), why);
    if (!set) refuse(rules.jwks_file + ": " + why);
    keys = std::move(*set);
  }
  for (const JwtAlgorithm a : rules.algorithms)
    if (std::none_of(keys.begin(), keys.end(), [&](const JwtKey& k) { return k.serves(a); }))
      refuse("no key serves " + std::string(to_string(a)) + " (wrong type, curve or size)");
  return keys;
}

std::string concern_about(const JwtKeySet& keys, const config::Jwt& rules) {
  for (const JwtAlgorithm a : rules.algorithms) {
    const auto fits = std::count_if(keys.begin(), keys.end(), [&](const JwtKey& k) { return k.serves(a); });
    const auto nameless = std::count_if(keys.begin(), keys.end(),
                                        [&](const JwtKey& k) { return k.serves(a) && k.id().empty(); });
    const auto limit = static_cast<std::ptrdiff_t>(max_signature_checks);
    if (fits <= limit) continue;
    return "jwt." + rules.name + ".keys: " + std::to_string(fits) + " keys serve " +
           std::string(to_string(a)) + ", and a token without `kid` is tried with " + std::to_string(limit) +
           " of them only" + (nameless > limit ? "; give the keys a `kid`" : "");
  }
  return "";
}

FoundToken find_token(std::span<const Field> fields, std::string_view query,
                      const config::Jwt& rules) noexcept {
  FoundToken out;
  for (const auto& [carrier, name] : rules.from) {
    switch (carrier) {
      case config::Jwt::Carrier::bearer: {
        std::size_t seen = 0;
        for (const Field& f : fields) {
          if (f.name.size() != 13 || !iequals(f.name, "authorization")) continue;
          if (++seen > 1) out.outcome = JwtOutcome::ambiguous;
          if (istarts_with(f.value, "bearer ")) found(trim(f.value.substr(7)), out);
        }
        break;
      }
      case config::Jwt::Carrier::cookie:
        for (const Field& f : fields)
          if (f.known == Known::cookie)
            for_each_cookie(f.value, [&](const CookiePair& pair) {
              if (pair.name == name && !pair.value.empty()) found(pair.value, out);
              return true;
            });
        break;
      case config::Jwt::Carrier::query:
        for (std::string_view rest = query; !rest.empty();) {
          const auto end = rest.find('&');
          const std::string_view pair = rest.substr(0, end);
          const auto equals = pair.find('=');
          if (equals != std::string_view::npos && pair.substr(0, equals) == name && equals + 1 < pair.size())
            found(pair.substr(equals + 1), out);
          rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
        }
        break;
    }
  }
  return out;
}

std::optional<std::string_view> PassedVerifiers::find(std::string_view verifier,
                                                      std::string_view claim) const noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (passed_[i].verifier->rules.name != verifier) continue;
    const auto text = passed_[i].claims->texts.find(claim);
    if (text == passed_[i].claims->texts.end()) return std::nullopt;
    return text->second;
  }
  return std::nullopt;
}

bool PassedVerifiers::fits_field(std::string_view text) noexcept {
  constexpr std::size_t max_bytes = 4096;
  return text.size() <= max_bytes && std::none_of(text.begin(), text.end(), [](char c) {
           const auto u = static_cast<unsigned char>(c);
           return (u < ' ' && c != '\t') || u == 0x7f;
         });
}

std::optional<Challenge> refusal(const JwtVerifier& verifier, JwtOutcome outcome,
                                 bool token_required) noexcept {
  switch (outcome) {
    case JwtOutcome::fine:
      return std::nullopt;
    case JwtOutcome::absent:  // RFC 6750 3.1: no error code when nothing was tried
      if (!token_required) return std::nullopt;
      return Challenge{401, "Bearer realm=\"remora\""};
    case JwtOutcome::ambiguous:
      return Challenge{
          400,
          "Bearer realm=\"remora\", error=\"invalid_request\", error_description=\"more than one token\""};
    case JwtOutcome::expired:
      return Challenge{
          401,
          "Bearer realm=\"remora\", error=\"invalid_token\", error_description=\"the token has expired\""};
    case JwtOutcome::claims:
      return Challenge{
          403,
          "Bearer realm=\"remora\", error=\"insufficient_scope\", error_description=\"a claim is missing\""};
    case JwtOutcome::unchecked:
      return Challenge{503, ""};  // with on_error: deny
    case JwtOutcome::revoked:
      return Challenge{
          401,
          "Bearer realm=\"remora\", error=\"invalid_token\", error_description=\"the token was revoked\""};
    case JwtOutcome::key:
      if (verifier.keys->empty())
        return Challenge{503, ""};  // the URL has not answered yet: not the client's fault
      break;
    default:
      break;
  }
  return Challenge{
      401,
      "Bearer realm=\"remora\", error=\"invalid_token\", error_description=\"the token is not valid "
      "here\""};
}

}  // namespace remora
