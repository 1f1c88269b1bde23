// Whose session is this request's? Asks the kinds in order, then what this instance remembers.
//
// Reads tables, decides nothing about backends, changes nothing (but for the tables' notion of what was
// used).
#pragma once

#include <array>
#include <memory>
#include <span>

#include "session/memory.h"

namespace remora {

struct Recognised {
  enum class What : std::uint8_t {
    nothing,   // no session; `cause` says why
    session,   // `binding` is true now
    unbound,   // an id of the app that nothing is known of: `lookup`
    derived,   // `derived`
    detached,  // its id was renewed under way: served at binding.backend, without being the session any more
    lost,      // known to be lost or ended where the configuration wants an error: `on_lost: reject`
  } what = What::nothing;
  Cause cause = Cause::absent;
  std::size_t kind = 0;  // which of the kinds decided; the number of kinds: none
  Binding binding;
  bool old_key = false;
  bool behind = false;              // what the client holds is older than the truth
  bool stamp_is_old = false;        // its own stamp wants renewing
  bool stamp_is_late = false;       // so much that no response may pass without it
  Reason moved_for = Reason::none;  // behind: why it was moved
  bool learned = false;             // `key` names it in the store
  SessionKey key;
  Lookup lookup;
  HashOn derived;
  bool stale = false;              // a shared store may know better: ask it
  std::array<SessionKey, 3> also;  // other ids of the request that it may know instead
  std::size_t also_count = 0;
  bool came_by_cookie = false;  // a living cookie of ours came back
};

/// `trace`: false leaves no mark of having asked (explanations).
Recognised recognise(std::span<const std::shared_ptr<const Affinity>> kinds, const RequestView& request,
                     SessionMemory& memory, const config::Session& session, CryptoScratch& scratch,
                     Moment now, bool trace = true);

/// Whether tokens of ours may go on the URLs of the response: not where the client keeps our cookie, or where
/// the session is known by something else.
bool may_be_issued(const Recognised& found, std::span<const std::shared_ptr<const Affinity>> kinds) noexcept;

}  // namespace remora
