#include "session/revocation.h"

#include <openssl/sha.h>

#include <algorithm>

#include "util/text.h"

namespace remora {

namespace {
constexpr std::size_t max_plain_bytes = 200, max_key_bytes = 250;

bool fits_plainly(std::string_view value) noexcept {
  // A range test: `char` may be signed, and bytes from 0x80 on must not pass as small numbers.
  return !value.empty() && value.size() <= max_plain_bytes && !value.starts_with(hashed_revocation) &&
         std::all_of(value.begin(), value.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte > 0x20 && byte < 0x7f;
         });
}
}  // namespace

std::string hashed_revocation_of(std::string_view value) {
  std::uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const std::uint8_t*>(value.data()), value.size(), digest);
  std::string out(hashed_revocation);
  append_hex(out, digest, sizeof digest);
  return out;
}

std::string revocation_key(std::string_view prefix, std::string_view value) {
  std::string key(prefix);
  key += ":revoked:";
  if (fits_plainly(value) && key.size() + value.size() <= max_key_bytes) return key.append(value);
  return key.append(hashed_revocation_of(value));
}

}  // namespace remora
