// Memcached as a Store, over its meta commands: `mg` returns the item's cas, which is the token; `ms` writes
// with `C` (compare) or as an add.
//
// Several servers share the keys by rendezvous hashing of their addresses. While a server is down, its keys
// are unavailable. They do not move to another server, because outdated values would be read once the first
// one is back. Threading, lifetime: see Store.
#pragma once

#include "session/store_connection.h"

namespace remora {

class MemcachedStore final : public Store {
 public:
  explicit MemcachedStore(std::shared_ptr<StoreSurroundings> around);
  ~MemcachedStore() override;
  Task<Result<std::optional<Found>>> get(std::string key, StoreCall call) override;
  Task<Result<Swapped>> swap(std::string key, std::uint64_t expected, std::string value,
                             std::chrono::milliseconds ttl, StoreCall call) override;
  bool available() const noexcept override;
  std::string problem() const override;
  void stop() noexcept override;

 private:
  Task<Result<Reply>> call(std::string key, std::string command, StoreCall call);
  const std::shared_ptr<StoreSurroundings> around_;
  std::vector<std::shared_ptr<StoreConnection>> nodes_;
};

}  // namespace remora
