// Memcached as a Store, by its meta commands: `mg` with the item's cas as token, `ms` with `C` or as an add.
//
// Several servers share the keys by rendezvous hashing of their addresses. When one is away its keys are:
// they do not go to another, which would answer with what it once had when the first comes back. Threading,
// lifetime: as Store says.
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
  std::string trouble() const override;
  void stop() noexcept override;

 private:
  Task<Result<Reply>> call(std::string key, std::string command, StoreCall call);
  const std::shared_ptr<StoreSurroundings> around_;
  std::vector<std::shared_ptr<StoreConnection>> nodes_;
};

}  // namespace remora
