#include "proxy/websocket_key.h"

#include <openssl/sha.h>

#include <array>
#include <cstring>

#include "util/text.h"

namespace remora {

namespace {
constexpr std::string_view guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 1.3
}  // namespace

std::string_view give_websocket_key(std::vector<Field>& fields, std::uint64_t high, std::uint64_t low,
                                    TextArena& arena) {
  std::array<char, 16> nonce;
  std::memcpy(nonce.data(), &high, sizeof high);
  std::memcpy(nonce.data() + sizeof high, &low, sizeof low);
  const std::string_view key = arena.join(base64_encode({nonce.data(), nonce.size()}));
  std::erase_if(fields, [](const Field& f) { return iequals(f.name, "sec-websocket-key"); });
  fields.push_back({"Sec-WebSocket-Key", key, Known::other});

  const std::string proof = std::string(key) + std::string(guid);
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  ::SHA1(reinterpret_cast<const unsigned char*>(proof.data()), proof.size(), digest.data());
  return arena.join(base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()}));
}

bool take_websocket_accept(std::vector<Field>& fields, std::string_view expected) {
  bool fits = false;
  std::erase_if(fields, [&](const Field& f) {
    const bool is_it = iequals(f.name, "sec-websocket-accept");
    fits = fits || (is_it && f.value == expected);
    return is_it;
  });
  return fits;
}

}  // namespace remora
