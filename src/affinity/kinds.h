// Parts that several kinds share: lifetimes, cookies and their attributes, settings of the same form.
#pragma once

#include "remora/affinity_kind.h"
#include "util/hash.h"

namespace remora {

/// The session of an authentic token, or why there is none. A token from the future is never accepted. A
/// token past its lifetime is returned with the cause, because this instance may know of later activity
/// (session/moves.h).
Hint judge_opened(const Binding&, bool old_key, const config::Session&, Clock::Wall now) noexcept;

// Cookies -------------------------------------------------------------------------------------------

enum class SameSite : std::uint8_t { lax, strict, none, unset };
enum class Secure : std::uint8_t { auto_, on, off };

struct CookieAttributes {
  std::string path = "/";
  std::string domain;
  Secure secure = Secure::auto_;
  bool http_only = true;
  SameSite same_site = SameSite::unset;
  bool partitioned = false;
  std::optional<std::chrono::seconds> max_age;  // none: a session cookie
};

/// Reads path, domain, secure, http_only, same_site, partitioned, max_age; checks what browsers require of
/// `name`.
CookieAttributes read_cookie_attributes(Settings& settings, const std::string& name);
std::string read_token_name(Settings& settings, const char* key, std::string preset);

/// Makes Set-Cookie fields with the attributes of one configuration.
class CookieWriter {
 public:
  CookieWriter(std::string name, const CookieAttributes& attributes);
  const std::string& name() const noexcept { return name_; }
  /// Adds a field that sets the cookie to `token`.
  void set(const RequestView&, std::string_view token, ResponseEdits&) const;
  /// Adds a field that makes the client forget the cookie.
  void clear(const RequestView&, ResponseEdits&) const;

  // Max-Age counts from the response that set the cookie (RFC 6265 5.3), so a lasting cookie has to be set
  // again while it is used.

  /// A quarter of Max-Age has passed since this token was sealed.
  bool wants_renewal(const Binding& token, Clock::Wall now) const noexcept;
  /// Half of it has passed: now even a response that is offered to shared caches must carry the cookie.
  bool needs_renewal(const Binding& token, Clock::Wall now) const noexcept;
  /// The client may be busy with this response for longer than the cookie lasts: a tunnel or an event stream.
  bool renewed_by(const ResponseView& response) const noexcept;

 private:
  bool secure(const RequestView& request) const noexcept;
  const std::string name_;
  const Secure secure_;
  const std::optional<std::chrono::seconds> max_age_;
  std::string attributes_, max_age_text_;
};

/// Keeps URLs with a token from going to other origins as Referer, whatever the app says.
void keep_referrer_inside(const ResponseView& response, ResponseEdits& edits);

// Settings of the same form -------------------------------------------------------------------------

/// Where the binding of a recognized session is kept.
enum class Carry : std::uint8_t { nothing, store, token };

/// `carry: nothing | store`, for kinds that hash by default.
Carry read_carry(Settings& settings);
/// `bounded_load`: a factor above 1; 0: off.
double read_bounded_load(Settings& settings);
/// `on_unknown: choose | reject`; true: reject.
bool read_reject_unknown(Settings& settings);
/// The name of a URL parameter, of characters that need no escaping. Empty for `null`.
std::string read_parameter_name(Settings& settings, const char* key, std::string preset);

}  // namespace remora
