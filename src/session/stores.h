// Makes the configured store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/tls.h"
#include "remora/config.h"
#include "session/memory_store.h"

namespace remora {

/// One worker's access to the configured store. `values`: shared by all workers, for `kind: memory`.
std::unique_ptr<Store> make_store(Loop& loop, const Clock& clock, const config::Store& settings,
                                  const std::vector<std::string>& dns_servers,
                                  std::shared_ptr<const ClientTls> tls, std::shared_ptr<MemoryValues> values,
                                  std::uint64_t seed);

}  // namespace remora
