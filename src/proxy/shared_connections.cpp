#include "proxy/shared_connections.h"

#include <algorithm>
#include <new>
#include <utility>

#include "proxy/shared_connection.h"

namespace remora {

namespace {
/// How long a backend that chose HTTP/1.1 is believed to do so again.
constexpr auto http1_for = std::chrono::minutes(1);
}  // namespace

SharedConnections::SharedConnections(Loop& loop) : loop_(loop) {}

SharedConnections::~SharedConnections() {
  for (Group& group : groups_)
    for (const auto& connection : group.connections) connection->destroy();
}

SharedConnections::Group& SharedConnections::group_of(const Connector::Target& to) {
  const Backend& backend = *to.member.backend;
  const std::uint64_t key = to.pool.connection_key(to.member);
  while (backend.number >= groups_.size()) groups_.emplace_back();
  Group& group = groups_[backend.number];
  if (group.backend != &backend || group.key != key) {
    BackendAddress address(to.pool, to.member);  // first: it may throw
    group.backend = &backend;
    group.key = key;
    group.http1_until = {};
    group.streams_each = settings.max_concurrent_streams;
    group.address = std::move(address);
    group.protocol = to.pool.config.protocol;
    retire(group);
  }
  group.max_idle = to.pool.config.idle_connections;
  return group;
}

/// One that closes leaves the list meanwhile, and others that are made for those who wait come at its end.
void SharedConnections::retire(Group& group) {
  for (std::size_t n = group.connections.size(); n > 0; --n) {
    const auto next = std::find_if(group.connections.begin(), group.connections.end(),
                                   [](const auto& c) { return !c->is_retired(); });
    if (next == group.connections.end()) return;
    const Ref<Connection> connection(next->get());  // it may leave the list
    connection->retire();
  }
}

SharedConnections::Connection* SharedConnections::with_room(const Group& group, bool tunnel) noexcept {
  for (const auto& c : group.connections)
    if (c->has_room() && (!tunnel || c->session().allows_tunnels())) return c.get();
  return nullptr;
}

bool SharedConnections::take(const Connector::Target& to, bool certain, BackendStream& into,
                             Clock::Steady now) {
  Group& group = group_of(to);
  const bool only_if_allowed =
      to.needs == Connector::Needs::tunnel && group.protocol == config::BackendProtocol::automatic;
  for (std::size_t tries = group.connections.size(); tries > 0; --tries) {
    Connection* const c = with_room(group, only_if_allowed);
    if (c == nullptr) return false;
    if (c->is_idle() && !c->still_open(now, certain)) continue;  // it is over: has no room any longer
    into.use(c->session().open());
    return true;
  }
  return false;
}

std::unique_ptr<PendingConnect> SharedConnections::connect(const Connector::Target& to, Clock::Steady began,
                                                           std::chrono::nanoseconds timeout, EventFlags& wake,
                                                           BackendStream& into) {
  Group& group = group_of(to);
  group.timeout = timeout;
  auto waiter = std::make_unique<Waiter>(loop_, to, began + timeout, wake, into);
  if (began < group.http1_until) {
    waiter->leave_alone();
  } else {
    group.waiters.push_back(*waiter);
    dial(group);
  }
  return waiter;
}

/// Makes as many connections as those who wait will need.
void SharedConnections::dial(Group& group) {
  const std::size_t waiting = group.waiters.size();
  std::size_t coming = 0;
  for (const auto& c : group.connections) coming += c->is_new() ? group.streams_each : 0;
  while (coming < waiting) {
    group.connections.push_back(Ref<Connection>(new Connection(*this, group)));
    group.connections.back()->start();
    coming += group.streams_each;
  }
}

SharedConnections::Waiter& SharedConnections::next_waiter(Group& group) {
  auto& first = static_cast<Waiter&>(group.waiters.front());
  group.waiters.pop_front();
  return first;
}

/// Gives those who wait what there is. Each may run at once, and use this object. Events call it, so it does
/// not throw: without memory they fail, unless connections are coming that will serve them.
void SharedConnections::serve(Group& group) {
  try {
    while (!group.waiters.empty()) {
      Connection* const c = with_room(group, false);
      if (c == nullptr) return dial(group);
      ClientStream& stream = c->session().open();  // first: who is not in the list would wait in vain
      next_waiter(group).give(stream);
    }
  } catch (const std::bad_alloc&) {
    connect_failed(group, false);
  }
}

void SharedConnections::connected_http1(Group& group, TransportRef transport) {
  group.http1_until = loop_.wheel.now() + http1_for;
  if (group.waiters.empty()) return transport->close();
  next_waiter(group).give(std::move(transport));
  while (!group.waiters.empty()) next_waiter(group).leave_alone();
}

/// Those who began to wait meanwhile fail too: the backend is the same.
void SharedConnections::connect_failed(Group& group, bool timed_out) {
  const auto others = std::count_if(group.connections.begin(), group.connections.end(),
                                    [](const auto& c) { return c->is_new(); });
  if (others > 0) return;
  decltype(group.waiters) failed;
  failed.swap(group.waiters);
  while (!failed.empty()) {
    auto& waiter = static_cast<Waiter&>(failed.front());
    failed.pop_front();
    waiter.fail(timed_out);
  }
}

void SharedConnections::retain(std::span<const Backend* const> living) {
  // By number: an exchange that is resumed meanwhile may add a group.
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    Group& group = groups_[i];
    if (group.backend != nullptr && std::find(living.begin(), living.end(), group.backend) == living.end())
      retire(group);
  }
}

void SharedConnections::clear() {
  for (std::size_t i = 0; i < groups_.size(); ++i) retire(groups_[i]);
}

std::size_t SharedConnections::count(const Backend& backend) const noexcept {
  if (backend.number >= groups_.size() || groups_[backend.number].backend != &backend) return 0;
  return groups_[backend.number].connections.size();
}

}  // namespace remora
