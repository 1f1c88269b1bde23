#include "session/stores.h"

#include "session/memcached_store.h"
#include "session/redis_store.h"

namespace remora {

std::unique_ptr<Store> make_store(Loop& loop, const Clock& clock, const config::Store& settings,
                                  const std::vector<std::string>& dns_servers,
                                  std::shared_ptr<const ClientTls> tls, std::shared_ptr<MemoryValues> values,
                                  std::uint64_t seed) {
  const auto around = [&] {
    return std::make_shared<StoreSurroundings>(
        StoreSurroundings{loop, clock, settings, dns_servers, std::move(tls), FastRandom(seed)});
  };
  switch (settings.kind) {
    case config::StoreKind::redis:
      return std::make_unique<RedisStore>(around());
    case config::StoreKind::memcached:
      return std::make_unique<MemcachedStore>(around());
    case config::StoreKind::memory:
      break;
  }
  return std::make_unique<MemoryStore>(std::move(values), clock);
}

}  // namespace remora
