// What stands under our keys in a store: a record or none, and a sealed state that opens for nobody else.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "affinity/seal.h"
#include "session/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto record = remora::decode(bytes)) {
    const auto again = remora::decode(remora::encode(*record));
    if (!again || remora::encode(*again) != remora::encode(*record)) std::abort();
  }
  static remora::CryptoScratch scratch;
  const std::string key(32, 'k');
  static const remora::BlobSealer sealer(std::make_shared<remora::KeyRing>(std::span(&key, 1)), "state:app");
  if (sealer.open(bytes, "session", scratch)) std::abort();  // nobody can make one without the key
  std::string sealed = sealer.seal(bytes, "session", scratch);
  if (sealer.open(sealed, "session", scratch) != bytes || sealer.open(sealed, "another", scratch))
    std::abort();
  sealed[size % sealed.size()] = static_cast<char>(sealed[size % sealed.size()] ^ 1);
  if (sealer.open(sealed, "session", scratch)) std::abort();
  return 0;
}
