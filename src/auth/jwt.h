// Verifies JSON Web Tokens (RFC 7519, with the advice of RFC 8725). Pure: the caller passes the time.
//
// Compact JWS only. The algorithm must be one of the verifier's and fit the key. Keys that the token itself
// names (jwk, jku, x5c, x5u) are ignored; `crit`, `zip` and `b64` are refused. `exp` is required: a token
// without it would never end.
// Threading: const after construction; each worker has its own cache.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/key.h"
#include "remora/clock.h"
#include "remora/config.h"

namespace remora {

/// Why a token was refused. Spelled so in metrics.
enum class JwtOutcome : std::uint8_t {
  fine,
  absent,
  ambiguous,  // more than one token in the request
  malformed,
  algorithm,  // not one of the verifier's, or no key serves it
  key,        // no key with the token's kid
  signature,
  expired,
  early,  // nbf or iat lies in the future
  issuer,
  audience,
  claims,  // required_claims
  revoked,
  unchecked,  // the store of revoked claims could not be asked
  count_
};
std::string_view to_string(JwtOutcome) noexcept;

/// The claims of a verified token.
struct JwtClaims {
  std::map<std::string, std::string, std::less<>> texts;  // strings, integers and booleans as text
  double expires = 0, not_before = 0;                     // NumericDate
};

struct JwtVerdict {
  JwtOutcome outcome = JwtOutcome::malformed;
  std::shared_ptr<const JwtClaims> claims;  // if `fine`
  unsigned checks = 0;                      // signature checks made for it
};

/// Limit of signature checks per token. A forged one costs up to 0.7 ms for each key that fits it. Tokens
/// need a `kid` if a set has more keys of one type.
constexpr std::size_t max_signature_checks = 4;

/// Tokens with a wrong signature: the same token again costs no check. Bounded: a newer token takes the slot
/// of an older one. Threading: one per worker.
class ForgedTokens {
 public:
  using Digest = std::array<std::uint8_t, 32>;
  static Digest digest_of(std::string_view token);
  bool contains(const Digest& digest, std::uint64_t keys_id) const noexcept;
  void add(const Digest& digest, std::uint64_t keys_id);

 private:
  static constexpr std::size_t slots = 512;
  struct Slot {
    Digest digest{};
    std::uint64_t keys_id = 0;
    bool used = false;
  };
  static std::size_t slot_of(const Digest& digest) noexcept;
  std::unique_ptr<std::array<Slot, slots>> slots_;  // made with the first
};

/// Checks only the signature, of any payload. For the published test vectors.
struct JwsParts {
  JwtOutcome outcome = JwtOutcome::malformed;
  std::string payload;
};
JwsParts verify_jws(std::string_view token, const std::vector<JwtAlgorithm>& algorithms,
                    const JwtKeySet& keys);

/// `forged`: may be null. `keys_id`: identifies these rules and keys.
JwtVerdict verify_jwt(std::string_view token, const config::Jwt& rules, const JwtKeySet& keys,
                      Clock::Wall now, ForgedTokens* forged = nullptr, std::uint64_t keys_id = 0);

/// A cache of verified tokens, because clients send the same one with each request. Bounded; compares whole
/// tokens.
class JwtCache {
 public:
  JwtVerdict verify(std::string_view token, const config::Jwt& rules, const JwtKeySet& keys,
                    std::uint64_t keys_id, Clock::Wall now);

 private:
  static constexpr std::size_t slots = 1024, max_token = 4096;
  struct Slot {
    std::uint64_t keys_id = 0;
    std::string token;
    std::shared_ptr<const JwtClaims> claims;
  };
  std::unique_ptr<std::array<Slot, slots>> slots_;  // made with the first token
  ForgedTokens forged_;
};

}  // namespace remora
