// What a request finds on its worker: everything here is touched by that worker's thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "affinity/seal.h"
#include "http/message_stream.h"
#include "net/loop.h"
#include "net/parking.h"
#include "observe/access_log.h"
#include "pool/idle.h"
#include "proxy/doubters.h"
#include "proxy/limits.h"
#include "proxy/snapshot.h"
#include "remora/clock.h"
#include "session/memory.h"
#include "session/revocation_cache.h"
#include "session/store_writer.h"
#include "util/random.h"

namespace remora {

class Connection;
class Active;

/// Where workers tell the control thread that a backend failed often in a row. Any thread; posts.
using ReportFailures = std::function<void(const std::shared_ptr<Backend>&, Ejected how)>;

/// Where workers tell that no connection to a backend can be made: its name may lead elsewhere by now. Any
/// thread; posts.
using ReportLost = std::function<void(const std::shared_ptr<Backend>&)>;

/// Where workers tell that a token names a key that the set behind this URL lacks. Any thread; posts.
using ReportUnknownKey = std::function<void(const std::string& url)>;

/// Where requests that have waited for long ask to have their backend probed, the first time within that
/// time. Any thread; posts.
using ReportDoubt = std::function<void(const std::shared_ptr<Backend>&, std::chrono::milliseconds within)>;

/// Hands a worker's log lines over when they have waited for a moment.
class LogFlush final : public DeadlineEntry {
 public:
  explicit LogFlush(AccessLog& log) : log_(log) {}

 private:
  void expired() override { log_.flush(); }
  AccessLog& log_;
};

/// After a burst: what many freed working memories have left between live objects goes back to the kernel.
class MemoryTrim final : public DeadlineEntry {
  void expired() override;
};

struct WorkerContext {
  WorkerContext(unsigned number, const Clock& c, AccessLog log, std::shared_ptr<SessionMemory> sessions,
                std::uint64_t seed);
  ~WorkerContext();

  const unsigned index;
  const Clock& clock;
  Loop loop{clock};
  const std::shared_ptr<SessionMemory> memory;  // shared by all workers
  IdleConnections idle{loop};
  ParkingLot parking{loop};
  CryptoScratch scratch;
  OutHead out;  // the head that is being written, of whatever exchange: always the same memory, in the caches
  /// What sessions are kept in beside the local tables.
  std::unique_ptr<Store> store;
  std::unique_ptr<SessionStore> sessions;
  std::unique_ptr<StoreWriter> writer;
  std::chrono::milliseconds store_timeout{50};
  RevocationCache revocations;
  void open_store(const config::Store& settings, const std::vector<std::string>& dns_servers,
                  std::shared_ptr<const ClientTls> tls);
  void close_store() noexcept;
  JwtCache tokens;
  FastRandom random;
  AccessLog access_log;
  LogFlush log_flush{access_log};
  MemoryTrim memory_trim;
  Ref<WorkerSnapshot> snapshot;
  ReportFailures report_failures;
  ReportLost report_lost;
  ReportUnknownKey report_unknown_key;
  ReportDoubt report_doubt;
  Doubters doubters;
  Complaints complaints{"worker", clock};
  bool stopping = false;  // finish what runs, keep nothing alive
  bool leaving = false;   // clients should go elsewhere: answers end their connections, idle ones stay

  /// Connections of this worker, in a ring whose head this is not: an intrusive list.
  Connection* connections = nullptr;
  std::size_t connection_count = 0;
  std::uint64_t conversations = 0;  // how often a connection became active
  /// Working memory of connections that are not idle, kept for the next one.
  std::vector<std::unique_ptr<Active>> spare_actives;

  /// The Date field of this second.
  std::string_view date(Clock::Wall now);

 private:
  std::int64_t date_second_ = -1;
  std::string date_;
};

}  // namespace remora
