// What the store has to hear but no request waits for: refreshed stamps, states with `save: async`, and
// whatever could not be told while the store was away.
//
// One job per session, bounded (write_queue.h): an outage costs memory per session and not per request. When
// the store is back, jobs are told by the rules of record.h, so nothing older overwrites something newer.
// Threading: the loop's thread. Lifetime: stop() before the loop ends.
#pragma once

#include <memory>

#include "net/loop.h"
#include "remora/store_counts.h"
#include "session/session_store.h"
#include "session/write_queue.h"

namespace remora {

StoreOutcome outcome_of(const error_code& ec) noexcept;
template <class T>
StoreOutcome outcome_of(const Result<T>& said) noexcept {
  return said.has_value() ? StoreOutcome::done : outcome_of(said.error());
}
StateEvent event_of(Saved) noexcept;

class StoreWriter {
 public:
  using Job = StoreJob;
  using Save = StoreJob::Save;
  StoreWriter(Loop& loop, SessionStore& store, const Clock& clock, std::chrono::milliseconds timeout,
              StoreCounts& counts);
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;
  void later(Job job);
  /// Nothing is waiting and nothing under way.
  bool idle() const noexcept;
  void stop() noexcept;

 private:
  struct Shared;
  static Task<void> run(std::shared_ptr<Shared> shared);
  std::shared_ptr<Shared> shared_;
};

/// What `job` makes of what stands. `saved`: of its state, if it has one.
std::optional<Record> apply(const StoreWriter::Job& job, const std::optional<Record>& standing, Saved& saved);

}  // namespace remora
