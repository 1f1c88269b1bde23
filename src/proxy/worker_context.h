// WorkerContext: what requests use of their worker.
//
// Threading: only its worker's thread touches it. Lifetime: the process.
#pragma once

#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "affinity/seal.h"
#include "http/message_stream.h"
#include "net/idle_sockets.h"
#include "net/loop.h"
#include "observe/access_log.h"
#include "pool/idle.h"
#include "proxy/limits.h"
#include "proxy/open_streams.h"
#include "proxy/queued_requests.h"
#include "proxy/shared_connections.h"
#include "proxy/snapshot.h"
#include "proxy/suspect_waiters.h"
#include "remora/clock.h"
#include "session/memory.h"
#include "session/revocation_cache.h"
#include "session/store_writer.h"
#include "util/random.h"

namespace remora {

class Active;
class StreamTask;

/// Reports to the control thread that a backend failed several times in a row. Any thread; posts.
using ReportFailures = std::function<void(const std::shared_ptr<Backend>&, Ejected how)>;

/// Reports that connecting to a backend failed: its name may resolve to another address by now. Any thread;
/// posts.
using ReportLost = std::function<void(const std::shared_ptr<Backend>&)>;

/// Reports that a token names a key that is missing from the key set at this URL. Any thread; posts.
using ReportUnknownKey = std::function<void(const std::string& url)>;

/// Asks for a probe of a backend that keeps a request waiting. `within`: timeout of the first probe. Any
/// thread; posts.
using ReportSuspect = std::function<void(const std::shared_ptr<Backend>&, std::chrono::milliseconds within)>;

/// Flushes a worker's buffered log lines when its deadline expires.
class LogFlush final : public DeadlineEntry {
 public:
  explicit LogFlush(AccessLog& log) : log_(log) {}

 private:
  void expired() override { log_.flush(); }
  AccessLog& log_;
};

/// After a burst: returns freed heap memory between live objects to the kernel (malloc_trim).
class MemoryTrim final : public DeadlineEntry {
  void expired() override;
};

/// A base of Connection: keeps it in its worker's list until it is destroyed.
struct ConnectionLink
    : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {};

struct WorkerContext {
  WorkerContext(unsigned number, const Clock& c, AccessLog log, std::shared_ptr<SessionMemory> sessions,
                std::uint64_t seed, Loop::Driver driver = Loop::Driver::timer);
  ~WorkerContext();

  const unsigned index;
  const Clock& clock;
  Loop loop;
  const std::shared_ptr<SessionMemory> memory;  // shared by all workers
  IdleConnections idle{loop};
  SharedConnections shared{loop};
  IdleSockets parking{loop};
  CryptoScratch scratch;
  OutHead out;  // the head being written, for every exchange: one buffer that stays in the CPU caches
  /// Where sessions are kept besides the local tables.
  std::unique_ptr<Store> store;
  std::unique_ptr<SessionStore> sessions;
  std::unique_ptr<StoreWriter> writer;
  std::chrono::milliseconds store_timeout{50};
  RevocationCache revocations;
  /// Sets `store`, `sessions` and `writer`. Call it before the first request.
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
  ReportSuspect report_suspect;
  SuspectWaiters suspect_waiters;
  QueuedRequests queued_requests;
  OpenStreams open_streams{index};
  LoggedErrors logged_errors{"worker", clock};
  bool stopping = false;  // finish requests in progress, then close every connection
  bool leaving = false;   // clients should leave: each response closes its connection, idle connections stay

  boost::intrusive::list<ConnectionLink, boost::intrusive::constant_time_size<false>> connections;
  std::size_t connection_count = 0;
  std::size_t untold = 0;           // connections that Connection::tell_leaving() has still to look at
  std::uint64_t conversations = 0;  // how often a connection has become active
  /// Spare Actives, kept for the next connection that becomes active.
  std::vector<std::unique_ptr<Active>> spare_actives;
  /// Spare tasks for HTTP/2 streams. Their waiting coroutines keep the loop running: clear it at the end.
  std::vector<std::unique_ptr<StreamTask>> spare_tasks;
  static constexpr std::size_t max_spare_actives = 64, max_spare_tasks = 512;

  /// The value of Date for `now`; a view until the next call.
  std::string_view date(Clock::Wall now);

 private:
  struct DateText {
    std::int64_t second = -1;
    std::string text;
  } date_;
};

}  // namespace remora
