// Sessions in a store: the first writer wins, moves go by epoch, and state follows its session.
//
// The rules are in record.h, the atomicity is the store's (swap). This class is the loop between them: read,
// decide, swap, and retry if another writer was faster. Threading, lifetime: those of the Store below it.
#pragma once

#include "remora/config.h"
#include "session/record.h"
#include "session/store.h"

namespace remora {

class SessionStore {
 public:
  /// `prefix`: of every key, so that several remora installations can share a store.
  SessionStore(Store& store, std::string prefix, const Clock& clock)
      : store_(store), prefix_(std::move(prefix)), clock_(clock) {}

  using Rule = std::function<std::optional<Record>(const std::optional<Record>& standing)>;
  struct Outcome {
    std::optional<Record> record;  // what stands now
    bool changed = false;          // by this call
  };
  Task<Result<std::optional<Record>>> find(SessionKey key, StoreCall call);
  /// Applies `rule` in one atomic step. `fresh`: there is probably no record, so the first read is skipped
  /// and one round trip is enough.
  Task<Result<Outcome>> change(SessionKey key, Rule rule, config::Session lifetimes, bool fresh,
                               StoreCall call);
  /// Whether the value's key, or the value itself as a key, is in the store (session/revocation.h).
  Task<Result<bool>> revoked(std::string value, StoreCall call);

 private:
  std::string name(const SessionKey& key) const;
  Store& store_;
  const std::string prefix_;
  const Clock& clock_;
};

/// How long a record stays useful.
std::chrono::milliseconds time_to_live(const Record&, const config::Session&, Clock::Wall now) noexcept;

}  // namespace remora
