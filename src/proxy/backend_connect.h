// BackendConnect: connects to one address of a backend after the other. Each gets its share of the time (in
// the spirit of RFC 8305). The address that answered is remembered.
//
// Threading: the loop's thread. Lifetime: owns what it needs of its pool, which may go meanwhile.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/connecting.h"
#include "pool/pool_view.h"

namespace remora {

/// How a backend is reached.
struct BackendAddress {
  BackendAddress() = default;
  BackendAddress(const PoolView& pool, const Member& member);

  Endpoint endpoint;
  std::shared_ptr<const Trial> trial;    // null: one address
  std::shared_ptr<const ClientTls> tls;  // null: plain
  std::string server_name;
};

class BackendConnect {
 public:
  /// Starts at `began`, and ends by `end`. Events set the bit `backend` of `wake`. `http1_only`: offers
  /// nothing else by ALPN.
  BackendConnect(Loop& loop, BackendAddress to, Clock::Steady began, Clock::Steady end, EventFlags& wake,
                 bool http1_only);
  BackendConnect(const BackendConnect&) = delete;
  BackendConnect& operator=(const BackendConnect&) = delete;

  /// As PendingConnect::step(); ready: take() has the connection.
  Io step(Clock::Steady now);
  TransportRef take() noexcept { return connecting_->take(); }
  Clock::Steady deadline() const noexcept { return deadline_; }
  bool timed_out() const noexcept { return timed_out_; }

 private:
  std::size_t place() const noexcept { return (first_ + tried_) % count_; }
  void begin(Clock::Steady now);

  Loop& loop_;
  const BackendAddress to_;
  const std::size_t count_, first_;
  const Clock::Steady end_;
  EventFlags& wake_;
  const bool http1_only_;
  std::size_t tried_ = 0;  // addresses that failed
  Clock::Steady deadline_;
  std::optional<Connecting> connecting_;
  bool timed_out_ = false;
};

}  // namespace remora
