// Verifies JSON Web Tokens (RFC 7519, with the advice of RFC 8725). Pure, but for the clock that it is given.
//
// Compact JWS only. The algorithm must be one of the verifier's and fit the key; what a token itself says of
// keys (jwk, jku, x5c, x5u) is not looked at, `crit` and `zip` are refused. `exp` is required: a token that
// never ends cannot be taken back. Threading: const after construction; each worker has a cache of its own.
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

/// Why a token was refused; spelled so in metrics.
enum class JwtOutcome : std::uint8_t {
  fine,
  absent,
  ambiguous,  // more than one token in the request
  malformed,
  algorithm,  // not one of the verifier's, or not for any of its keys
  key,        // no key with the token's kid
  signature,
  expired,
  early,  // nbf or iat
  issuer,
  audience,
  claims,  // required_claims
  revoked,
  unchecked,  // the store of revoked claims could not be asked
  count_
};
std::string_view to_string(JwtOutcome) noexcept;

/// What a verified token says.
struct JwtClaims {
  std::map<std::string, std::string, std::less<>>
      texts;                           // strings, numbers, booleans as text; nothing nested
  double expires = 0, not_before = 0;  // NumericDate
};

struct JwtVerdict {
  JwtOutcome outcome = JwtOutcome::malformed;
  std::shared_ptr<const JwtClaims> claims;  // when fine
  unsigned checks = 0;                      // signatures that were computed for it
};

/// Signature checks for one token. A forged one costs us up to 0.7 ms for each key that fits it; sets with
/// more keys of a kind need tokens with `kid`.
constexpr std::size_t max_signature_checks = 4;

/// Tokens whose signature was wrong, so that the same one again costs no check. Bounded: a newer one takes an
/// older one's place. Threading: one per worker.
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

/// Only the signature, of any payload: for the published vectors and for verify_jwt.
struct JwsParts {
  JwtOutcome outcome = JwtOutcome::malformed;
  std::string payload;
};
JwsParts verify_jws(std::string_view token, const std::vector<JwtAlgorithm>& algorithms,
                    const JwtKeySet& keys);

/// `forged`: may be null; `keys_id`: of these rules and keys.
JwtVerdict verify_jwt(std::string_view token, const config::Jwt& rules, const JwtKeySet& keys,
                      Clock::Wall now, ForgedTokens* forged = nullptr, std::uint64_t keys_id = 0);

/// Tokens that were verified before: clients send the same one with each request. Bounded; compares whole
/// tokens.
class JwtCache {
 public:
  JwtVerdict verify(std::string_view token, const config::Jwt& rules, const JwtKeySet& keys,
                    std::uint64_t keys_id, Clock::Wall now);

 private:
  static constexpr std::size_t slots = 1024, most_token = 4096;
  struct Slot {
    std::uint64_t keys_id = 0;
    std::string token;
    std::shared_ptr<const JwtClaims> claims;
  };
  std::unique_ptr<std::array<Slot, slots>> slots_;  // made with the first token
  ForgedTokens forged_;
};

}  // namespace remora
