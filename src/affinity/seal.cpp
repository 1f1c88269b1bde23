#include "affinity/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdlib>
#include <cstring>

#include "util/text.h"

namespace remora {

namespace {

constexpr std::size_t number_size = 2, nonce_size = 24, plain_size = 54, tag_size = 16;
constexpr std::size_t token_size = number_size + nonce_size + plain_size + tag_size;
static_assert(token_size * 4 / 3 == token_text_size);
constexpr std::uint8_t format = 1;

// Fetched once: looking an algorithm up costs more than using it.
const EVP_CIPHER* aes_ecb() {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr);
  return cipher;
}
const EVP_CIPHER* aes_gcm() {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}

void put(std::uint8_t*& at, std::uint64_t value, int bytes) noexcept {
  for (int i = bytes - 1; i >= 0; --i) *at++ = static_cast<std::uint8_t>(value >> (8 * i));
}
std::uint64_t get(const std::uint8_t*& at, int bytes) noexcept {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | *at++;
  return value;
}

std::uint64_t to_millis(Clock::Wall t) noexcept {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count());
}
Clock::Wall from_millis(std::uint64_t ms) noexcept {
  return Clock::Wall(std::chrono::milliseconds(static_cast<std::int64_t>(ms & 0xffffffffffffULL)));
}

/// The 256-bit key of one nonce: AES-CMAC blocks of M1 and M2 (C2SP XAES-256-GCM, "derive key").
std::array<std::uint8_t, 32> derive_key(const KeyRing::Key& key, EVP_CIPHER_CTX* ecb,
                                        const std::uint8_t* nonce) {
  std::uint8_t blocks[32] = {};
  for (int i = 0; i < 2; ++i) {
    std::uint8_t* m = blocks + 16 * i;
    m[1] = static_cast<std::uint8_t>(i + 1);
    m[2] = 'X';
    std::memcpy(m + 4, nonce, 12);
    for (int b = 0; b < 16; ++b)
      m[b] = static_cast<std::uint8_t>(m[b] ^ key.cmac_k1[static_cast<std::size_t>(b)]);
  }
  std::array<std::uint8_t, 32> derived{};
  int n = 0;
  EVP_EncryptInit_ex2(ecb, aes_ecb(), key.bytes.data(), nullptr, nullptr);
  EVP_CIPHER_CTX_set_padding(ecb, 0);
  EVP_EncryptUpdate(ecb, derived.data(), &n, blocks, sizeof blocks);
  return derived;
}

/// Associated data, as the concatenation of two parts.
struct Associated {
  std::string_view first, second;
};

bool add_associated(EVP_CIPHER_CTX* gcm, const Associated& data) {
  int n = 0;
  for (const std::string_view part : {data.first, data.second})
    if (!part.empty() &&
        EVP_CipherUpdate(gcm, nullptr, &n, reinterpret_cast<const std::uint8_t*>(part.data()),
                         static_cast<int>(part.size())) != 1)
      return false;
  return true;
}

bool gcm_open(const KeyRing::Key& key, EVP_CIPHER_CTX* ecb, EVP_CIPHER_CTX* gcm, const std::uint8_t* nonce,
              const Associated& associated, const std::uint8_t* sealed, std::size_t size,
              std::uint8_t* plain) {
  auto derived = derive_key(key, ecb, nonce);
  int n = 0;
  const bool ok = EVP_DecryptInit_ex2(gcm, aes_gcm(), derived.data(), nonce + 12, nullptr) == 1 &&
                  add_associated(gcm, associated) &&
                  EVP_DecryptUpdate(gcm, plain, &n, sealed, static_cast<int>(size)) == 1 &&
                  EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, tag_size,
                                      const_cast<std::uint8_t*>(sealed + size)) == 1 &&
                  EVP_DecryptFinal_ex(gcm, plain + n, &n) == 1;
  OPENSSL_cleanse(derived.data(), derived.size());
  return ok;
}

void gcm_seal(const KeyRing::Key& key, EVP_CIPHER_CTX* ecb, EVP_CIPHER_CTX* gcm, const std::uint8_t* nonce,
              const Associated& associated, std::span<const std::uint8_t> plain, std::uint8_t* out) {
  auto derived = derive_key(key, ecb, nonce);
  int n = 0;
  EVP_EncryptInit_ex2(gcm, aes_gcm(), derived.data(), nonce + 12, nullptr);
  add_associated(gcm, associated);
  EVP_EncryptUpdate(gcm, out, &n, plain.data(), static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(gcm, out + n, &n);
  EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, tag_size, out + plain.size());
  OPENSSL_cleanse(derived.data(), derived.size());
}

}  // namespace

// Keys ----------------------------------------------------------------------------------------------

KeyRing::KeyRing(std::span<const std::string> keys) {
  EVP_CIPHER_CTX* ecb = EVP_CIPHER_CTX_new();
  for (const std::string& text : keys) {
    Key key{};
    std::memcpy(key.bytes.data(), text.data(), key.bytes.size());
    std::uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(key.bytes.data(), key.bytes.size(), digest);
    key.number = static_cast<std::uint16_t>(digest[0] << 8 | digest[1]);
    // CMAC's K1 (NIST SP 800-38B 6.1): the encrypted zero block, doubled in GF(2^128).
    std::uint8_t zero[16] = {}, l[16];
    int n = 0;
    EVP_EncryptInit_ex2(ecb, aes_ecb(), key.bytes.data(), nullptr, nullptr);
    EVP_CIPHER_CTX_set_padding(ecb, 0);
    EVP_EncryptUpdate(ecb, l, &n, zero, sizeof zero);
    for (std::size_t i = 0; i < 16; ++i)
      key.cmac_k1[i] = static_cast<std::uint8_t>(l[i] << 1 | (i < 15 ? l[i + 1] >> 7 : 0));
    if (l[0] & 0x80) key.cmac_k1[15] ^= 0x87;
    keys_.push_back(key);
    OPENSSL_cleanse(&key, sizeof key);
  }
  EVP_CIPHER_CTX_free(ecb);
}

KeyRing::~KeyRing() {
  for (Key& key : keys_) OPENSSL_cleanse(&key, sizeof key);
}

bool KeyRing::could_open(std::string_view token) const noexcept {
  std::uint8_t first[3];  // four characters are three bytes; the number is the first two
  if (token.size() != token_text_size || base64url_decode(token.substr(0, 4), first, sizeof first) != 3U)
    return false;
  const std::uint16_t number = static_cast<std::uint16_t>(first[0] << 8 | first[1]);
  for (const Key& key : keys_)
    if (key.number == number) return true;
  return false;
}

CryptoScratch::CryptoScratch()
    : ecb_(EVP_CIPHER_CTX_new()), gcm_(EVP_CIPHER_CTX_new()), cache_(new Cached[cache_slots]) {}

CryptoScratch::~CryptoScratch() {
  EVP_CIPHER_CTX_free(ecb_);
  EVP_CIPHER_CTX_free(gcm_);
}

void random_bytes(std::span<std::uint8_t> out) {
  if (RAND_bytes(out.data(), static_cast<int>(out.size())) != 1) std::abort();
}

SessionId new_session_id() {
  SessionId id;
  random_bytes(id.bytes);
  return id;
}

// Tokens --------------------------------------------------------------------------------------------

TokenSealer::TokenSealer(std::shared_ptr<const KeyRing> keys, std::string_view pool, std::string_view kind,
                         std::string_view name)
    : keys_(std::move(keys)) {
  for (const std::string_view part : {pool, kind, name}) {  // lengths keep the parts apart
    append_decimal(associated_data_, part.size());
    associated_data_.append(":").append(part);
  }
  // Two sealers share cache entries only if they open the same tokens in the same way.
  owner_ = XXH3_64bits(associated_data_.data(), associated_data_.size());
  for (const auto& key : keys_->keys())
    owner_ = XXH3_64bits_withSeed(key.bytes.data(), key.bytes.size(), owner_);
  owner_ |= 1;
}

namespace {
/// Flags inside a token.
constexpr std::uint8_t flag_leave = 1;

/// The cache owner for tokens with this `bound_to`. The seed is secret, so that nobody outside can make two
/// collide.
std::uint64_t owner_with(std::uint64_t owner, std::string_view bound_to) noexcept {
  if (bound_to.empty()) return owner;
  static const std::uint64_t seed = [] {
    std::uint64_t s;
    random_bytes({reinterpret_cast<std::uint8_t*>(&s), sizeof s});
    return s;
  }();
  return XXH3_64bits_withSeed(bound_to.data(), bound_to.size(), owner ^ seed) | 1;
}
}  // namespace

TokenText TokenSealer::sealed(const Binding& b, CryptoScratch& scratch, std::string_view bound_to) const {
  const KeyRing::Key& key = keys_->keys().front();
  std::uint8_t plain[plain_size], token[token_size];
  std::uint8_t* at = plain;
  *at++ = format;
  std::memcpy(at, b.id.bytes.data(), b.id.bytes.size());
  at += b.id.bytes.size();
  put(at, b.backend, 8);
  put(at, b.generation, 8);
  put(at, b.epoch, 4);
  put(at, to_millis(b.created), 8);
  put(at, to_millis(b.last_seen), 8);
  put(at, b.leave ? flag_leave : 0, 1);
  token[0] = static_cast<std::uint8_t>(key.number >> 8);
  token[1] = static_cast<std::uint8_t>(key.number);
  random_bytes({token + number_size, nonce_size});
  gcm_seal(key, scratch.ecb_, scratch.gcm_, token + number_size, {associated_data_, bound_to}, plain,
           token + number_size + nonce_size);
  TokenText text;
  base64url_encode(text.data(), token, token_size);
  return text;
}

bool has_token_form(std::string_view text) noexcept {
  std::uint8_t token[token_size];
  return text.size() == token_text_size && base64url_decode(text, token, sizeof token) == token_size;
}

TokenSealer::Outcome TokenSealer::open(std::string_view text, CryptoScratch& scratch,
                                       std::string_view bound_to) const {
  if (text.size() != CryptoScratch::token_text) return {Cause::malformed, {}, false};
  auto& cached = scratch.cache_[XXH3_64bits(text.data(), text.size()) % CryptoScratch::cache_slots];
  const std::uint64_t owner = owner_with(owner_, bound_to);
  if (cached.owner == owner && std::memcmp(cached.text.data(), text.data(), text.size()) == 0)
    return {Cause::none, cached.binding, cached.old_key};

  std::uint8_t token[token_size], plain[plain_size];
  if (const auto n = base64url_decode(text, token, sizeof token); !n || *n != token_size)
    return {Cause::malformed, {}, false};
  const std::uint16_t number = static_cast<std::uint16_t>(token[0] << 8 | token[1]);
  Outcome outcome{Cause::unknown_key, {}, false};
  for (const KeyRing::Key& key : keys_->keys()) {
    if (key.number != number) continue;
    outcome.cause = Cause::forged;
    if (!gcm_open(key, scratch.ecb_, scratch.gcm_, token + number_size, {associated_data_, bound_to},
                  token + number_size + nonce_size, plain_size, plain))
      continue;
    if (plain[0] != format) return {Cause::malformed, {}, false};
    const std::uint8_t* at = plain + 1;
    Binding& b = outcome.binding;
    std::memcpy(b.id.bytes.data(), at, b.id.bytes.size());
    at += b.id.bytes.size();
    b.backend = get(at, 8);
    b.generation = get(at, 8);
    b.epoch = static_cast<std::uint32_t>(get(at, 4));
    b.created = from_millis(get(at, 8));
    b.last_seen = from_millis(get(at, 8));
    b.leave = (get(at, 1) & flag_leave) != 0;
    outcome.cause = Cause::none;
    outcome.old_key = &key != &keys_->keys().front();
    cached.owner = owner;
    std::memcpy(cached.text.data(), text.data(), text.size());
    cached.binding = b;
    cached.old_key = outcome.old_key;
    break;
  }
  return outcome;
}

// Blobs ---------------------------------------------------------------------------------------------

BlobSealer::BlobSealer(std::shared_ptr<const KeyRing> keys, std::string purpose)
    : keys_(std::move(keys)), purpose_(std::to_string(purpose.size()) + ":" + purpose) {}

std::string BlobSealer::seal(std::string_view plain, std::string_view bound_to,
                             CryptoScratch& scratch) const {
  const KeyRing::Key& key = keys_->keys().front();
  std::string out(number_size + nonce_size + plain.size() + tag_size, '\0');
  auto* const at = reinterpret_cast<std::uint8_t*>(out.data());
  at[0] = static_cast<std::uint8_t>(key.number >> 8);
  at[1] = static_cast<std::uint8_t>(key.number);
  random_bytes({at + number_size, nonce_size});
  gcm_seal(key, scratch.ecb_, scratch.gcm_, at + number_size, {purpose_, bound_to},
           {reinterpret_cast<const std::uint8_t*>(plain.data()), plain.size()},
           at + number_size + nonce_size);
  return out;
}

std::optional<std::string> BlobSealer::open(std::string_view sealed, std::string_view bound_to,
                                            CryptoScratch& scratch) const {
  if (sealed.size() < number_size + nonce_size + tag_size) return std::nullopt;
  const auto* const at = reinterpret_cast<const std::uint8_t*>(sealed.data());
  const std::uint16_t number = static_cast<std::uint16_t>(at[0] << 8 | at[1]);
  std::string out(sealed.size() - number_size - nonce_size - tag_size, '\0');
  for (const KeyRing::Key& key : keys_->keys())
    if (key.number == number &&
        gcm_open(key, scratch.ecb_, scratch.gcm_, at + number_size, {purpose_, bound_to},
                 at + number_size + nonce_size, out.size(), reinterpret_cast<std::uint8_t*>(out.data())))
      return out;
  return std::nullopt;
}

// Names of learned sessions -------------------------------------------------------------------------

SessionNamer::SessionNamer(std::string index_key, std::string_view pool) : index_key_(std::move(index_key)) {
  append_decimal(prefix_, pool.size());
  prefix_.append(":").append(pool).append(":");
  owner_ = XXH3_64bits_withSeed(index_key_.data(), index_key_.size(),
                                XXH3_64bits(prefix_.data(), prefix_.size())) |
           1;
}

SessionNamer::~SessionNamer() {
  OPENSSL_cleanse(index_key_.data(), index_key_.size());
}

SessionKey SessionNamer::name(std::string_view id, CryptoScratch& scratch) const {
  // OpenSSL 3.0 allocates for each HMAC. With the cache of names, the request path does not.
  CryptoScratch::Named* named = nullptr;
  if (id.size() <= CryptoScratch::max_named_text) {
    if (!scratch.names_) scratch.names_.reset(new CryptoScratch::Named[CryptoScratch::cache_slots]);
    named = &scratch.names_[XXH3_64bits(id.data(), id.size()) % CryptoScratch::cache_slots];
    if (named->owner == owner_ && named->size == id.size() &&
        std::memcmp(named->text.data(), id.data(), id.size()) == 0)
      return named->key;
  }
  SessionKey key;
  std::string text = prefix_;
  text.append(id);
  std::size_t n = 0;
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, index_key_.data(), index_key_.size(),
                reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), key.mac.data(),
                key.mac.size(), &n) == nullptr)
    std::abort();
  if (named != nullptr) {
    named->owner = owner_;
    named->size = static_cast<std::uint8_t>(id.size());
    std::memcpy(named->text.data(), id.data(), id.size());
    named->key = key;
  }
  return key;
}

void xaes_256_gcm_seal(const KeyRing::Key& key, std::span<const std::uint8_t, 24> nonce,
                       std::string_view associated, std::span<const std::uint8_t> plain, std::uint8_t* out) {
  EVP_CIPHER_CTX* ecb = EVP_CIPHER_CTX_new();
  EVP_CIPHER_CTX* gcm = EVP_CIPHER_CTX_new();
  gcm_seal(key, ecb, gcm, nonce.data(), {associated, {}}, plain, out);
  EVP_CIPHER_CTX_free(ecb);
  EVP_CIPHER_CTX_free(gcm);
}

}  // namespace remora
