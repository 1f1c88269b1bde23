// Implements kinds.h.

#include <algorithm>

#include "affinity/kinds.h"
#include "util/text.h"
#include "util/units.h"

namespace remora {

namespace {

bool has_prefix(const std::string& name, bool& host) noexcept {
  host = istarts_with(name, "__Host-");
  return host || istarts_with(name, "__Secure-") || istarts_with(name, "__Http-");
}

/// Without Secure, browsers ignore such a cookie completely (RFC 6265bis 5.7; CHIPS for Partitioned). So it
/// gets Secure whatever protocol the client seems to use: where TLS ends in front of remora that is right,
/// and over plain HTTP nothing is lost.
bool needs_secure(const std::string& name, const CookieAttributes& a) noexcept {
  bool host = false;
  return a.same_site == SameSite::none || a.partitioned || has_prefix(name, host);
}

}  // namespace

Hint judge_opened(const Binding& b, bool old_key, const config::Session& session, Clock::Wall now) noexcept {
  const Cause cause = judge_lifetime(b, session, now);
  if (cause == Cause::future) return NoHint{cause};
  return Opened{b, old_key, cause};
}

CookieWriter::CookieWriter(std::string name, const CookieAttributes& a)
    : name_(std::move(name)), secure_(needs_secure(name_, a) ? Secure::on : a.secure), max_age_(a.max_age) {
  attributes_ = "; Path=" + a.path;
  if (!a.domain.empty()) attributes_ += "; Domain=" + a.domain;
  if (a.http_only) attributes_ += "; HttpOnly";
  if (a.same_site == SameSite::lax) attributes_ += "; SameSite=Lax";
  if (a.same_site == SameSite::strict) attributes_ += "; SameSite=Strict";
  if (a.same_site == SameSite::none) attributes_ += "; SameSite=None";
  if (a.partitioned) attributes_ += "; Partitioned";
  if (a.max_age) max_age_text_ = "; Max-Age=" + std::to_string(a.max_age->count());
}

bool CookieWriter::wants_renewal(const Binding& token, Clock::Wall now) const noexcept {
  return max_age_ && now - token.last_seen >= *max_age_ / 4;
}

bool CookieWriter::needs_renewal(const Binding& token, Clock::Wall now) const noexcept {
  return max_age_ && now - token.last_seen >= *max_age_ / 2;
}

bool CookieWriter::renewed_by(const ResponseView& response) const noexcept {
  if (!max_age_) return false;
  if (response.status == 101) return true;
  return std::any_of(response.fields.begin(), response.fields.end(), [](const Field& f) {
    return f.known == Known::content_type && istarts_with(f.value, "text/event-stream");
  });
}

bool CookieWriter::secure(const RequestView& request) const noexcept {
  return secure_ == Secure::on || (secure_ == Secure::auto_ && request.secure);
}

void CookieWriter::set(const RequestView& request, std::string_view token, ResponseEdits& edits) const {
  const std::string_view end = secure(request) ? "; Secure" : "";
  edits.add("Set-Cookie", edits.arena.join(name_, "=", token, attributes_, max_age_text_, end),
            Known::set_cookie);
}

void CookieWriter::clear(const RequestView& request, ResponseEdits& edits) const {
  const std::string_view end = secure(request) ? "; Max-Age=0; Secure" : "; Max-Age=0";
  edits.add("Set-Cookie", edits.arena.join(name_, "=", attributes_, end), Known::set_cookie);
}

// Referrer-Policy -----------------------------------------------------------------------------------

void keep_referrer_inside(const ResponseView& response, ResponseEdits& edits) {
  if (std::exchange(edits.referrer_stays, true)) return;
  bool seen = false;
  for (std::size_t i = 0; i < response.fields.size(); ++i) {
    const Field& f = response.fields[i];
    if (!iequals(f.name, "referrer-policy")) continue;
    seen = true;
    if (!iequals(f.value, "no-referrer")) edits.fields.push_back({i, "same-origin"});
  }
  if (!seen) edits.add("Referrer-Policy", "same-origin");
}

// Settings ------------------------------------------------------------------------------------------

std::string read_token_name(Settings& settings, const char* key, std::string preset) {
  if (const auto name = settings.text(key)) {
    preset = *name;
    if (!is_token(preset)) settings.bad(key, "'" + preset + "' is no name of a cookie or header");
  }
  return preset;
}

CookieAttributes read_cookie_attributes(Settings& settings, const std::string& name) {
  CookieAttributes out;
  const auto clean = [&](const char* key, std::string& value) {
    const auto given = settings.text(key);
    if (!given) return;
    value = *given;
    for (const char c : value)
      if (static_cast<unsigned char>(c) <= ' ' || c == ';' || c == ',' || c == '"' ||
          static_cast<unsigned char>(c) >= 0x7f)
        return settings.bad(key, "cannot stand in a cookie");
  };
  clean("path", out.path);
  clean("domain", out.domain);
  settings.choice("secure", out.secure,
                  {{"auto", Secure::auto_},
                   {"on", Secure::on},
                   {"true", Secure::on},
                   {"off", Secure::off},
                   {"false", Secure::off}});
  out.http_only = settings.flag("http_only").value_or(true);
  settings.choice("same_site", out.same_site,
                  {{"lax", SameSite::lax},
                   {"strict", SameSite::strict},
                   {"none", SameSite::none},
                   {"unset", SameSite::unset}});
  out.partitioned = settings.flag("partitioned").value_or(false);
  if (settings.text("max_age").value_or("session") != "session")
    if (const auto age = settings.duration("max_age")) {
      out.max_age = std::chrono::duration_cast<std::chrono::seconds>(*age);
      if (*out.max_age < std::chrono::seconds(1)) settings.bad("max_age", "must be at least 1s, or session");
    }
  // Combinations that browsers reject (RFC 6265bis 4.1.2, 4.1.3).
  bool host = false;
  const bool prefixed = has_prefix(name, host);
  if (out.secure == Secure::off) {
    if (out.same_site == SameSite::none)
      settings.bad("", "same_site: none needs Secure; browsers refuse the cookie");
    if (out.partitioned) settings.bad("", "partitioned needs Secure; browsers refuse the cookie");
    if (prefixed) settings.bad("", "'" + name + "' needs Secure; browsers refuse the cookie");
  }
  if (host && (out.path != "/" || !out.domain.empty()))
    settings.bad("", "'" + name + "' needs path / and no domain; browsers refuse the cookie");
  if (!out.http_only && (istarts_with(name, "__Http-") || istarts_with(name, "__Host-Http-")))
    settings.bad("http_only", "'" + name + "' needs HttpOnly; browsers refuse the cookie");
  return out;
}

Carry read_carry(Settings& settings) {
  Carry carry = Carry::nothing;
  settings.choice("carry", carry, {{"nothing", Carry::nothing}, {"store", Carry::store}});
  return carry;
}

double read_bounded_load(Settings& settings) {
  if (const auto given = settings.text("bounded_load"); !given || parse_switch(*given) == false) return 0;
  const auto factor = settings.number("bounded_load");
  if (factor && *factor <= 1)
    settings.bad("bounded_load", "is a factor of the mean load: above 1 (1.25, say), or off");
  return factor.value_or(0);
}

bool read_reject_unknown(Settings& settings) {
  bool reject = false;
  settings.choice("on_unknown", reject, {{"choose", false}, {"reject", true}});
  return reject;
}

std::string read_parameter_name(Settings& settings, const char* key, std::string preset) {
  if (const auto name = settings.text(key)) {
    preset = *name;
    if (preset == "null") preset.clear();
    const bool plain = std::all_of(preset.begin(), preset.end(), [](char c) {
      return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
             c == '.';
    });
    if (!plain)
      settings.bad(key,
                   "'" + preset + "' is no name for a URL parameter (letters, digits, '-', '_' and '.')");
  }
  return preset;
}

}  // namespace remora
