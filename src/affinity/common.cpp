// What several kinds share: lifetimes, names, Set-Cookie lines.

#include <iterator>

#include "affinity/kinds.h"
#include "remora/session_counts.h"

namespace remora {

std::string_view to_string(Reason r) noexcept {
  constexpr std::string_view names[] = {"none",    "new",     "sticky",   "failover",  "drain",  "maint",
                                        "expired", "restart", "overload", "rebalance", "removed"};
  static_assert(std::size(names) == static_cast<std::size_t>(Reason::count_));
  return names[static_cast<std::size_t>(r)];
}

std::string_view to_string(Cause c) noexcept {
  constexpr std::string_view names[] = {"none",   "absent", "malformed", "unknown_key", "forged",
                                        "future", "idle",   "too_old",   "ended",       "unbound"};
  static_assert(std::size(names) == static_cast<std::size_t>(Cause::count_));
  return names[static_cast<std::size_t>(c)];
}

std::string_view to_string(SessionEvent e) noexcept {
  constexpr std::string_view names[] = {"bound", "replaced", "cleared", "ended", "renewed", "lost"};
  static_assert(std::size(names) == static_cast<std::size_t>(SessionEvent::count_));
  return names[static_cast<std::size_t>(e)];
}

Cause judge_lifetime(const Binding& b, const config::Session& session, Clock::Wall now) noexcept {
  constexpr auto skew = std::chrono::minutes(2);
  if (b.created > now + skew || b.last_seen > now + skew) return Cause::future;
  if (now - b.created >= session.max_lifetime) return Cause::too_old;
  // The stamp lags by up to a quarter, so a session never ends before its timeout.
  if (session.idle_timeout && now - b.last_seen >= *session.idle_timeout * 5 / 4) return Cause::idle;
  return Cause::none;
}

bool needs_refresh(const Binding& b, const config::Session& session, Clock::Wall now) noexcept {
  return session.idle_timeout && now - b.last_seen >= *session.idle_timeout / 4;
}

Hint judge_opened(const Binding& b, bool old_key, const config::Session& session, Clock::Wall now) noexcept {
  const Cause cause = judge_lifetime(b, session, now);
  if (cause == Cause::future) return NoHint{cause};
  return Opened{b, old_key, cause};
}

CookieWriter::CookieWriter(std::string name, const config::CookieAttributes& a)
    : name_(std::move(name)), secure_(a.secure) {
  using config::SameSite;
  attributes_ = "; Path=" + a.path;
  if (!a.domain.empty()) attributes_ += "; Domain=" + a.domain;
  if (a.http_only) attributes_ += "; HttpOnly";
  if (a.same_site == SameSite::lax) attributes_ += "; SameSite=Lax";
  if (a.same_site == SameSite::strict) attributes_ += "; SameSite=Strict";
  if (a.same_site == SameSite::none) attributes_ += "; SameSite=None";
  if (a.partitioned) attributes_ += "; Partitioned";
  if (a.max_age) max_age_ = "; Max-Age=" + std::to_string(a.max_age->count());
}

bool CookieWriter::secure(const RequestView& request) const noexcept {
  return secure_ == config::Secure::on || (secure_ == config::Secure::auto_ && request.secure);
}

void CookieWriter::end(const RequestView& request, std::string& lines) const {
  lines.append(attributes_).append(max_age_).append(secure(request) ? "; Secure\r\n" : "\r\n");
}

void CookieWriter::clear(const RequestView& request, std::string& lines) const {
  begin(lines);
  lines.append(attributes_).append("; Max-Age=0").append(secure(request) ? "; Secure\r\n" : "\r\n");
}

}  // namespace remora
