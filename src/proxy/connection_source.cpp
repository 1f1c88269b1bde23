#include "proxy/connection_source.h"

#include "proxy/backend_connect.h"

namespace remora {

namespace {

using config::BackendProtocol;
using Needs = Connector::Needs;

/// A connection for one request alone.
class OwnConnect final : public PendingConnect {
 public:
  OwnConnect(Loop& loop, const Connector::Target& to, Clock::Steady began, Clock::Steady end,
             EventFlags& wake, BackendStream& into)
      : connect_(loop, BackendAddress(to.pool, to.member), began, end, wake,
                 to.pool.config.protocol == BackendProtocol::automatic),
        into_(into) {}

  Io step(Clock::Steady now) override {
    const Io io = connect_.step(now);
    if (io == Io::ready) into_.use(connect_.take(), false);
    return io;
  }
  Clock::Steady deadline() const noexcept override { return connect_.deadline(); }
  bool timed_out() const noexcept override { return connect_.timed_out(); }

 private:
  BackendConnect connect_;
  BackendStream& into_;
};

/// The backend speaks, or may speak, HTTP/2.
bool may_share(const Connector::Target& to) noexcept {
  const auto protocol = to.pool.config.protocol;
  if (protocol == BackendProtocol::http1) return false;
  return protocol == BackendProtocol::h2 || (to.pool.tls && to.needs != Needs::http1);
}

/// It is not known to speak HTTP/1.1 only.
bool may_be_own(const Connector::Target& to) noexcept {
  return to.pool.config.protocol != BackendProtocol::h2;
}

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

Connector::TakenReserved ConnectionSource::take_reserved(const Target& to, BackendStream& into,
                                                         Clock::Steady now) {
  if (!*reserved_) return {};
  BoundConnections::Lease own =
      (*reserved_)->take(*to.member.backend, to.pool.connection_key(to.member), now);
  const TakenReserved out{static_cast<bool>(own.stream), own.leg_due};
  if (out.taken) into.use(std::move(own.stream), true);
  return out;
}

bool ConnectionSource::take_idle(const Target& to, bool certain, BackendStream& into, Clock::Steady now) {
  if (may_share(to) && shared_.take(to, certain, into, now)) return true;
  if (!may_be_own(to)) return false;
  TransportRef idle = idle_.take(*to.member.backend, to.pool.connection_key(to.member), certain, now);
  if (!idle) return false;
  into.use(std::move(idle), true);
  return true;
}

std::unique_ptr<PendingConnect> ConnectionSource::connect(const Target& to, Clock::Steady began,
                                                          std::chrono::nanoseconds timeout, EventFlags& wake,
                                                          BackendStream& into) {
  // A tunnel over HTTP/2 needs a server that allows it, which is known of open connections only.
  if (may_share(to) && !(to.needs == Needs::tunnel && may_be_own(to)))
    return shared_.connect(to, began, timeout, wake, into);
  return std::make_unique<OwnConnect>(loop_, to, began, began + timeout, wake, into);
}

void ConnectionSource::keep(const Target& to, BackendStream& from, const Keep& how, Clock::Steady now) {
  const std::uint64_t key = to.pool.connection_key(to.member);
  if (!how.reserved)
    return idle_.put(*to.member.backend, key, from.release(), to.pool.config.idle_connections, now,
                     how.until);
  if (!*reserved_) *reserved_ = std::make_unique<BoundConnections>(loop_, how.client);
  has_reserved_ = true;
  (*reserved_)->put(to.member.backend, key, from.release(), how.leg_due, now, how.until);
}

}  // namespace remora
