// Finds the session that a request belongs to: asks the affinity kinds in order, then this instance's tables.
//
// Only reads the tables: it decides nothing about backends and changes nothing but the tables' recency.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "session/memory.h"

namespace remora {

struct Recognized {
  enum class What : std::uint8_t {
    nothing,   // no session; `cause` says why
    session,   // `binding` is current
    unbound,   // an unknown id of the app: see `lookup`
    derived,   // `derived`
    detached,  // its id was renewed meanwhile: served at binding.backend, no longer the session itself
    lost,      // lost or ended, and `on_lost: reject` wants an error
  } what = What::nothing;
  Cause cause = Cause::absent;
  std::size_t kind = 0;  // index of the kind that decided; the number of kinds: none
  Binding binding;
  bool old_key = false;
  bool behind = false;              // the client holds an older binding than this one
  bool stamp_is_old = false;        // the client's stamp should be renewed
  bool stamp_is_late = false;       // the stamp is so old that every response must renew it
  Reason moved_for = Reason::none;  // with `behind`: why the session was moved
  bool learned = false;             // `key` names the session in the store
  SessionKey key;
  Lookup lookup;
  HashOn derived;
  bool stale = false;              // a shared store may have a newer record: ask it
  std::array<SessionKey, 3> also;  // other ids of the request, which the store may know instead
  std::size_t also_count = 0;
  bool came_by_cookie = false;  // the request carried a living token of ours in a cookie or a header
};

/// `trace`: false leaves the tables' recency unchanged (explanations).
Recognized recognize(std::span<const std::shared_ptr<const Affinity>> kinds, const RequestView& request,
                     SessionMemory& memory, const config::Session& session, CryptoScratch& scratch,
                     ClockReading now, bool trace = true);

/// Whether the response's URLs may carry our tokens. Not if the client holds our cookie, or if the session is
/// recognized by something other than our token.
bool may_be_issued(const Recognized& found, std::span<const std::shared_ptr<const Affinity>> kinds) noexcept;

}  // namespace remora
