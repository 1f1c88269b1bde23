// A session's record in a store, and the rules by which it changes. Pure.
//
// One record per session: its binding, and the app's state if there is any. So one atomic step moves the
// binding, locks out late writers of the state, and hands the state over.
//
// Each rule takes the standing record (nothing: no record, or an unreadable one). It returns the record to
// write instead, or nothing: the standing record stays. A deleted state leaves its version and the time of
// deletion, so that the response to an earlier request does not bring it back.
//
// Bytes: format 1, flags 1, reason 1, id 16, backend 8, generation 8, epoch 4, created 8, last seen 8 (wall
// clock, ms); then, with state: writer's epoch 4, version 8, expires 8, sealed bytes.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "remora/affinity.h"

namespace remora {

/// The app's blob, sealed (BlobSealer), and what it was sealed for.
struct KeptState {
  std::uint32_t epoch = 0;    // of its writer; if deleted: how long the deleting request had taken, in ms
  std::uint64_t version = 0;  // +1 with each save; 0: never saved
  Clock::Wall expires{};  // earlier than the session's; zero: with the session. If deleted: time of deletion
  std::string sealed;     // empty: none, or deleted
  bool is_over(Clock::Wall now) const noexcept { return expires != Clock::Wall() && expires <= now; }
  /// A state was saved and has neither been deleted nor expired since.
  bool is_there(Clock::Wall now) const noexcept { return version != 0 && !sealed.empty() && !is_over(now); }
  /// Deletes the state at `now`, by a request that the app received at `sent` (zero: unknown).
  void remove(Clock::Wall now, Clock::Wall sent) noexcept;
  /// Whether another request deleted the state after the app received the request of `sent`, whose response
  /// is therefore outdated. False if the clock was set back since (`now`).
  bool was_deleted_since(Clock::Wall sent, Clock::Wall now) const noexcept;
};

struct Record {
  Binding binding;
  Reason reason = Reason::none;  // reason of its last move
  bool ended = false;            // the session is over: nothing late revives it
  bool replaced = false;         // the session continues under another name; this one is served where it was
  KeptState state;
};

std::string encode(const Record&);
/// Nothing: another format, truncated, or not a record.
std::optional<Record> decode(std::string_view bytes);
/// When the session was last used, in ms, read without decoding; nothing: no record.
std::optional<std::uint64_t> last_use_in(std::string_view bytes) noexcept;
/// Whether two records of one size differ in nothing but that. REQUIRES: last_use_in() found it in both.
bool same_but_last_use(std::string_view a, std::string_view b) noexcept;

/// The first writer wins. The name of an ended session may begin another session.
std::optional<Record> bind_rule(const std::optional<Record>& standing, const Record& wanted);
/// Whether the standing session lets the name begin that of `wanted`: it is another one, and is one of `over`
/// or had expired when `wanted` was last seen. The store may not know yet that a session ended.
bool gives_way(const Record& standing, const Record& wanted, std::span<const SessionId> over,
               const config::Session& lifetimes) noexcept;
/// The move to the highest epoch wins; of one epoch, the first. The state stays with the session.
std::optional<Record> move_rule(const std::optional<Record>& standing, const Record& wanted);
/// `wanted` copies the session's state from another record, where the owner of epoch `writer` saved it. A
/// state saved here later stands: the session has been here before, or the state was copied already.
std::optional<Record> bring_rule(const std::optional<Record>& standing, const Record& wanted,
                                 std::uint32_t writer);
/// The session was used: updates stamps, generation and the request to leave. Writes the record again if the
/// store has lost it.
std::optional<Record> refresh_rule(const std::optional<Record>& standing, const Record& wanted);
/// The same session continues under another id of ours (renewal).
std::optional<Record> rename_rule(const std::optional<Record>& standing, const Record& wanted);
/// The session is over (`ended`), or continues under another name (`replaced`). The state is removed.
std::optional<Record> end_rule(const std::optional<Record>& standing, const Record& wanted);

/// Makes the bytes to store for a state. Empty: the state is deleted.
using Seal = std::function<std::string(std::uint32_t epoch, std::uint64_t version)>;
/// When the app received the request that it answers with a state, and when it answered. Zero: unknown.
struct SaveTimes {
  Clock::Wall sent{}, answered{};
};
enum class Saved : std::uint8_t { saved, outdated, conflict };
/// Compare-and-set on (epoch, owner): a late response of a previous owner loses. `seen`: the version that the
/// app says it knew. 0: not given; then the last completed response wins, unless the state was deleted after
/// its request was sent. `seal` makes the bytes for a version.
std::optional<Record> save_rule(const std::optional<Record>& standing, const Record& writer,
                                std::uint64_t seen, const Seal& seal, Saved& outcome, SaveTimes times = {});

}  // namespace remora
