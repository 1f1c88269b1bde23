#include "pool/idle.h"

#include <cstring>

namespace remora {

using std::chrono::seconds;

class IdleConnections::Entry final : public StreamWatcher, private DeadlineEntry {
 public:
  explicit Entry(List& l) : list(l) {}
  void begin(StreamRef s, const TlsRef& t, const Endpoint& e, Loop& loop, Clock::Steady now) {
    stream = std::move(s);
    tls = t;
    endpoint = e;
    stream->arm();
    stream->watch(*this);
    arm(loop.wheel, now + seconds(1));
  }
  StreamRef end() {
    disarm();
    tls.reset();
    stream->detach();
    return std::move(stream);
  }
  void stream_event(Stream&) override { discard(*this); }

  List& list;
  StreamRef stream;
  TlsRef tls;
  Endpoint endpoint;
  Entry *newer = nullptr, *older = nullptr;

 private:
  void expired() override {
    if (stream && stream->unread().empty()) stream->park(*this);
  }
};

IdleConnections::List::~List() {
  close_all();
  while (spare != nullptr) {
    Entry* next = spare->older;
    delete spare;
    spare = next;
  }
}

void IdleConnections::List::close_all() {
  while (newest != nullptr) discard(*newest);
}

void IdleConnections::unlink(Entry& e) {
  (e.newer != nullptr ? e.newer->older : e.list.newest) = e.older;
  (e.older != nullptr ? e.older->newer : e.list.oldest) = e.newer;
  --e.list.size;
  e.newer = nullptr;
  e.older = e.list.spare;
  e.list.spare = &e;
}

void IdleConnections::discard(Entry& e) {
  const StreamRef stream = e.end();
  unlink(e);
  stream->close();
}

StreamRef IdleConnections::take(const Backend& backend, const TlsRef& tls, const Endpoint& endpoint,
                                bool certain) {
  const auto it = lists_.find(&backend);
  if (it == lists_.end()) return StreamRef();
  List& list = *it->second;
  while (list.newest != nullptr) {
    Entry& e = *list.newest;
    const bool same = e.tls == tls && e.endpoint.size == endpoint.size &&
                      std::memcmp(&e.endpoint.storage, &endpoint.storage, endpoint.size) == 0;
    StreamRef stream = e.end();
    unlink(e);
    const bool stands =
        stream->is_open() && !stream->peer_closed() && !stream->error() && stream->unread().empty();
    if (same && stands && (!certain || stream->still_open())) return stream;
    stream->close();  // its address or its TLS settings have changed, or it died this moment
  }
  return StreamRef();
}

void IdleConnections::put(const Backend& backend, const TlsRef& tls, const Endpoint& endpoint,
                          StreamRef stream, std::uint32_t most, Clock::Steady now) {
  if (most == 0) {
    stream->close();
    return;
  }
  auto& slot = lists_[&backend];
  if (!slot) slot = std::make_unique<List>();
  List& list = *slot;
  if (list.size >= most) discard(*list.oldest);
  Entry* e = list.spare;
  if (e != nullptr)
    list.spare = e->older;
  else
    e = new Entry(list);
  e->newer = nullptr;
  e->older = list.newest;
  (list.newest != nullptr ? list.newest->newer : list.oldest) = e;
  list.newest = e;
  ++list.size;
  e->begin(std::move(stream), tls, endpoint, loop_, now);
}

void IdleConnections::clear() {
  lists_.clear();
}

std::size_t IdleConnections::count(const Backend& backend) const noexcept {
  const auto it = lists_.find(&backend);
  return it == lists_.end() ? 0 : it->second->size;
}

}  // namespace remora
