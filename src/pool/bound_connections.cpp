#include "pool/bound_connections.h"

#include <algorithm>
#include <utility>

namespace remora {

void BoundConnections::Entry::hold(TransportRef s, Loop& loop, Clock::Steady now, Clock::Steady promised) {
  stream = std::move(s);
  since = now;
  until = promised;
  stream->arm();
  stream->watch(*this);
  park_at_ = now + std::chrono::seconds(1);
  arm(loop.wheel, std::min(park_at_, until));
}

TransportRef BoundConnections::Entry::give() noexcept {
  disarm();
  if (stream) stream->detach();
  return std::move(stream);
}

void BoundConnections::Entry::lose() noexcept {
  const TransportRef ended = give();
  if (ended) ended->close();
}

void BoundConnections::Entry::expired() {
  if (!stream) return;
  if (until <= park_at_) return lose();
  park_at_ = Clock::Steady::max();  // the next deadline ends it
  if (until != Clock::Steady::max()) arm(stream->loop().wheel, until);
  if (stream->unread().empty()) stream->park(*this);
}

BoundConnections::~BoundConnections() {
  for (Entry& e : entries_) e.lose();
}

BoundConnections::Lease BoundConnections::take(const Backend& backend, std::uint64_t key, Clock::Steady now) {
  Lease lease;
  for (Entry& e : entries_) {
    if (!e.in_use() || e.backend->pool != backend.pool) continue;
    lease.leg_due = std::exchange(e.leg_due, false) || lease.leg_due;
    if (e.backend.get() != &backend || !e.stream) continue;
    TransportRef stream = e.give();
    const bool stands = e.key == key && now < e.until && stream->is_open() && !stream->peer_closed() &&
                        !stream->error() && stream->unread().empty();
    if (stands && stream->still_open())
      lease.stream = std::move(stream);
    else
      stream->close();
  }
  return lease;
}

/// The entry of that backend, otherwise a free one, otherwise the least recently used one.
BoundConnections::Entry& BoundConnections::place_for(const Backend& backend) noexcept {
  const auto rank = [&](const Entry& e) {
    const int in_use = e.backend.get() == &backend ? 0 : e.in_use() ? 2 : 1;
    return std::pair(in_use, e.since);
  };
  return *std::min_element(entries_.begin(), entries_.end(),
                           [&](const Entry& a, const Entry& b) { return rank(a) < rank(b); });
}

void BoundConnections::put(std::shared_ptr<Backend> backend, std::uint64_t key, TransportRef stream,
                           bool leg_due, Clock::Steady now, Clock::Steady until) {
  Entry& e = place_for(*backend);
  e.lose();
  e.backend = std::move(backend);
  e.key = key;
  e.leg_due = leg_due;
  e.hold(std::move(stream), loop_, now, until);
}

bool BoundConnections::are_for(const ClientAddress& client) const noexcept {
  return std::equal(std::begin(client_.bytes), std::end(client_.bytes), std::begin(client.bytes));
}

BoundConnections::Place BoundConnections::place_in(std::string_view pool) const noexcept {
  const Entry* newest = nullptr;
  for (const Entry& e : entries_)
    if (e.in_use() && e.backend->pool == pool && (newest == nullptr || newest->since < e.since)) newest = &e;
  return newest != nullptr ? Place{newest->backend.get(), newest->leg_due} : Place{};
}

}  // namespace remora
