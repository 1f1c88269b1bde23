// SessionProof: proves which backend owns a session at which epoch, so that the session API need not trust
// its callers.
//
// With `session_api`, Remora-Session toward backends carries the parameters at=MS, the time it was sent, and
// mac="...": 32 base64url characters of the backend hash (8 bytes) and an HMAC-SHA256, cut to 128 bits, over
// session id, epoch and backend. HMAC keys are derived from the key ring for each pool (HKDF, RFC 5869). The
// first key makes proofs; all keys are accepted, so that keys can be rotated.
//
// Threading: const after construction. append() allocates nothing and costs two SHA-256 blocks.
#pragma once

#include <openssl/sha.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "affinity/seal.h"

namespace remora {

/// HMAC-SHA256 (RFC 2104) with the key's blocks already hashed.
class KeyedHash {
 public:
  /// Keys longer than 64 bytes are cut to 64 (not hashed as in RFC 2104); ours have 32.
  explicit KeyedHash(std::string_view key);
  ~KeyedHash();
  KeyedHash(const KeyedHash&) = default;
  KeyedHash& operator=(const KeyedHash&) = delete;
  std::array<std::uint8_t, 32> operator()(std::string_view text) const;

 private:
  SHA256_CTX inner_, outer_;
};

class SessionProof {
 public:
  struct Owner {
    std::uint32_t epoch = 0;
    std::uint64_t backend = 0;
  };
  /// REQUIRES: at least one key.
  SessionProof(const KeyRing& keys, std::string_view pool);
  /// Appends ;at=MS;mac="..." to a Remora-Session value. `sent`: when the backend is told; by it the session
  /// API recognizes a write that began before a deletion. Zero: no `at`.
  void append(const Binding& binding, Clock::Wall sent, std::string& out) const;
  /// The owner that the field names; nothing: its proof is missing or invalid.
  std::optional<Owner> check(std::string_view field, const SessionId& id, std::uint32_t epoch) const;
  /// The time in `at`: when the backend got the field; zero: absent or invalid.
  static Clock::Wall sent_at(std::string_view field) noexcept;

 private:
  std::vector<KeyedHash> keys_;
};

}  // namespace remora
