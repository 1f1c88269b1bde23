#include "proxy/explain.h"

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/rendezvous.h"
#include "http/head.h"
#include "proxy/preflight.h"
#include "proxy/split.h"
#include "session/lifecycle.h"
#include "session/recognise.h"
#include "util/text.h"

namespace remora {

namespace {

using What = Recognised::What;

std::string facts(const Member& m) {
  std::string out = m.backend->id;
  out.append(" (").append(to_string(m.admin)).append(", ").append(to_string(m.health)).append(", weight ");
  append_decimal(out, m.weight);
  if (m.ejected == Ejected::new_sessions) out += ", ejected for new sessions";
  if (m.ejected == Ejected::all) out += ", ejected";
  if (m.panic) out += ", panic";
  return out.append(m.backup ? ", backup)" : ")");
}

/// Walks the road for one request; each step adds its line.
class Walk {
 public:
  Walk(const Snapshot& snapshot, SessionMemory& memory, CryptoScratch& scratch, Moment now)
      : snapshot_(snapshot), memory_(memory), scratch_(scratch), now_(now) {}

  Explanation run(const ExplainRequest& in) {
    if (!parse(in)) return std::move(out_);
    const RouteView* route = find_route();
    if (route == nullptr || !authenticate(*route) || redirects(*route)) return std::move(out_);
    std::size_t index = route->targets.front().pool;
    Recognised found = recognise_in(*snapshot_.pools[index], *route);
    for (const auto& target : route->targets) {
      if (found.what == What::session) break;
      const Recognised other = recognise_in(*snapshot_.pools[target.pool], *route);
      if (other.what != What::session) continue;
      index = target.pool;
      found = other;
    }
    if (route->targets.size() > 1) look_at_split(*route, index, found);
    pool_ = snapshot_.pools[index].get();
    out_.pool = pool_->config.name;
    say("pool: " + out_.pool);
    say_session(found, *route);
    if (out_.status == 0) choose(found);
    return std::move(out_);
  }

 private:
  void say(std::string line) { out_.steps.push_back(std::move(line)); }

  bool parse(const ExplainRequest& in) {
    text_ = in.method + " " + in.target + " HTTP/1.1\r\n";
    bool host = false;
    for (const auto& [name, value] : in.fields) {
      if (name.find_first_of("\r\n:") != std::string::npos ||
          value.find_first_of("\r\n") != std::string::npos) {
        out_.status = 400;
        say("request: refused: a field that is several lines");
        return false;
      }
      text_.append(name).append(": ").append(value).append("\r\n");
      host = host || iequals(name, "host");
    }
    if (!host) text_ += "Host: localhost\r\n";
    text_ += "\r\n";
    const Parsed parsed = parse_request_head(text_, limits_, head_);
    if (parsed.status == Parsed::Status::refused) {
      out_.status = parsed.code;
      say(std::string("request: refused: ") + parsed.why);
      return false;
    }
    view_.method = head_.method;
    view_.target = head_.target;
    view_.host = head_.host;
    view_.path = head_.path;
    view_.fields = head_.fields;
    view_.client = in.client;
    view_.secure = in.secure;
    return true;
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

  bool redirects(const RouteView& route) {
    if (!route.config.redirect) return false;
    out_.status = route.config.redirect->status;
    say("redirect to " + route.config.redirect->to);
    return true;
  }

  bool authenticate(const RouteView& route) {
    for (const std::size_t index : route.verifiers) {
      const JwtVerifier& verifier = *snapshot_.verifiers[index];
      const FoundToken found = find_token(head_.fields, head_.query, verifier.rules);
      JwtVerdict verdict{found.outcome, nullptr};
      if (found.outcome == JwtOutcome::fine)
        verdict = verify_jwt(found.token, verifier.rules, *verifier.keys, now_.wall);
      say("jwt " + verifier.rules.name + ": " + std::string(to_string(verdict.outcome)));
      if (verdict.outcome == JwtOutcome::fine) {
        passed_.add(verifier, std::move(verdict.claims));
        continue;
      }
      if (index != route.auth) continue;
      if (const auto refused = refusal(verifier, verdict.outcome, route.config.auth_required)) {
        if (route.config.auth_passes_preflights && is_cors_preflight(head_)) {
          say("a CORS preflight: passes without a token");
          continue;
        }
        out_.status = refused->status;
        return false;
      }
    }
    if (!passed_.empty()) view_.claims = &passed_;
    return true;
  }

  /// Which pool of a split is shown, and why.
  void look_at_split(const RouteView& route, std::size_t& index, Recognised& found) {
    const auto serves = [&](std::size_t pool) { return in_service(*snapshot_.pools[pool]->snapshot); };
    const auto other = draw_target(route, 0, [&](std::size_t pool) { return pool != index && serves(pool); });
    if (found.what != What::session) {
      say("pool: drawn by weight of those with somebody in service, since no session says otherwise; this "
          "shows "
          "the first");
      if (!serves(index) && other) {
        index = route.targets[*other].pool;
        found = recognise_in(*snapshot_.pools[index], route);
      }
      return;
    }
    const auto find_in = [&](std::size_t p) {
      return snapshot_.pools[p]->snapshot->find(found.binding.backend);
    };
    for (const auto& target : route.targets)
      if (find_in(index) == nullptr && find_in(target.pool) != nullptr)
        index = target.pool;  // it went on there
    const Member* const bound = find_in(index);
    if ((bound == nullptr || !bound->accepts_bound()) && !serves(index) && other)
      say("pool: " + snapshot_.pools[index]->config.name +
          " has nobody left: another one of the split serves the session, and keeps it");
  }

  Recognised recognise_in(const PoolView& pool, const RouteView& route) {
    if (pool.affinity.empty() || !route.config.affinity) return {};
    return recognise(pool.affinity, view_, memory_, pool.config.session, scratch_, now_, false);
  }

  void say_session(const Recognised& r, const RouteView& route) {
    out_.cause = r.cause;
    if (pool_->affinity.empty()) return say("affinity: none");
    if (!route.config.affinity) return say("affinity: off on this route");
    const std::string kind(r.kind < pool_->affinity.size() ? pool_->affinity[r.kind]->name() : "");
    switch (r.what) {
      case What::session: {
        out_.epoch = r.binding.epoch;
        std::string line = "affinity " + kind + ": session ";
        append_announcement(r.binding, Reason::sticky, line);
        if (r.behind) line += " (its token is from before a move)";
        if (r.old_key) line += " (sealed with an old key)";
        return say(std::move(line));
      }
      case What::unbound:
        say("affinity " + kind + ": an id of the app that nothing is known of");
        if (r.lookup.reject_unknown) reject("on_unknown: reject");
        return;
      case What::derived:
        return say("affinity " + kind + ": hashed");
      case What::detached:
        return say("affinity " + kind + ": an id that was renewed; served where its session lives");
      case What::lost:
        return reject("the session was lost");
      case What::nothing:
        return say("affinity: no session: " + std::string(to_string(r.cause)));
    }
  }

  void reject(const std::string& why) {
    out_.status = pool_->config.session.reject_status;
    say("rejected: " + why);
  }

  void choose(const Recognised& r) {
    const PoolSnapshot& members = *pool_->snapshot;
    const Tried nobody;
    if (r.what == What::session || r.what == What::detached) {
      const Member* m = members.find(r.binding.backend);
      Reason why = reason_to_move(m, r.binding);
      if (why == Reason::none && m->leaving) why = Reason::drain;
      say("bound to: " + (m != nullptr ? facts(*m) : std::string("a backend that left the configuration")));
      if (why == Reason::none) {
        out_.reason = Reason::sticky;
        return serve(m, "it stays");
      }
      if (pool_->config.session.on_lost == config::OnLost::reject && why != Reason::overload)
        return reject("on_lost: reject; it would move because of " + std::string(to_string(why)));
      out_.reason = why;
      ++out_.epoch;
      const Member* to = rendezvous_if(move_key(r.binding), members, [&](const Member& c) {
        return why == Reason::restart || c.backend->hash != r.binding.backend;
      });
      return serve(to, "it moves (" + std::string(to_string(why)) + ") to the rendezvous choice of its id");
    }
    if (r.what == What::unbound) {
      const Member* named = r.lookup.route != 0 ? members.find(r.lookup.route) : nullptr;
      if (named != nullptr && named->accepts_bound()) return serve(named, "the id itself names it");
      return serve(rendezvous(r.lookup.key.hash(), members, nobody), "the rendezvous choice of the id");
    }
    if (r.what == What::derived)
      return serve(rendezvous(r.derived.hash, members, nobody, r.derived.bounded_load),
                   "the rendezvous choice of the hash");
    if (r.cause == Cause::idle || r.cause == Cause::too_old) {
      out_.reason = Reason::expired;
      return serve(rendezvous_if(successor(r.binding.id, now_.wall).hash(), members,
                                 [](const Member&) { return true; }),
                   "the rendezvous choice of the session that follows the expired one");
    }
    out_.reason = Reason::new_;
    const Member* least = nullptr;
    for (const Member& m : members.members) {
      say("candidate: " + facts(m) + (m.accepts_new() ? "" : ": takes nothing new"));
      if (!m.accepts_new() || m.backup) continue;
      const auto load = [&](const Member& x) { return expected_load(*x.backend, now_.steady) / x.weight; };
      if (least == nullptr || load(m) < load(*least)) least = &m;
    }
    serve(least, "the balancer chooses; the least expected load now is here");
  }

  void serve(const Member* m, const std::string& why) {
    if (m == nullptr) {
      out_.status = 503;
      return say("backend: none can serve it");
    }
    out_.backend = m->backend->id;
    say("backend: " + out_.backend + ": " + why);
  }

  const Snapshot& snapshot_;
  SessionMemory& memory_;
  CryptoScratch& scratch_;
  const Moment now_;
  const config::ListenerLimits limits_;
  TextArena arena_;
  std::string text_;
  RequestHead head_;
  RequestView view_;
  PassedVerifiers passed_;
  const PoolView* pool_ = nullptr;
  Explanation out_;
};

}  // namespace

Explanation explain(const Snapshot& snapshot, const ExplainRequest& request, SessionMemory& memory,
                    CryptoScratch& scratch, Moment now) {
  return Walk(snapshot, memory, scratch, now).run(request);
}

}  // namespace remora
