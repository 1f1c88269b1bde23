// Who owns a session at which epoch, so that the session API need not take a caller's word for it.
//
// With `session_api`, Remora-Session carries one more parameter towards the backends: mac="...", 32 base64url
// characters of the backend (8 bytes) and of HMAC-SHA256, cut to 128 bits, over session id, epoch and
// backend. The HMAC keys are made of the key ring for each pool (HKDF, RFC 5869). The first key speaks; all
// are understood, so that keys can be rotated. Threading: const after construction. append() allocates
// nothing and costs two SHA-256 blocks.
#pragma once

#include <openssl/sha.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "affinity/seal.h"

namespace remora {

/// HMAC-SHA256 (RFC 2104) whose key was taken in before.
class KeyedHash {
 public:
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
  /// Appends ;at=MS;mac="..." to the announcement of this binding. `sent`: when the backend is told, by which
  /// the session API knows a write that was begun before a deletion.
  void append(const Binding& binding, Clock::Wall sent, std::string& out) const;
  /// Who the field says is the owner; nothing: its proof is missing or false.
  std::optional<Owner> check(std::string_view field, const SessionId& id, std::uint32_t epoch) const;
  /// When the request came that brought the field; zero: it does not say.
  static Clock::Wall sent_at(std::string_view field) noexcept;

 private:
  std::vector<KeyedHash> keys_;
};

}  // namespace remora
