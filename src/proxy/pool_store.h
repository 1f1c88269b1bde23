// What one pool needs to keep its sessions in a store: names for records, and the seal of states.
//
// A state is sealed (XAES-256-GCM) under the first key for its pool, record, writer's epoch and version, so
// that whoever can write to the store can neither read it nor pass it off as another session's or a later
// one. Threading: const after construction; the scratch is the worker's.
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
  /// `bindings`: learned sessions are kept in a store that other instances share. `by_call`: apps write
  /// states over the session API.
  PoolStore(std::shared_ptr<const KeyRing> keys, const std::string& index_key, const std::string& pool,
            bool bindings, bool state, bool by_call);
  bool keeps_bindings() const noexcept { return bindings_; }
  bool keeps_state() const noexcept { return state_; }
  /// What proves to the session API who owns a session; null: nobody asks.
  const SessionProof* proof() const noexcept { return proof_ ? &*proof_ : nullptr; }
  /// The record's name when the session is known by our own id only.
  SessionKey name(const SessionId& id, CryptoScratch& scratch) const;
  std::string seal(std::string_view plain, const SessionKey& at, std::uint32_t epoch, std::uint64_t version,
                   CryptoScratch& scratch) const;
  /// Nothing: of a key that is gone, or not sealed for this record.
  std::optional<std::string> open(const KeptState& state, const SessionKey& at, CryptoScratch& scratch) const;

 private:
  const BlobSealer sealer_;
  const SessionNamer names_;
  const bool bindings_, state_;
  std::optional<SessionProof> proof_;
};

}  // namespace remora
