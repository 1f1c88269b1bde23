// The one table of stores.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/tls.h"
#include "remora/config.h"
#include "session/memory_store.h"

namespace remora {

/// One worker's way to the configured store. `values`: what `kind: memory` keeps for all workers.
std::unique_ptr<Store> make_store(Loop& loop, const Clock& clock, const config::Store& settings,
                                  const std::vector<std::string>& dns_servers,
                                  std::shared_ptr<const ClientTls> tls, std::shared_ptr<MemoryValues> values,
                                  std::uint64_t seed);

}  // namespace remora
