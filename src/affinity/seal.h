// Sealed tokens: authenticated encryption of a binding, and the keys for it.
//
// XAES-256-GCM (C2SP XAES-256-GCM 2024): AES-256-GCM under a key derived from 96 bits of a 192-bit random
// nonce, so that random nonces never repeat in practice. Layout before base64url, 96 bytes:
//
//   2  key number (first bytes of the key's SHA-256), in clear
//  24  nonce
//  54  sealed: format 1, session id 16, backend hash 8, generation 8, epoch 4, created 8, last seen 8,
//      flags 1
//  16  tag
//
// Associated data: pool, kind and name, so that a token is valid nowhere else.
// Threading: KeyRing is immutable; CryptoScratch belongs to one worker.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "remora/affinity.h"

struct evp_cipher_ctx_st;

namespace remora {

/// Characters of a token.
inline constexpr std::size_t token_text_size = 128;
using TokenText = std::array<char, token_text_size>;

class KeyRing {
 public:
  struct Key {
    std::array<std::uint8_t, 32> bytes;
    std::array<std::uint8_t, 16> cmac_k1;  // the derivation's subkey, computed once
    std::uint16_t number;
  };
  /// REQUIRES: 32 bytes each. The first key seals, all keys open.
  explicit KeyRing(std::span<const std::string> keys);
  ~KeyRing();
  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;
  const std::vector<Key>& keys() const noexcept { return keys_; }
  /// Whether a text has the size of a token and names one of these keys. Says nothing about authenticity.
  bool could_open(std::string_view token) const noexcept;

 private:
  std::vector<Key> keys_;
};

/// Cipher contexts, and caches of opened tokens and named ids: a client sends the same one with each request.
class CryptoScratch {
 public:
  CryptoScratch();
  ~CryptoScratch();
  CryptoScratch(const CryptoScratch&) = delete;
  CryptoScratch& operator=(const CryptoScratch&) = delete;

 private:
  friend class TokenSealer;
  friend class BlobSealer;
  friend class SessionNamer;
  static constexpr std::size_t token_text = token_text_size;
  struct Cached {
    std::uint64_t owner = 0;  // which sealer opened it; 0: empty
    std::array<char, token_text> text;
    Binding binding;
    bool old_key;
  };
  static constexpr std::size_t max_named_text = 119;
  struct Named {
    std::uint64_t owner = 0;  // which namer; 0: empty
    std::uint8_t size = 0;
    std::array<char, max_named_text> text;
    SessionKey key;
  };
  static constexpr std::size_t cache_slots = 1024;
  evp_cipher_ctx_st* ecb_;
  evp_cipher_ctx_st* gcm_;
  std::unique_ptr<Cached[]> cache_;
  std::unique_ptr<Named[]> names_;  // made when the first id is named
};

/// Whether a text has the form of a token, whosever it is. Needs no keys.
bool has_token_form(std::string_view text) noexcept;

/// Cryptographically random bytes. Aborts the process if there are none, because nothing could be sealed.
void random_bytes(std::span<std::uint8_t> out);
SessionId new_session_id();

/// Seals and opens the tokens of one pool and kind. Threading: const after construction.
class TokenSealer {
 public:
  TokenSealer(std::shared_ptr<const KeyRing> keys, std::string_view pool, std::string_view kind,
              std::string_view name);

  /// Makes a token. `bound_to`: further data without which it cannot be opened (the app's id).
  TokenText sealed(const Binding& binding, CryptoScratch& scratch, std::string_view bound_to = {}) const;
  /// The same, appended to a text.
  void seal(const Binding& binding, CryptoScratch& scratch, std::string& out,
            std::string_view bound_to = {}) const {
    const TokenText token = sealed(binding, scratch, bound_to);
    out.append(token.data(), token.size());
  }
  struct Outcome {
    Cause cause = Cause::none;  // none: opened
    Binding binding;
    bool old_key = false;
  };
  /// Opens and authenticates; says nothing about lifetimes.
  Outcome open(std::string_view token, CryptoScratch& scratch, std::string_view bound_to = {}) const;

 private:
  std::shared_ptr<const KeyRing> keys_;
  std::string associated_data_;
  std::uint64_t owner_;
};

/// Seals bytes of any length in the way of tokens. Threading: const after construction.
class BlobSealer {
 public:
  BlobSealer(std::shared_ptr<const KeyRing> keys, std::string purpose);
  /// REQUIRES: at least one key.
  std::string seal(std::string_view plain, std::string_view bound_to, CryptoScratch& scratch) const;
  std::optional<std::string> open(std::string_view sealed, std::string_view bound_to,
                                  CryptoScratch& scratch) const;

 private:
  std::shared_ptr<const KeyRing> keys_;
  std::string purpose_;
};

/// Names the app's session ids: HMAC-SHA256(index key, pool, id). Threading: const after construction.
class SessionNamer {
 public:
  SessionNamer(std::string index_key, std::string_view pool);
  ~SessionNamer();
  SessionNamer(const SessionNamer&) = delete;
  SessionNamer& operator=(const SessionNamer&) = delete;
  SessionKey name(std::string_view id, CryptoScratch& scratch) const;

 private:
  std::string index_key_, prefix_;
  std::uint64_t owner_;
};

/// The bare construction, exposed for its published test vectors. `out`: plain.size() + 16 bytes.
void xaes_256_gcm_seal(const KeyRing::Key& key, std::span<const std::uint8_t, 24> nonce,
                       std::string_view associated_data, std::span<const std::uint8_t> plain,
                       std::uint8_t* out);

}  // namespace remora
