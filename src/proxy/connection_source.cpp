#include "proxy/connection_source.h"

#include <optional>

#include "net/connecting.h"

namespace remora {

namespace {

/// Connects to one address of the backend after the other. Each gets its share of the time (in the spirit of
/// RFC 8305). The address that answered is remembered.
class ConnectByAddress final : public PendingConnect {
 public:
  ConnectByAddress(Loop& loop, const Connector::Target& to, Clock::Steady began, Clock::Steady end,
                   EventFlags& wake, ClientStream& into)
      : loop_(loop),
        to_(to),
        trial_(to.pool.trial(to.member).get()),
        count_(trial_ != nullptr ? trial_->all.size() : 1),
        first_(trial_ != nullptr ? trial_->first() : 0),
        end_(end),
        wake_(wake),
        into_(into) {
    begin(began);
  }

  Io step(Clock::Steady now) override {
    for (;;) {
      const Io io = connecting_->step();
      if (io == Io::ready) {
        if (tried_ > 0) trial_->answered(place());
        into_.use(connecting_->take(), false);
        return Io::ready;
      }
      if (io == Io::blocked && now < deadline_) return Io::blocked;
      timed_out_ = io == Io::blocked || connecting_->unreachable();
      if (++tried_ == count_) return Io::failed;
      begin(now);
    }
  }
  Clock::Steady deadline() const noexcept override { return deadline_; }
  bool timed_out() const noexcept override { return timed_out_; }

 private:
  std::size_t place() const noexcept { return (first_ + tried_) % count_; }
  void begin(Clock::Steady now) {
    deadline_ = now + (end_ - now) / static_cast<int>(count_ - tried_);
    const auto& tls = to_.pool.config.tls;
    const std::string& name = tls && !tls->server_name.empty() ? tls->server_name : to_.member.address.host;
    const Endpoint& endpoint = trial_ != nullptr ? trial_->all[place()] : to_.pool.endpoint(to_.member);
    connecting_.emplace(loop_, endpoint, to_.pool.tls.get(), name, wake_, EventFlags::backend);
  }

  Loop& loop_;
  const Connector::Target to_;
  const Trial* const trial_;  // null: one address
  const std::size_t count_, first_;
  const Clock::Steady end_;
  EventFlags& wake_;
  ClientStream& into_;
  std::size_t tried_ = 0;  // addresses that failed
  Clock::Steady deadline_;
  std::optional<Connecting> connecting_;
  bool timed_out_ = false;
};

}  // namespace

Connector::Reserved ConnectionSource::reserved_in(std::string_view pool) const noexcept {
  return *reserved_ ? (*reserved_)->place_in(pool) : Reserved{};
}

bool ConnectionSource::reserved_for(const ClientAddress& client) const noexcept {
  return *reserved_ && (*reserved_)->are_for(client);
}

void ConnectionSource::drop_reserved() noexcept {
  reserved_->reset();
  has_reserved_ = false;
}

Connector::TakenReserved ConnectionSource::take_reserved(const Target& to, ClientStream& into,
                                                         Clock::Steady now) {
  if (!*reserved_) return {};
  BoundConnections::Lease own =
      (*reserved_)->take(*to.member.backend, to.pool.connection_key(to.member), now);
  const TakenReserved out{static_cast<bool>(own.stream), own.leg_due};
  if (out.taken) into.use(std::move(own.stream), true);
  return out;
}

bool ConnectionSource::take_idle(const Target& to, bool certain, ClientStream& into, Clock::Steady now) {
  TransportRef idle = idle_.take(*to.member.backend, to.pool.connection_key(to.member), certain, now);
  if (!idle) return false;
  into.use(std::move(idle), true);
  return true;
}

std::unique_ptr<PendingConnect> ConnectionSource::connect(const Target& to, Clock::Steady began,
                                                          std::chrono::nanoseconds timeout, EventFlags& wake,
                                                          ClientStream& into) {
  return std::make_unique<ConnectByAddress>(loop_, to, began, began + timeout, wake, into);
}

void ConnectionSource::keep(const Target& to, ClientStream& from, const Keep& how, Clock::Steady now) {
  const std::uint64_t key = to.pool.connection_key(to.member);
  if (!how.reserved)
    return idle_.put(*to.member.backend, key, from.release(), to.pool.config.idle_connections, now,
                     how.until);
  if (!*reserved_) *reserved_ = std::make_unique<BoundConnections>(loop_, how.client);
  has_reserved_ = true;
  (*reserved_)->put(to.member.backend, key, from.release(), how.leg_due, now, how.until);
}

}  // namespace remora
