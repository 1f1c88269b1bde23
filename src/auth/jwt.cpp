#include "auth/jwt.h"

#include <openssl/sha.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cmath>

#include "auth/strict_json.h"
#include "util/hash.h"
#include "util/text.h"

namespace remora {

namespace json = boost::json;

namespace {

constexpr std::size_t max_token_bytes = 16 * 1024;

std::optional<std::string> decode(std::string_view part) {
  std::string out(part.size(), '\0');
  const auto n = base64url_decode(part, reinterpret_cast<std::uint8_t*>(out.data()), out.size());
  if (!n) return std::nullopt;
  out.resize(*n);
  return out;
}

double seconds_of(Clock::Wall t) {
  return std::chrono::duration<double>(t.time_since_epoch()).count();
}

/// A NumericDate. Nothing: not a number, or not a plausible date.
std::optional<double> date_of(const json::value& v) {
  double n = 0;
  if (v.is_int64())
    n = static_cast<double>(v.get_int64());
  else if (v.is_uint64())
    n = static_cast<double>(v.get_uint64());
  else if (v.is_double())
    n = v.get_double();
  else
    return std::nullopt;
  if (!std::isfinite(n) || std::abs(n) > 1e13) return std::nullopt;
  return n;
}

std::optional<std::string> text_of(const json::value& v) {
  if (v.is_string()) return std::string(v.get_string());
  if (v.is_int64()) return std::to_string(v.get_int64());
  if (v.is_uint64()) return std::to_string(v.get_uint64());
  if (v.is_bool()) return v.get_bool() ? "true" : "false";
  return std::nullopt;
}

/// Whether the claim is the value, or a list that contains it. `scope` is a list in one text (RFC 8693 4.2).
bool claim_has(const std::string& name, const json::value& v, const std::string& wanted) {
  if (v.is_array())
    return std::any_of(v.get_array().begin(), v.get_array().end(),
                       [&](const json::value& item) { return text_of(item) == wanted; });
  const auto text = text_of(v);
  if (!text) return false;
  if (name != "scope" && name != "scp") return *text == wanted;
  for (std::string_view rest = *text; !rest.empty();) {
    const auto space = rest.find(' ');
    if (rest.substr(0, space) == wanted) return true;
    rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  }
  return false;
}

JwtOutcome judge_times(const JwtClaims& claims, const config::Jwt& rules, Clock::Wall now) {
  const double at = seconds_of(now), leeway = std::chrono::duration<double>(rules.leeway).count();
  if (at >= claims.expires + leeway) return JwtOutcome::expired;
  if (at + leeway < claims.not_before) return JwtOutcome::early;
  return JwtOutcome::fine;
}

/// Whether the token is meant for us and for now.
JwtOutcome judge_addressee(const json::object& payload, const config::Jwt& rules, Clock::Wall now,
                           JwtClaims& claims) {
  for (const char* name : {"exp", "nbf", "iat"}) {
    const json::value* v = payload.if_contains(name);
    if (v == nullptr) continue;
    const auto date = date_of(*v);
    if (!date) return JwtOutcome::malformed;
    if (*name == 'e')
      claims.expires = *date;
    else
      claims.not_before = std::max(claims.not_before, *date);  // a token from the future is not valid yet
  }
  if (!payload.contains("exp")) return JwtOutcome::expired;
  if (const JwtOutcome times = judge_times(claims, rules, now); times != JwtOutcome::fine) return times;
  if (!rules.issuer.empty()) {
    const json::value* iss = payload.if_contains("iss");
    if (iss == nullptr || !iss->is_string() || std::string_view(iss->get_string()) != rules.issuer)
      return JwtOutcome::issuer;
  }
  if (!rules.audience.empty()) {
    const json::value* aud = payload.if_contains("aud");
    if (aud == nullptr || !claim_has("aud", *aud, rules.audience)) return JwtOutcome::audience;
  }
  return JwtOutcome::fine;
}

/// Checks the payload against the other rules and fills `claims`.
JwtOutcome judge_claims(const json::object& payload, const config::Jwt& rules, JwtClaims& claims) {
  for (const auto& [name, wanted] : rules.required_claims) {
    const json::value* v = payload.if_contains(name);
    if (v == nullptr || !claim_has(name, *v, wanted)) return JwtOutcome::claims;
  }
  // A list, an object, null or a fraction has no text to look up: such a token could never be revoked.
  for (const std::string& name : rules.revocation_claims)
    if (const json::value* v = payload.if_contains(name); v != nullptr && !text_of(*v))
      return JwtOutcome::claims;
  for (const auto& entry : payload)
    if (auto text = text_of(entry.value())) claims.texts.emplace(entry.key(), std::move(*text));
  return JwtOutcome::fine;
}

}  // namespace

std::string_view to_string(JwtOutcome o) noexcept {
  constexpr std::string_view words[] = {"fine",     "absent",    "ambiguous", "malformed", "algorithm",
                                        "key",      "signature", "expired",   "early",     "issuer",
                                        "audience", "claims",    "revoked",   "unchecked"};
  static_assert(std::size(words) == static_cast<std::size_t>(JwtOutcome::count_));
  return words[static_cast<std::size_t>(o)];
}

namespace {

/// A token split into its parts. Nothing is verified yet.
struct Parsed {
  JwtOutcome outcome = JwtOutcome::malformed;  // fine: the rest is set
  JwtAlgorithm algorithm{};
  std::optional<std::string> kid;
  std::string payload, signature;
  std::string_view signed_part;
};

Parsed parse(std::string_view token, const std::vector<JwtAlgorithm>& algorithms) {
  Parsed out;
  if (token.size() > max_token_bytes || std::count(token.begin(), token.end(), '.') != 2) return out;
  const auto first = token.find('.'), second = token.rfind('.');
  const auto head_text = decode(token.substr(0, first));
  auto payload = decode(token.substr(first + 1, second - first - 1));
  auto signature = decode(token.substr(second + 1));
  if (!head_text || !payload || !signature || head_text->empty()) return out;
  const auto head = parse_strict_object(*head_text);
  if (!head) return out;
  // RFC 7515 4.1.11: `crit` names extensions that must be understood, and remora knows none. `zip` belongs to
  // RFC 7516, not to JWS.
  if (head->contains("crit") || head->contains("zip") || head->contains("b64")) return out;
  const json::value *alg = head->if_contains("alg"), *kid = head->if_contains("kid");
  if (alg == nullptr || !alg->is_string() || (kid != nullptr && !kid->is_string())) return out;
  const auto algorithm = parse_jwt_algorithm(alg->get_string());
  if (!algorithm || std::find(algorithms.begin(), algorithms.end(), *algorithm) == algorithms.end()) {
    out.outcome = JwtOutcome::algorithm;
    return out;
  }
  if (signature->empty()) {
    out.outcome = JwtOutcome::signature;
    return out;
  }
  out.outcome = JwtOutcome::fine;
  out.algorithm = *algorithm;
  if (kid != nullptr) out.kid = kid->get_string();
  out.payload = std::move(*payload);
  out.signature = std::move(*signature);
  out.signed_part = token.substr(0, second);
  return out;
}

/// The keys that may have signed a token: those with its kid, then those without a kid. All keys if it has no
/// kid.
struct Candidates {
  std::array<const JwtKey*, max_signature_checks> keys{};
  std::size_t count = 0;
  JwtOutcome outcome = JwtOutcome::key;  // fine: there are some
};

Candidates candidates(const Parsed& token, const JwtKeySet& keys) {
  Candidates out;
  bool known = false;
  for (const bool by_name : {true, false})
    for (const JwtKey& key : keys) {
      if (token.kid ? (by_name ? key.id().empty() || key.id() != *token.kid : !key.id().empty()) : by_name)
        continue;
      known = true;
      if (key.serves(token.algorithm) && out.count < out.keys.size()) out.keys[out.count++] = &key;
    }
  if (known) out.outcome = out.count > 0 ? JwtOutcome::fine : JwtOutcome::algorithm;
  return out;
}

JwtOutcome check_signature(const Parsed& token, const Candidates& by, unsigned& checks) {
  for (std::size_t i = 0; i < by.count; ++i) {
    ++checks;
    if (by.keys[i]->verifies(token.algorithm, token.signed_part, token.signature)) return JwtOutcome::fine;
  }
  return JwtOutcome::signature;
}

bool is_hmac(JwtAlgorithm a) noexcept {
  return a == JwtAlgorithm::hs256 || a == JwtAlgorithm::hs384 || a == JwtAlgorithm::hs512;
}

}  // namespace

JwsParts verify_jws(std::string_view token, const std::vector<JwtAlgorithm>& algorithms,
                    const JwtKeySet& keys) {
  Parsed parsed = parse(token, algorithms);
  if (parsed.outcome != JwtOutcome::fine) return {parsed.outcome, {}};
  const Candidates by = candidates(parsed, keys);
  if (by.outcome != JwtOutcome::fine) return {by.outcome, {}};
  unsigned checks = 0;
  const JwtOutcome outcome = check_signature(parsed, by, checks);
  if (outcome != JwtOutcome::fine) return {outcome, {}};
  return {outcome, std::move(parsed.payload)};
}

JwtVerdict verify_jwt(std::string_view token, const config::Jwt& rules, const JwtKeySet& keys,
                      Clock::Wall now, ForgedTokens* forged, std::uint64_t keys_id) {
  const Parsed parsed = parse(token, rules.algorithms);
  if (parsed.outcome != JwtOutcome::fine) return {parsed.outcome, nullptr};
  const Candidates by = candidates(parsed, keys);
  if (by.outcome != JwtOutcome::fine) return {by.outcome, nullptr};
  // A token that is refused whoever signed it costs no signature check. The client learns nothing from that:
  // another issuer or audience gets the response of a forged token, and `exp` is the token's own.
  const auto payload = parse_strict_object(parsed.payload);
  if (!payload) return {JwtOutcome::malformed, nullptr};
  auto claims = std::make_shared<JwtClaims>();
  if (const auto outcome = judge_addressee(*payload, rules, now, *claims); outcome != JwtOutcome::fine)
    return {outcome, nullptr};
  if (is_hmac(parsed.algorithm)) forged = nullptr;  // checking is cheaper than remembering
  const ForgedTokens::Digest digest =
      forged != nullptr ? ForgedTokens::digest_of(token) : ForgedTokens::Digest{};
  if (forged != nullptr && forged->contains(digest, keys_id)) return {JwtOutcome::signature, nullptr};
  JwtVerdict verdict;
  verdict.outcome = check_signature(parsed, by, verdict.checks);
  if (verdict.outcome != JwtOutcome::fine) {
    if (forged != nullptr) forged->add(digest, keys_id);
    return verdict;
  }
  verdict.outcome = judge_claims(*payload, rules, *claims);
  if (verdict.outcome == JwtOutcome::fine) verdict.claims = std::move(claims);
  return verdict;
}

// Caches --------------------------------------------------------------------------------------------

ForgedTokens::Digest ForgedTokens::digest_of(std::string_view token) {
  Digest out;
  ::SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), out.data());
  return out;
}

std::size_t ForgedTokens::slot_of(const Digest& digest) noexcept {
  return (digest[0] | digest[1] << 8) % slots;
}

bool ForgedTokens::contains(const Digest& digest, std::uint64_t keys_id) const noexcept {
  if (!slots_) return false;
  const Slot& slot = (*slots_)[slot_of(digest)];
  return slot.used && slot.keys_id == keys_id && slot.digest == digest;
}

void ForgedTokens::add(const Digest& digest, std::uint64_t keys_id) {
  if (!slots_) slots_ = std::make_unique<std::array<Slot, slots>>();
  (*slots_)[slot_of(digest)] = {digest, keys_id, true};
}

JwtVerdict JwtCache::verify(std::string_view token, const config::Jwt& rules, const JwtKeySet& keys,
                            std::uint64_t keys_id, Clock::Wall now) {
  if (token.size() > max_token) return verify_jwt(token, rules, keys, now, &forged_, keys_id);
  if (!slots_) slots_ = std::make_unique<std::array<Slot, slots>>();
  Slot& slot = (*slots_)[(hash_text(token) ^ keys_id) % slots];
  if (slot.claims && slot.keys_id == keys_id && slot.token == token) {
    const JwtOutcome times = judge_times(*slot.claims, rules, now);
    if (times == JwtOutcome::fine) return {times, slot.claims};
    slot.claims.reset();
    slot.token.clear();
    return {times, nullptr};
  }
  JwtVerdict verdict = verify_jwt(token, rules, keys, now, &forged_, keys_id);
  if (verdict.outcome == JwtOutcome::fine) {
    slot.keys_id = keys_id;
    slot.token = token;
    slot.claims = verdict.claims;
  }
  return verdict;
}

}  // namespace remora
