// What the store has to hear but no request waits for: refreshed stamps, states with `save: async`, and
// whatever could not be told while the store was away.
//
// One job per session: a later one takes the place of an earlier, so an outage costs memory per session and
// not per request. Bounded; what is dropped is counted. When the store is back, jobs are told by the rules of
// record.h, so nothing older overwrites something newer.
// Threading: the loop's thread. Lifetime: stop() before the loop ends.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "net/loop.h"
#include "remora/store_counts.h"
#include "session/session_store.h"

namespace remora {

StoreOutcome outcome_of(const error_code& ec) noexcept;
template <class T>
StoreOutcome outcome_of(const Result<T>& said) noexcept {
  return said.has_value() ? StoreOutcome::done : outcome_of(said.error());
}
StateEvent event_of(Saved) noexcept;

class StoreWriter {
 public:
  struct Save {
    Seal seal;
    std::size_t bytes = 0;  // what it holds on to
    std::uint64_t seen = 0;
  };
  struct Job {
    SessionKey key;
    Record record;  // `ended`: the session is over; `replaced`: it goes on under another name
    config::Session lifetimes;
    bool only_if_there = false;  // no record is made for it
    std::optional<Save> save;
    bool late = false;  // it failed once
  };
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
