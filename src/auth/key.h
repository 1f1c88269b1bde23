// Keys that verify JWTs: from PEM, from a JWK (RFC 7517), or a shared secret; and sets of them.
//
// A key knows which algorithms it may serve (RFC 8725 3.1): an RSA key never verifies an HMAC, whatever a
// token says. Weak keys (RSA below 2048 bits, secrets below 32 bytes) are refused when they are read. A
// secret shorter than the hash of an algorithm does not serve that algorithm.
// Threading: immutable after construction.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "remora/config.h"

namespace remora {

using JwtAlgorithm = config::JwtAlgorithm;

/// Names as in RFC 7518 3.1 and RFC 8037. Nothing: not supported; `none` is not.
std::optional<JwtAlgorithm> parse_jwt_algorithm(std::string_view name) noexcept;
std::string_view to_string(JwtAlgorithm) noexcept;

class JwtKey {
 public:
  JwtKey(JwtKey&&) noexcept = default;
  JwtKey& operator=(JwtKey&&) noexcept = default;

  /// Each returns nothing on failure, and says why in `why`.
  static std::optional<JwtKey> from_secret(std::string secret, std::string& why);
  static std::optional<JwtKey> from_pem(std::string_view pem, std::string& why);
  static std::optional<JwtKey> from_jwk(std::string_view jwk, std::string& why);

  /// Whether `signature` (decoded) is this key's signature of `signed_part` by `algorithm`.
  bool verifies(JwtAlgorithm algorithm, std::string_view signed_part, std::string_view signature) const;
  /// Decided by the key's type, its size or curve, and its own `alg`.
  bool serves(JwtAlgorithm algorithm) const noexcept;
  const std::string& id() const noexcept { return id_; }  // kid; empty: none

 private:
  enum class Type : std::uint8_t { secret, rsa, p256, p384, ed25519 };
  struct Free {
    void operator()(EVP_PKEY* key) const noexcept;
  };
  using Pkey = std::unique_ptr<EVP_PKEY, Free>;
  JwtKey(Type type, Pkey key) : type_(type), key_(std::move(key)) {}
  static std::optional<JwtKey> from_pkey(Pkey key, std::string& why);

  Type type_;
  Pkey key_;  // null: a secret
  std::string secret_, id_;
  std::optional<JwtAlgorithm> only_;  // the JWK's `alg`
};

using JwtKeySet = std::vector<JwtKey>;

/// Reads a JWK Set. Keys of other uses or types are skipped (RFC 7517 5). A malformed text, or a set without
/// a usable key, is an error.
std::optional<JwtKeySet> parse_jwks(std::string_view text, std::string& why);

}  // namespace remora
