#include "pool/idle.h"

#include <algorithm>
#include <vector>

#include "util/prefetch.h"

namespace remora {

using std::chrono::seconds;

class IdleConnections::Entry final : public TransportWatcher, private DeadlineEntry {
 public:
  explicit Entry(List& l) : list(l) {}
  void begin(TransportRef s, std::uint64_t connection_key, Loop& loop, Clock::Steady now,
             Clock::Steady promised) {
    stream = std::move(s);
    key = connection_key;
    since = now;
    until = promised;
    stream->arm();
    stream->watch(*this);
    park_at_ = now + seconds(1);
    arm(loop.wheel, std::min(park_at_, until));
  }
  bool promised() const noexcept { return until != no_promise; }
  TransportRef end() {
    disarm();
    stream->detach();
    return std::move(stream);
  }
  void stream_event(Transport&) override { discard(*this); }

  List& list;
  TransportRef stream;
  std::uint64_t key = 0;
  Clock::Steady since, until;  // when it became idle; until when the server keeps it
  Entry *newer = nullptr, *older = nullptr;

 private:
  void expired() override {
    if (!stream) return;
    if (until <= park_at_) return discard(*this);
    park_at_ = Clock::Steady::max();  // the next deadline ends it
    if (promised()) arm(stream->loop().wheel, until);
    if (stream->unread().empty()) stream->park(*this);
  }
  Clock::Steady park_at_;
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
  if (e.newer == nullptr) e.list.stream_of_newest = e.older != nullptr ? e.older->stream.get() : nullptr;
  --e.list.size;
  e.newer = nullptr;
  e.older = e.list.spare;
  e.list.spare = &e;
}

void IdleConnections::discard(Entry& e) {
  const TransportRef stream = e.end();
  unlink(e);
  stream->close();
}

TransportRef IdleConnections::take(const Backend& backend, std::uint64_t key, bool certain,
                                   Clock::Steady now) {
  if (backend.number >= lists_.size()) return TransportRef();
  List& list = lists_[backend.number];
  if (list.backend != &backend) return TransportRef();
  while (list.newest != nullptr) {
    Entry& e = *list.newest;
    if (certain && !e.promised() && now - e.since > fresh) {
      // All others are older still. Close one, because a new connection will replace it: the total does not
      // grow.
      discard(*list.oldest);
      return TransportRef();
    }
    const bool same = e.key == key && now < e.until;
    TransportRef stream = e.end();
    unlink(e);
    const bool stands =
        stream->is_open() && !stream->peer_closed() && !stream->error() && stream->unread().empty();
    if (same && stands && (!certain || stream->still_open())) return stream;
    stream->close();  // its address or TLS settings changed, or it has just died
  }
  return TransportRef();
}

void IdleConnections::expect(const Backend& backend) const noexcept {
  if (backend.number >= lists_.size()) return;
  const List& list = lists_[backend.number];
  prefetch_whole(list.newest);
  prefetch_whole(list.stream_of_newest);
  prefetch_whole(list.spare);
}

void IdleConnections::put(const Backend& backend, std::uint64_t key, TransportRef stream, std::uint32_t most,
                          Clock::Steady now, Clock::Steady until) {
  if (most == 0) {
    stream->close();
    return;
  }
  while (backend.number >= lists_.size()) lists_.emplace_back();
  List& list = lists_[backend.number];
  if (list.backend != &backend) {
    list.close_all();
    list.backend = &backend;
  }
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
  list.stream_of_newest = stream.get();
  ++list.size;
  e->begin(std::move(stream), key, loop_, now, until);
}

void IdleConnections::retain(std::span<const Backend* const> living) {
  std::vector<const Backend*> owners(lists_.size());
  for (const Backend* backend : living)
    if (backend->number < owners.size()) owners[backend->number] = backend;
  for (std::size_t i = 0; i < owners.size(); ++i)
    if (lists_[i].backend != owners[i]) lists_[i].close_all();
}

void IdleConnections::clear() {
  lists_.clear();
}

std::size_t IdleConnections::count(const Backend& backend) const noexcept {
  if (backend.number >= lists_.size() || lists_[backend.number].backend != &backend) return 0;
  return lists_[backend.number].size;
}

}  // namespace remora
