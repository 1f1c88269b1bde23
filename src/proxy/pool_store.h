// PoolStore: what one pool needs to keep sessions in a store: keys for records, and encryption of states.
//
// A state is sealed (XAES-256-GCM, first key of the ring) for its pool, record, writer's epoch and version.
// So whoever can write to the store can neither read a state nor pass it off as another session's or a later
// one.
//
// Threading: const after construction; `scratch` belongs to the calling thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "affinity/seal.h"
#include "proxy/session_proof.h"
#include "session/record.h"

namespace remora {

class PoolStore {
 public:
  /// `bindings`: keep learned sessions in a store shared with other instances. `state`: keep the app's state.
  /// `by_call`: apps write states through the session API.
  PoolStore(std::shared_ptr<const KeyRing> keys, const std::string& index_key, const std::string& pool,
            bool bindings, bool state, bool by_call);
  bool keeps_bindings() const noexcept { return bindings_; }
  bool keeps_state() const noexcept { return state_; }
  /// Proves to the session API who owns a session; null: the pool does not use the API for states.
  const SessionProof* proof() const noexcept { return proof_ ? &*proof_ : nullptr; }
  /// The store key of the record under our own session id.
  SessionKey name(const SessionId& id, CryptoScratch& scratch) const;
  /// Seals a state for the record `at`, its writer's epoch and its version.
  std::string seal(std::string_view plain, const SessionKey& at, std::uint32_t epoch, std::uint64_t version,
                   CryptoScratch& scratch) const;
  /// Opens a sealed state. Nothing: its key is gone, or it was not sealed for this record, epoch and version.
  std::optional<std::string> open(const KeptState& state, const SessionKey& at, CryptoScratch& scratch) const;

 private:
  const BlobSealer sealer_;
  const SessionNamer names_;
  const bool bindings_, state_;
  std::optional<SessionProof> proof_;
};

}  // namespace remora
