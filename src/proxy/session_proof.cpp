// Uses OpenSSL's deprecated SHA-256 functions, whose state can be copied: EVP_MAC and EVP_MD_CTX_copy
// allocate on each use.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "proxy/session_proof.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "util/text.h"

namespace remora {

namespace {

constexpr std::size_t block_bytes = 64, mac_bytes = 16, proof_bytes = 8 + mac_bytes;
constexpr std::string_view before = ";mac=\"", at_parameter = ";at=";

using Proof = std::array<std::uint8_t, proof_bytes>;

void put(std::uint8_t*& at, std::uint64_t value, int bytes) noexcept {
  for (int i = bytes - 1; i >= 0; --i) *at++ = static_cast<std::uint8_t>(value >> (8 * i));
}

Proof proof_of(const KeyedHash& key, const SessionId& id, std::uint32_t epoch, std::uint64_t backend) {
  std::array<std::uint8_t, 28> text{};
  std::uint8_t* at = std::copy(id.bytes.begin(), id.bytes.end(), text.begin());
  put(at, epoch, 4);
  put(at, backend, 8);
  const auto mac = key({reinterpret_cast<const char*>(text.data()), text.size()});
  Proof out{};
  at = out.data();
  put(at, backend, 8);
  std::copy_n(mac.begin(), mac_bytes, at);
  return out;
}

}  // namespace

KeyedHash::KeyedHash(std::string_view key) : inner_(), outer_() {
  std::array<std::uint8_t, block_bytes> block{};
  std::memcpy(block.data(), key.data(), std::min(key.size(), block.size()));
  for (std::uint8_t& b : block) b ^= 0x36;
  SHA256_Init(&inner_);
  SHA256_Update(&inner_, block.data(), block.size());
  for (std::uint8_t& b : block) b ^= 0x36 ^ 0x5c;
  SHA256_Init(&outer_);
  SHA256_Update(&outer_, block.data(), block.size());
  OPENSSL_cleanse(block.data(), block.size());
}

KeyedHash::~KeyedHash() {
  OPENSSL_cleanse(&inner_, sizeof inner_);
  OPENSSL_cleanse(&outer_, sizeof outer_);
}

std::array<std::uint8_t, 32> KeyedHash::operator()(std::string_view text) const {
  std::array<std::uint8_t, 32> digest{};
  SHA256_CTX context = inner_;
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(digest.data(), &context);
  context = outer_;
  SHA256_Update(&context, digest.data(), digest.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}

SessionProof::SessionProof(const KeyRing& keys, std::string_view pool) {
  const KeyedHash extract(std::string(32, '\0'));  // RFC 5869 2.2: no salt
  std::string info = "remora session owner 1:";
  info.append(pool).append(1, '\x01');
  for (const KeyRing::Key& key : keys.keys()) {
    auto secret = extract({reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size()});
    const KeyedHash expand({reinterpret_cast<const char*>(secret.data()), secret.size()});
    secret = expand(info);
    keys_.emplace_back(std::string_view(reinterpret_cast<const char*>(secret.data()), secret.size()));
    OPENSSL_cleanse(secret.data(), secret.size());
  }
}

void SessionProof::append(const Binding& b, Clock::Wall sent, std::string& out) const {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(sent.time_since_epoch()).count();
  if (ms > 0) {
    out += at_parameter;
    append_decimal(out, static_cast<std::uint64_t>(ms));
  }
  const Proof proof = proof_of(keys_.front(), b.id, b.epoch, b.backend);
  out += before;
  base64url_append(out, proof.data(), proof.size());
  out += '"';
}

Clock::Wall SessionProof::sent_at(std::string_view field) noexcept {
  // Later times would overflow the clock's nanoseconds.
  constexpr std::uint64_t latest_ms = 7'000'000'000'000;
  const std::size_t at = field.find(at_parameter);
  if (at == std::string_view::npos) return {};
  field.remove_prefix(at + at_parameter.size());
  const auto ms = parse_decimal(field.substr(0, field.find(';')));
  if (!ms || *ms > latest_ms) return {};
  return Clock::Wall(std::chrono::milliseconds(static_cast<std::int64_t>(*ms)));
}

std::optional<SessionProof::Owner> SessionProof::check(std::string_view field, const SessionId& id,
                                                       std::uint32_t epoch) const {
  const std::size_t at = field.find(before);
  if (at == std::string_view::npos) return std::nullopt;
  field.remove_prefix(at + before.size());
  const std::size_t end = field.find('"');
  Proof given{};
  const auto n = end == std::string_view::npos
                     ? std::nullopt
                     : base64url_decode(field.substr(0, end), given.data(), given.size());
  if (!n || *n != given.size()) return std::nullopt;
  std::uint64_t backend = 0;
  for (std::size_t i = 0; i < 8; ++i) backend = backend << 8 | given[i];
  bool fits = false;
  for (const KeyedHash& key : keys_) {  // tries all keys, so that timing reveals nothing
    const Proof right = proof_of(key, id, epoch, backend);
    fits = (CRYPTO_memcmp(given.data(), right.data(), right.size()) == 0) || fits;
  }
  if (!fits) return std::nullopt;
  return Owner{epoch, backend};
}

}  // namespace remora
