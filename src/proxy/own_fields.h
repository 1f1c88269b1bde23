// Fields that remora itself adds to heads, and fields that the configuration sets or removes. Pure.
//
// The configuration wins over remora's own fields: `remove: [Via]` removes ours too, and `set:
// {X-Forwarded-Proto: https}` replaces ours. A route's configuration wins over its pool's.
#pragma once

#include "proxy/edits.h"

namespace remora {

/// One of the pairs has that name, in any case.
bool named_by(std::string_view name, const std::vector<std::pair<std::string, std::string>>& fields) noexcept;
/// The configuration removes this field, or sets it itself.
bool configured_away(const config::HeaderEdits& edits, const Field& f) noexcept;
/// Appends the fields that `edits` sets, except those that `over` sets or removes (null: none).
void add_configured(const config::HeaderEdits& edits, OutHead& out,
                    const config::HeaderEdits* over = nullptr);

/// Adds remora's own request fields, except those that the configuration removes or replaces.
class OwnFields {
 public:
  OwnFields(const RequestContext& in, OutHead& out)
      : pool_(in.pool.config.headers), route_(in.route.config.request_headers), out_(out) {}
  /// The pool or the route has edits for request fields.
  bool edited() const noexcept { return edited_; }
  /// The configuration removes or replaces this field.
  bool removed(const Field& f) const noexcept {
    return edited_ && (configured_away(pool_, f) || configured_away(route_, f));
  }
  /// Appends a field, unless the configuration removes or replaces it.
  void add(std::string_view name, std::string_view value, Known known = Known::other) {
    const Field f{name, value, known};
    if (!removed(f)) out_.fields.push_back(f);
  }
  /// Appends the fields that the configuration sets; the route's win over the pool's.
  void add_configured_ones();

 private:
  const config::HeaderEdits& pool_;
  const config::HeaderEdits& route_;
  OutHead& out_;
  const bool edited_ = !pool_.empty() || !route_.empty();
};

/// Adds X-Forwarded-* and Forwarded: how the client reached us, as far as trusted proxies report. `stripped`:
/// the route's prefix was removed from the target.
void add_forwarded(const RequestContext& in, bool stripped, TextArena& arena, OwnFields& out);
/// For a field from a trusted proxy that the app may prefer to X-Forwarded-Proto: corrects its scheme to
/// ours. False: drop the field, because add_forwarded() adds a new one.
bool agrees_with_ours(const RequestContext& in, bool stripped, Field& f) noexcept;

}  // namespace remora
