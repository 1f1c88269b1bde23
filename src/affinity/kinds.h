// What every affinity kind is made from, and one maker per kind. See README.md here for adding one.
#pragma once

#include <memory>

#include "remora/affinity.h"
#include "remora/config.h"
#include "util/hash.h"

namespace remora {

class KeyRing;

class SessionNamer;

struct AffinityInput {
  const config::Pool& pool;
  const config::Affinity& config;  // of the one kind to make
  std::shared_ptr<const KeyRing> keys;
  std::shared_ptr<const SessionNamer> namer;
};

std::shared_ptr<const Affinity> make_cookie_affinity(const AffinityInput&);
std::shared_ptr<const Affinity> make_url_rewrite_affinity(const AffinityInput&);
std::shared_ptr<const Affinity> make_app_cookie_affinity(const AffinityInput&);
std::shared_ptr<const Affinity> make_header_affinity(const AffinityInput&);
std::shared_ptr<const Affinity> make_ip_hash_affinity(const AffinityInput&);
std::shared_ptr<const Affinity> make_jwt_claim_affinity(const AffinityInput&);

// Parts that several kinds share.

/// The session of an authentic token, or why it is none: the future is never believed; a token past its
/// lifetime is returned with the cause, since this instance may know better (session/moves.h).
Hint judge_opened(const Binding&, bool old_key, const config::Session&, Clock::Wall now) noexcept;

/// Writes Set-Cookie lines with the attributes of one configuration.
class CookieWriter {
 public:
  CookieWriter(std::string name, const config::CookieAttributes& attributes);
  const std::string& name() const noexcept { return name_; }
  /// Begins the line up to and including `NAME=`; the value is appended by the caller, then `end`.
  void begin(std::string& lines) const { lines.append("Set-Cookie: ").append(name_).append("="); }
  void end(const RequestView&, std::string& lines) const;
  /// A line that makes the client forget the cookie.
  void clear(const RequestView&, std::string& lines) const;

 private:
  bool secure(const RequestView& request) const noexcept;
  const std::string name_;
  const config::Secure secure_;
  std::string attributes_, max_age_;
};

}  // namespace remora
