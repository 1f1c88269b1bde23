#include "proxy/worker_context.h"

#include <malloc.h>

#include "proxy/active.h"
#include "proxy/stream_task.h"
#include "session/stores.h"
#include "util/utc_text.h"

namespace remora {

using std::chrono::seconds;

WorkerContext::WorkerContext(unsigned number, const Clock& c, AccessLog log,
                             std::shared_ptr<SessionMemory> sessions, std::uint64_t seed, Loop::Driver driver)
    : index(number),
      clock(c),
      loop(c, driver),
      memory(std::move(sessions)),
      random(seed),
      access_log(std::move(log)) {
  spare_actives.reserve(max_spare_actives);  // so that returning one never allocates
  spare_tasks.reserve(max_spare_tasks);
}

WorkerContext::~WorkerContext() = default;

void WorkerContext::open_store(const config::Store& settings, const std::vector<std::string>& dns_servers,
                               std::shared_ptr<const ClientTls> tls) {
  store_timeout = settings.timeout;
  revocations.trust_for(settings.cache_ttl);
  store = make_store(loop, clock, settings, dns_servers, std::move(tls), memory->values, random.next());
  sessions = std::make_unique<SessionStore>(*store, settings.prefix, clock);
  writer = std::make_unique<StoreWriter>(loop, *sessions, clock, settings.timeout, memory->store);
}

void WorkerContext::close_store() noexcept {
  if (writer) writer->stop();
  if (store) store->stop();
}

void MemoryTrim::expired() {
  ::malloc_trim(0);
}

std::string_view WorkerContext::date(Clock::Wall now) {
  const std::int64_t second = std::chrono::duration_cast<seconds>(now.time_since_epoch()).count();
  if (second != date_.second) {
    date_.second = second;
    format_utc(date_.text, second, "%a, %d %b %Y %H:%M:%S GMT");
  }
  return date_.text;
}

}  // namespace remora
