// Redis as a Store: one server, a master named by sentinels, or a cluster.
//
// A value is stored behind eight random bytes, its token. A swap is one Lua script, so it is atomic. The
// script is called by its SHA, and sent as text if the server does not know it. Failover: `sentinel` asks for
// the master when the connection ends, when a command is refused (READONLY), and every few seconds; `cluster`
// follows MOVED and ASK and reads the slots again. Writes to a master that dies before they were replicated
// are lost, as always with Redis. Threading, lifetime: see Store.
#pragma once

#include <array>
#include <map>

#include "session/store_connection.h"

namespace remora {

class RedisStore final : public Store {
 public:
  explicit RedisStore(std::shared_ptr<StoreSurroundings> around);
  ~RedisStore() override;
  Task<Result<std::optional<Found>>> get(std::string key, StoreCall call) override;
  Task<Result<Swapped>> swap(std::string key, std::uint64_t expected, std::string value,
                             std::chrono::milliseconds ttl, StoreCall call) override;
  bool available() const noexcept override;
  bool may_hold(std::string_view) const noexcept override { return true; }  // Redis keys are binary-safe
  std::string problem() const override;
  void stop() noexcept override;

 private:
  static constexpr std::size_t slot_count = 16384;
  using Connection = std::shared_ptr<StoreConnection>;
  struct Watcher;

  /// The connection to the server at this address, opened on first use. `sentinel`: the server is a sentinel.
  Connection connection(const config::Address& address, bool sentinel = false);
  Connection owner(std::string_view key);
  Task<Result<Reply>> call(std::string key, std::string command, StoreCall call);
  static Task<void> watch(std::shared_ptr<Watcher> watcher);
  Task<void> ask_sentinels(EventFlags& wake);
  Task<void> read_slots(EventFlags& wake);
  bool adopt_slots(const Reply& reply, const config::Address& said_by);
  void forget_former_nodes();
  /// Something is not where it was expected: look up the servers now.
  void look_again() noexcept;

  const std::shared_ptr<StoreSurroundings> around_;
  const config::Store& settings_;
  std::map<std::string, Connection> connections_, sentinels_;  // by address
  Connection master_;                                          // single, sentinel
  std::vector<Connection> nodes_;                              // cluster: masters
  std::array<std::uint16_t, slot_count> slots_{};              // cluster: index into nodes_ + 1; 0: no node
  std::shared_ptr<Watcher> watcher_;                           // sentinel, cluster
};

/// The cluster slot of a key: CRC-16/XMODEM of the key, or of the text between its first braces, modulo 16384
/// (Redis cluster specification).
std::uint16_t redis_slot(std::string_view key) noexcept;

}  // namespace remora
