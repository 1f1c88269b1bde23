// One session, seen and steered by its id: the one in Remora-Session.
//
// This instance knows a session from its tables: learned ids, the memory of moves, and the tokens that it has
// sent of late. A token that a client holds is valid all the same if nothing is known of its session, and can
// be ended or moved.
//
// Threading: control thread; the tables are shared with the workers. A look through the table of learned ids
// takes a few ms for 100,000 of them.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/api.h"

namespace remora {

/// 32 hexadecimal digits.
std::optional<SessionId> parse_session_id(std::string_view text);
std::string session_id_text(const SessionId& id);

/// GET: what is known. Nothing: this instance has not seen it.
std::optional<boost::json::object> describe_session(const SessionId& id, AdminActions& actions);
/// DELETE: its tokens and ids begin nothing but new sessions from now on, here and, with a shared store, on
/// all instances. Returns what was known before.
boost::json::object end_session(const SessionId& id, AdminActions& actions);
/// PATCH: its next request moves it to `backend`; empty: to any other. Returns why not; empty: it will.
std::string steer_session(const SessionId& id, std::string_view backend, AdminActions& actions);

/// The sessions at a backend, `most` at most. `more`: there are others.
struct SessionsAt {
  std::vector<SessionId> ids;
  bool more = false;
};
SessionsAt sessions_at(const PoolView& pool, std::uint64_t backend, std::size_t most, AdminActions& actions);

}  // namespace remora
