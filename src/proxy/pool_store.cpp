#include "proxy/pool_store.h"

namespace remora {

namespace {
std::string sealed_for(const SessionKey& at, std::uint32_t epoch, std::uint64_t version) {
  std::string out(at.mac.begin(), at.mac.end());
  for (int i = 24; i >= 0; i -= 8) out += static_cast<char>(epoch >> i);
  for (int i = 56; i >= 0; i -= 8) out += static_cast<char>(version >> i);
  return out;
}
}  // namespace

PoolStore::PoolStore(std::shared_ptr<const KeyRing> keys, const std::string& index_key,
                     const std::string& pool, bool bindings, bool state, bool by_call)
    : sealer_(keys, "state:" + pool),
      names_(index_key, "issued:" + pool),
      bindings_(bindings),
      state_(state) {
  if (state && by_call) proof_.emplace(*keys, pool);
}

SessionKey PoolStore::name(const SessionId& id, CryptoScratch& scratch) const {
  return names_.name({reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()}, scratch);
}

std::string PoolStore::seal(std::string_view plain, const SessionKey& at, std::uint32_t epoch,
                            std::uint64_t version, CryptoScratch& scratch) const {
  return sealer_.seal(plain, sealed_for(at, epoch, version), scratch);
}

std::optional<std::string> PoolStore::open(const KeptState& s, const SessionKey& at,
                                           CryptoScratch& scratch) const {
  return sealer_.open(s.sealed, sealed_for(at, s.epoch, s.version), scratch);
}

}  // namespace remora
