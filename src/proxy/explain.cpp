#include "proxy/explain.h"

#include "http/given_request.h"
#include "proxy/arrival.h"
#include "proxy/edits.h"
#include "proxy/explain_session.h"
#include "proxy/preflight.h"
#include "proxy/redirect.h"
#include "util/text.h"

namespace remora {

namespace {

/// Follows the request path for one request; each step adds a line.
class Walk {
 public:
  Walk(const Snapshot& snapshot, SessionMemory& memory, CryptoScratch& scratch, ClockReading now)
      : snapshot_(snapshot), memory_(memory), scratch_(scratch), now_(now) {}

  Explanation run(const ExplainRequest& in) {
    listener_ = find_listener(in.secure);
    if (!parse(in)) return std::move(out_);
    admit(in);
    route_ = find_route();
    if (route_ == nullptr || !authenticate() || redirects()) return std::move(out_);
    const VerifiedClaims* const claims = passed_.empty() ? nullptr : &passed_;
    SessionWalk({snapshot_, *route_, head_, arrival_, claims, in.draw}, memory_, scratch_, now_, out_).run();
    return std::move(out_);
  }

 private:
  void say(std::string line) { out_.steps.push_back(std::move(line)); }

  /// Assumes that the request came to the first listener of its scheme.
  const ListenerView* find_listener(bool secure) const {
    const ListenerView* at = nullptr;
    const auto fits = [&](const ListenerView& view) { return (view.tls != nullptr) == secure; };
    for (const std::size_t slot : snapshot_.serving) {
      const ListenerView* const l = snapshot_.listeners[slot].get();
      if (l != nullptr && (at == nullptr || (!fits(*at) && fits(*l)))) at = l;
    }
    return at;
  }

  bool parse(const ExplainRequest& in) {
    const config::ListenerLimits limits =
        listener_ != nullptr ? listener_->config.limits : config::ListenerLimits();
    const Verdict verdict = read_given_request(in.method, in.target, in.fields, limits, text_, head_);
    if (!verdict.refused()) return true;
    out_.status = verdict.code;
    say(std::string("request: refused: ") + verdict.why);
    return false;
  }

  /// What trusted proxies report counts, and what only they may send is removed.
  void admit(const ExplainRequest& in) {
    arrival_.peer = arrival_.client = in.client;
    arrival_.secure = in.secure;
    if (listener_ == nullptr) return;
    const config::Listener& rules = listener_->config;
    if (!rules.trusted_proxies.empty()) resolve_arrival(head_.fields, rules.trusted_proxies, arrival_);
    if (arrival_.trusted)
      say("listener " + rules.name + ": a trusted proxy sent it, for the client " + arrival_.client.text());
    const std::size_t before = head_.fields.size();
    if (!arrival_.trusted) drop_stripped(head_.fields, rules.strip_client_headers);
    if (head_.fields.size() != before)
      say("listener " + rules.name + ": strip_client_headers removed what only trusted proxies may send");
  }

  const RouteView* find_route() {
    const Routed routed = choose_route(snapshot_, head_, arena_);
    if (routed.refused != nullptr) {
      out_.status = 400;
      say(std::string("route: refused: ") + routed.refused);
      return nullptr;
    }
    const RouteView* route = routed.route;
    if (route == nullptr) {
      out_.status = 404;
      say("route: none matches");
      return nullptr;
    }
    std::string line = "route: number ";
    append_decimal(line, route->index + 1);
    line.append(" of the file: host ")
        .append(route->config.host.empty() ? "any" : route->config.host)
        .append(", path ")
        .append(route->config.path);
    say(std::move(line));
    return route;
  }

  bool redirects() {
    if (!route_->config.redirect) return false;
    const RedirectReply reply = redirect_reply(*route_->config.redirect, head_, arrival_.secure);
    out_.status = reply.status;
    say(reply.location.empty() ? "redirect: refused: it leads to a host, and the request names none"
                               : "redirect to " + reply.location);
    return true;
  }

  bool authenticate() {
    for (const std::size_t index : route_->verifiers) {
      const JwtVerifier& verifier = *snapshot_.verifiers[index];
      const FoundToken found = find_token(head_.fields, head_.query, verifier.rules);
      JwtVerdict verdict{found.outcome, nullptr};
      if (found.outcome == JwtOutcome::fine)
        verdict = verify_jwt(found.token, verifier.rules, *verifier.keys, now_.wall);
      say("jwt " + verifier.rules.name + ": " + std::string(to_string(verdict.outcome)));
      if (verdict.outcome == JwtOutcome::fine) {
        if (!verifier.rules.revocation_claims.empty())
          say("jwt " + verifier.rules.name + ": the store is not asked here whether it was revoked");
        passed_.add(verifier, std::move(verdict.claims));
        continue;
      }
      if (index != route_->auth) continue;
      if (const auto refused = refusal(verifier, verdict.outcome, route_->config.auth_required)) {
        if (route_->config.auth_passes_preflights && is_cors_preflight(head_)) {
          say("a CORS preflight: passes without a token");
          continue;
        }
        out_.status = refused->status;
        return false;
      }
    }
    return true;
  }

  const Snapshot& snapshot_;
  SessionMemory& memory_;
  CryptoScratch& scratch_;
  const ClockReading now_;
  const ListenerView* listener_ = nullptr;
  TextArena arena_;
  std::string text_;
  RequestHead head_;
  Arrival arrival_;
  PassedVerifiers passed_;
  const RouteView* route_ = nullptr;
  Explanation out_;
};

}  // namespace

Explanation explain(const Snapshot& snapshot, const ExplainRequest& request, SessionMemory& memory,
                    CryptoScratch& scratch, ClockReading now) {
  return Walk(snapshot, memory, scratch, now).run(request);
}

}  // namespace remora
