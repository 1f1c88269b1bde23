#include "proxy/active.h"

#include <sys/mman.h>

#include <new>

namespace remora {

Active::Active(WorkerContext& worker)
    : turn(worker.loop, worker.clock),
      client_(response_limits()),
      connector_(worker.loop, worker.idle, worker.shared),
      worker_(worker) {}

void Active::begin(TransportRef stream, std::shared_ptr<const ListenerView> listener,
                   const ClientAddress& peer, std::unique_ptr<BoundConnections>& own) {
  client_.use(std::move(stream), listener->config.limits);
  client_.attach(turn.wake(), EventFlags::client);
  state.begin(std::move(listener), peer);
  connector_.begin(own);
  turn.begin();
}

void Active::clear() {
  memory.clear();
  client_.next();
}

Exchange& Active::make_exchange() {
  return exchange.emplace(
      Exchange::Surroundings{worker_, state, turn, memory, client_, backend_, connector_});
}

void Active::end() noexcept {
  turn.wake().no_deadline();
  exchange.reset();
  backend_->abort();
  backend_.release();
  client_.release();
  state.listener.reset();
  memory.clear();
  memory.trim();
}

void* Active::operator new(std::size_t size) {
  void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return p;
}

void Active::operator delete(void* p, std::size_t size) noexcept {
  ::munmap(p, size);
}

}  // namespace remora
