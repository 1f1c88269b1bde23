#include "proxy/active.h"

#include <sys/mman.h>

#include <new>

namespace remora {

Active::Active(WorkerContext& worker) : work(worker), client_(response_limits()) {}

void Active::begin(std::shared_ptr<const ListenerView> listener, const ClientAddress& peer,
                   std::unique_ptr<BoundConnections>& own) {
  state.begin(std::move(listener), peer);
  work.begin(own);
}

void Active::begin_http1(TransportRef stream) {
  client_.use(std::move(stream), state.listener->config.limits);
  client_.attach(work.turn.wake(), EventFlags::client);
}

void Active::clear() {
  work.memory.clear();
  client_.next();
}

void Active::end() noexcept {
  work.end();
  client_.release();
  state.listener.reset();
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
