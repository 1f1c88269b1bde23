// What a store keeps of a session, and the rules by which it changes. Pure.
//
// One record per session: its binding, and the app's state if there is any. So a move decides the binding,
// shuts out late writers of the state and hands the state over in one atomic step.
//
// Each rule takes what stands (nothing: no record, or one that cannot be read) and returns what shall stand
// instead, or nothing: it stays. A state that was deleted leaves its version and the time, so that a request
// which the app began to answer before does not bring it back. Bytes: format 1, flags, reason, id 16, backend
// 8, generation 8, epoch 4, created 8, last seen 8 (wall clock, ms); then, with state: writer's epoch 4,
// version 8, expires 8, sealed bytes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "remora/affinity.h"

namespace remora {

/// The app's blob, sealed (state_seal.h), with what it was sealed for.
struct KeptState {
  std::uint32_t epoch = 0;    // of its writer; deleted: how long its request had taken until then, in ms
  std::uint64_t version = 0;  // +1 with each save; 0: nothing was ever saved
  Clock::Wall expires{};      // before its session does; zero: with it. Deleted: when that was
  std::string sealed;         // empty: none, or deleted
  bool is_over(Clock::Wall now) const noexcept { return expires != Clock::Wall() && expires <= now; }
  /// Something was saved, and neither deleted nor forgotten since.
  bool is_there(Clock::Wall now) const noexcept { return version != 0 && !sealed.empty() && !is_over(now); }
  /// Deleted at `now` by a request that the app got at `sent` (zero: not known).
  void remove(Clock::Wall now, Clock::Wall sent) noexcept;
  /// It was deleted after the app got the request of `sent`, by another one: what that one has to say is of
  /// before. Not when the clock was set back since (`now`).
  bool was_deleted_since(Clock::Wall sent, Clock::Wall now) const noexcept;
};

struct Record {
  Binding binding;
  Reason reason = Reason::none;  // of its last move
  bool ended = false;            // the session is over: nothing late revives it
  bool replaced = false;         // goes on under another name; served where it was
  KeptState state;
};

std::string encode(const Record&);
/// Nothing: another format, cut, or no record at all.
std::optional<Record> decode(std::string_view bytes);

/// First writer wins; an ended session's name may begin another session.
std::optional<Record> bind_rule(const std::optional<Record>& standing, const Record& wanted);
/// Of moves the one to the highest epoch stands, of one epoch the first; the state stays with the session.
std::optional<Record> move_rule(const std::optional<Record>& standing, const Record& wanted);
/// `wanted` brings its session's state from another record, where one of epoch `writer` wrote it. What was
/// saved here later stands: the session has been here before, or the state was brought already.
std::optional<Record> bring_rule(const std::optional<Record>& standing, const Record& wanted,
                                 std::uint32_t writer);
/// Used again: stamps, generation, a wish to leave. Writes the record back that the store has lost.
std::optional<Record> refresh_rule(const std::optional<Record>& standing, const Record& wanted);
/// The same session goes on under another id of ours (renewal).
std::optional<Record> rename_rule(const std::optional<Record>& standing, const Record& wanted);
/// Over (`ended`), or under another name from now on (`replaced`); the state goes.
std::optional<Record> end_rule(const std::optional<Record>& standing, const Record& wanted);

/// Makes the bytes to keep of a state; an empty result deletes it.
using Seal = std::function<std::string(std::uint32_t epoch, std::uint64_t version)>;
/// When the app got the request that it answers with a state, and when it answered. Zero: not known.
struct SaveTimes {
  Clock::Wall sent{}, said{};
};
enum class Saved : std::uint8_t { saved, outdated, conflict };
/// Compare-and-set on (epoch, owner): a late answer of a previous owner loses. `seen`: the version that the
/// app says it knew; 0: it does not say, the last completed response wins, but for one that a deletion
/// outran. `seal` makes the bytes for a version.
std::optional<Record> save_rule(const std::optional<Record>& standing, const Record& writer,
                                std::uint64_t seen, const Seal& seal, Saved& outcome, SaveTimes times = {});

}  // namespace remora
