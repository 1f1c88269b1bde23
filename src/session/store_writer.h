// Writes to the store that no request waits for: refreshed stamps, states with `save: async`, and everything
// that could not be written while the store was down.
//
// One job per session, bounded (write_queue.h): an outage costs memory per session, not per request. Once the
// store is back, jobs are applied by the rules of record.h, so nothing older overwrites anything newer.
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
StoreOutcome outcome_of(const Result<T>& result) noexcept {
  return result.has_value() ? StoreOutcome::done : outcome_of(result.error());
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
  /// No job is waiting or in progress.
  bool idle() const noexcept;
  void stop() noexcept;

 private:
  struct Shared;
  static Task<void> run(std::shared_ptr<Shared> shared);
  std::shared_ptr<Shared> shared_;
};

/// The record that `job` makes of the standing one; nothing: it stays. `saved`: outcome for the job's state,
/// if any.
std::optional<Record> apply(const StoreWriter::Job& job, const std::optional<Record>& standing, Saved& saved);

}  // namespace remora
