#include "proxy/workspace.h"

namespace remora {

Workspace::Workspace(WorkerContext& worker)
    : turn(worker.loop, worker.clock), connector_(worker.loop, worker.idle, worker.shared), worker_(worker) {}

void Workspace::begin(std::unique_ptr<BoundConnections>& own) noexcept {
  connector_.begin(own);
  turn.begin();
}

Exchange& Workspace::make_exchange(ConnectionState& connection, ServerStream& client) {
  return exchange.emplace(
      Exchange::Surroundings{worker_, connection, turn, memory, client, backend_, connector_});
}

void Workspace::end() noexcept {
  turn.wake().no_deadline();
  exchange.reset();
  backend_->abort();
  backend_.release();
  memory.clear();
  memory.trim();
}

}  // namespace remora
