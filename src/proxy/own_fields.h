// What remora itself adds to heads, and what the configuration sets or removes. Pure.
//
// The configuration goes over what remora would say: `remove: [Via]` removes ours too, `set:
// {X-Forwarded-Proto: https}` is the only one that is sent. A route's word goes over its pool's.
#pragma once

#include "proxy/edits.h"

namespace remora {

/// One of the configured pairs has that name.
bool named_by(std::string_view name, const std::vector<std::pair<std::string, std::string>>& fields) noexcept;
/// Removed, or set to something else.
bool configured_away(const config::HeaderEdits& edits, const Field& f) noexcept;
/// The fields that are set, but for those that `over` decides on.
void add_configured(const config::HeaderEdits& edits, OutHead& out,
                    const config::HeaderEdits* over = nullptr);

/// Adds what remora itself says in requests, but for what the configuration removes or says in its place.
class OwnFields {
 public:
  OwnFields(const RequestContext& in, OutHead& out)
      : pool_(in.pool.config.headers), route_(in.route.config.request_headers), out_(out) {}
  bool edited() const noexcept { return edited_; }
  bool removed(const Field& f) const noexcept {
    return edited_ && (configured_away(pool_, f) || configured_away(route_, f));
  }
  void add(std::string_view name, std::string_view value, Known known = Known::other) {
    const Field f{name, value, known};
    if (!removed(f)) out_.fields.push_back(f);
  }
  /// The configured fields; a route's word goes over its pool's.
  void add_configured_ones();

 private:
  const config::HeaderEdits& pool_;
  const config::HeaderEdits& route_;
  OutHead& out_;
  const bool edited_ = !pool_.empty() || !route_.empty();
};

/// X-Forwarded-*, Forwarded: how the client came, as far as trusted proxies tell. `stripped`: the route's
/// prefix was taken off the target.
void add_forwarded(const RequestContext& in, bool stripped, TextArena& arena, OwnFields& out);
/// What a trusted proxy said in a field that the app could believe rather than X-Forwarded-Proto: no other
/// scheme. False: it goes away, since add_forwarded() says it anew.
bool agrees_with_ours(const RequestContext& in, bool stripped, Field& f) noexcept;

}  // namespace remora
