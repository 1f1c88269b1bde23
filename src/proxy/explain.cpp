#include "proxy/explain.h"

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/rendezvous.h"
#include "http/h1/head.h"
#include "proxy/arrival.h"
#include "proxy/edits.h"
#include "proxy/preflight.h"
#include "proxy/redirect.h"
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

/// Follows the request path for one request; each step adds a line.
class Walk {
 public:
  Walk(const Snapshot& snapshot, SessionMemory& memory, CryptoScratch& scratch, Moment now)
      : snapshot_(snapshot), memory_(memory), scratch_(scratch), now_(now) {}

  Explanation run(const ExplainRequest& in) {
    if (!parse(in)) return std::move(out_);
    strip_client_fields(in);
    route_ = find_route();
    if (route_ == nullptr || !authenticate() || redirects()) return std::move(out_);
    find_session();
    say_session();
    if (out_.status == 0 && !choose() && !go_to_sister() && out_.status == 0) {
      out_.status = 503;
      say("backend: none can serve it");
    }
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
    view_.preflight = head_.method == Method::options && has_field("Access-Control-Request-Method");
    view_.target = head_.target;
    view_.host = head_.host;
    view_.path = head_.path;
    view_.client = in.client;
    view_.secure = in.secure;
    return true;
  }

  bool has_field(std::string_view name) const {
    return std::any_of(head_.fields.begin(), head_.fields.end(),
                       [&](const Field& f) { return iequals(f.name, name); });
  }

  /// Assumes that the request came to the first listener of its scheme.
  void strip_client_fields(const ExplainRequest& in) {
    const ListenerView* at = nullptr;
    for (const std::size_t slot : snapshot_.serving) {
      const ListenerView* const l = snapshot_.listeners[slot].get();
      const auto fits = [&](const ListenerView& view) { return (view.tls != nullptr) == in.secure; };
      if (l != nullptr && (at == nullptr || (!fits(*at) && fits(*l)))) at = l;
    }
    if (at != nullptr && !at->config.strip_client_headers.empty()) {
      Arrival arrival;
      arrival.peer = arrival.client = in.client;
      if (!in.client.is_unknown()) resolve_arrival(head_.fields, at->config.trusted_proxies, arrival);
      const std::size_t before = head_.fields.size();
      if (!arrival.trusted) drop_stripped(head_.fields, at->config.strip_client_headers);
      if (head_.fields.size() != before)
        say("listener " + at->config.name +
            ": strip_client_headers removed what only trusted proxies may send");
    }
    view_.fields = head_.fields;
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
    const auto& redirect = route_->config.redirect;
    if (!redirect) return false;
    const bool asterisk = head_.path == "*";
    const std::string location =
        expand_redirect(redirect->to, view_.secure ? "https" : "http", head_.host,
                        asterisk ? "/" : head_.target, asterisk ? "/" : head_.path, head_.query);
    out_.status = location.empty() ? std::uint16_t{400} : redirect->status;
    say(location.empty() ? "redirect: refused: it leads to a host, and the request names none"
                         : "redirect to " + location);
    return true;
  }

  bool authenticate() {
    const RouteView& route = *route_;
    for (const std::size_t index : route.verifiers) {
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

  const PoolView& pool_at(std::size_t index) const { return *snapshot_.pools[index]; }
  bool has_sessions() const { return !pool_->affinity.empty() && route_->config.affinity; }

  void settle_in(std::size_t pool, const Recognised& found) {
    index_ = pool;
    pool_ = snapshot_.pools[pool].get();
    found_ = found;
    kind_ = found.kind < pool_->affinity.size() ? pool_->affinity[found.kind]->name() : "";
    out_.pool = pool_->config.name;
    say("pool: " + out_.pool);
  }

  bool serves(std::size_t pool) const { return in_service(*pool_at(pool).snapshot); }

  /// Finds the pool. In a split: the session's pool, else the first that could be drawn.
  void find_session() {
    const auto& targets = route_->targets;
    const std::size_t first = targets.front().pool;
    if (targets.size() == 1) return settle_in(first, recognise_in(pool_at(first)));
    const auto lives_in = [&](std::size_t pool, const Recognised& r) {
      return pool_at(pool).snapshot->find(r.binding.backend) != nullptr;
    };
    Recognised moved_away;
    std::size_t former = 0, present = 0;
    for (const auto& target : targets) {
      const Recognised found = recognise_in(pool_at(target.pool));
      if (found.what != What::session) continue;
      const auto home = std::find_if(targets.begin(), targets.end(),
                                     [&](const auto& t) { return lives_in(t.pool, found); });
      if (lives_in(target.pool, found) || home == targets.end()) return settle_in(target.pool, found);
      if (moved_away.what == What::session) continue;
      moved_away = found;
      former = target.pool;
      present = home->pool;
    }
    if (moved_away.what == What::session) {
      settle_in(former, moved_away);
      return go_on_in(present);
    }
    say("pool: drawn by weight of those with somebody in service, since no session says otherwise; this "
        "shows the first");
    auto drawn = draw_target(*route_, 0, [&](std::size_t pool) { return serves(pool); });
    if (!drawn) drawn = draw_target(*route_, 0, [](std::size_t) { return true; });
    const std::size_t pool = targets[drawn.value_or(0)].pool;
    settle_in(pool, recognise_in(pool_at(pool)));
  }

  /// Continues in the pool to which the session moved earlier.
  void go_on_in(std::size_t pool) {
    say("pool: the session has left " + out_.pool);
    if (pool_at(pool).affinity.empty()) return settle_in(pool, {});
    const std::string kind = kind_;
    const Recognised found = found_;
    settle_in(pool, found);
    kind_ = kind;
    if (found_.moved_for == Reason::none) found_.moved_for = Reason::failover;
  }

  Recognised recognise_in(const PoolView& pool) {
    if (pool.affinity.empty() || !route_->config.affinity) return {};
    return recognise(pool.affinity, view_, memory_, pool.config.session, scratch_, now_, false);
  }

  void say_session() {
    const Recognised& r = found_;
    out_.cause = r.cause;
    if (pool_->affinity.empty()) return say("affinity: none");
    if (!route_->config.affinity) return say("affinity: off on this route");
    if (r.stale) say("store: it is not asked here, and may know the session better");
    switch (r.what) {
      case What::session: {
        out_.epoch = r.binding.epoch;
        std::string line = "affinity " + kind_ + ": session ";
        append_announcement(r.binding, Reason::sticky, line);
        if (r.behind) line += " (its token is from before a move)";
        if (r.old_key) line += " (sealed with an old key)";
        return say(std::move(line));
      }
      case What::unbound:
        say("affinity " + kind_ + ": an id of the app that nothing is known of");
        if (r.lookup.reject_unknown) reject("on_unknown: reject");
        return;
      case What::derived:
        return say("affinity " + kind_ + ": hashed");
      case What::detached:
        return say("affinity " + kind_ + ": an id that was renewed; served where its session lives");
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

  /// False: no backend of this pool can serve the request, or it was rejected.
  bool choose() {
    const PoolSnapshot& members = *pool_->snapshot;
    switch (found_.what) {
      case What::session:
        return choose_for_session();
      case What::unbound:
        if (!serve(usable_bound(found_.lookup.route), "the id itself names it") &&
            !serve(rendezvous(found_.lookup.key.hash(), members, Tried()), "the rendezvous choice of the id"))
          return false;
        begin(Reason::new_);
        return true;
      case What::derived:
        return serve(rendezvous(found_.derived.hash, members, Tried(), found_.derived.bounded_load),
                     "the rendezvous choice of the hash");
      case What::detached:
        return serve(usable_bound(found_.binding.backend), "its session lives there") ||
               serve(least_loaded(), by_balancer);
      case What::nothing:
      case What::lost:
        break;
    }
    return place_new();
  }

  const Member* usable_bound(std::uint64_t backend) const {
    const Member* const m = backend != 0 ? pool_->snapshot->find(backend) : nullptr;
    return m != nullptr && m->accepts_bound() ? m : nullptr;
  }

  void begin(Reason reason) {
    out_.reason = reason;
    out_.epoch = 1;
  }

  const Member* target_of_move(Reason why) const {
    const Binding& b = found_.binding;
    return rendezvous_if(move_key(b), *pool_->snapshot, [&](const Member& m) {
      return why == Reason::restart || m.backend->hash != b.backend;
    });
  }

  bool choose_for_session() {
    const Binding& b = found_.binding;
    const Member* const m = pool_->snapshot->find(b.backend);
    say("bound to: " + (m != nullptr ? facts(*m) : std::string("a backend that left the configuration")));
    Reason why = reason_to_move(m, b);
    if (why == Reason::none && m->leaving) why = Reason::drain;
    const Member* const to = why == Reason::none ? nullptr : target_of_move(why);
    // Moves that are only wanted (drain, overload) happen only if another backend can take the session.
    const bool wanted = why == Reason::drain || why == Reason::overload;
    if (why == Reason::none || (wanted && to == nullptr)) {
      out_.reason = found_.moved_for == Reason::none ? Reason::sticky : found_.moved_for;
      if (pool_->config.session.rebalance)
        say("rebalance: not looked at here; it moves idle sessions from a backend with more than its share");
      return serve(m, wanted ? "it stays: it is to move (" + std::string(to_string(why)) +
                                   "), but nobody else can take it"
                             : std::string("it stays"));
    }
    if (pool_->config.session.on_lost == config::OnLost::reject && why != Reason::overload) {
      reject("on_lost: reject; it would move because of " + std::string(to_string(why)));
      return false;
    }
    if (to == nullptr) {
      say("it is to move (" + std::string(to_string(why)) + "), but nobody of this pool can take it");
      return false;
    }
    out_.reason = why;
    out_.epoch = b.epoch + 1;
    return serve(to, "it moves (" + std::string(to_string(why)) + ") to the rendezvous choice of its id" +
                         (why == Reason::drain ? ", with a request that the rate of such moves allows" : ""));
  }

  bool place_new() {
    const bool keeps =
        has_sessions() && std::any_of(pool_->affinity.begin(), pool_->affinity.end(), [](const auto& kind) {
          return kind->family() != Affinity::Family::derived;
        });
    if (keeps && view_.preflight) say("a CORS preflight begins no session");
    const bool begins = keeps && !view_.preflight;
    const bool over = begins && (found_.cause == Cause::idle || found_.cause == Cause::too_old);
    if (over && place_successor()) return true;
    if (!serve(least_loaded(), by_balancer)) return false;
    if (begins) begin(over ? Reason::expired : Reason::new_);
    return true;
  }

  /// Places the session that follows an expired one: where other requests have moved it, else at its
  /// rendezvous choice. False: none can serve it, or that session is over too.
  bool place_successor() {
    const PoolSnapshot& members = *pool_->snapshot;
    if (found_.learned) {
      if (!serve(rendezvous(found_.key.hash(), members, Tried()), "the rendezvous choice of the app's id"))
        return false;
      begin(Reason::expired);
      return true;
    }
    const SessionId id = successor(found_.binding.id, now_.wall);
    const auto known = memory_.moves.find(id, now_, false);
    if (known && (known->kind == Move::Kind::ended || known->kind == Move::Kind::renewed)) return false;
    const bool went_on = known && known->kind == Move::Kind::moved;
    const Member* const there = went_on ? usable_bound(known->backend) : nullptr;
    const Member* const to =
        there != nullptr ? there : rendezvous_if(id.hash(), members, [](const Member&) { return true; });
    if (!serve(to, there != nullptr ? "the session that follows the expired one has moved there"
                                    : "the rendezvous choice of the session that follows the expired one"))
      return false;
    begin(Reason::expired);
    if (went_on) out_.epoch = known->epoch + (there != nullptr ? 0 : 1);
    return true;
  }

  static constexpr const char* by_balancer = "the balancer chooses; the least expected load now is here";

  /// Prefers ordinary members; backups only if there are none. Null: no backend.
  const Member* least_loaded() {
    const Member* least[2] = {};
    const auto load = [&](const Member& m) { return expected_load(*m.backend, now_.steady) / m.weight; };
    for (const Member& m : pool_->snapshot->members) {
      say("candidate: " + facts(m) + (m.accepts_new() ? "" : ": takes nothing new"));
      if (!m.accepts_new()) continue;
      const Member*& best = least[m.backup ? 1 : 0];
      if (best == nullptr || load(m) < load(*best)) best = &m;
    }
    return least[0] != nullptr ? least[0] : least[1];
  }

  /// No backend of this pool is left: another pool of the split serves the request and its session. False:
  /// none can, or the request was rejected.
  bool go_to_sister() {
    if (out_.status != 0 || route_->targets.size() < 2) return false;
    const bool bound = found_.what == What::session;
    const std::uint64_t key = bound ? move_key(found_.binding) : 0;
    const auto drawn =
        draw_target(*route_, key, [&](std::size_t pool) { return pool != index_ && serves(pool); });
    if (!drawn) return false;
    const std::size_t pool = route_->targets[*drawn].pool;
    if (bound && !pool_at(pool).affinity.empty()) {
      say("pool: " + out_.pool +
          " has nobody left: another one of the split serves the session, and keeps it");
      return move_to_sister(pool, key);
    }
    say("pool: " + out_.pool + " has nobody left: another one of the split serves the request");
    out_.epoch = 0;
    settle_in(pool, recognise_in(pool_at(pool)));
    say_session();
    return out_.status == 0 && choose();
  }

  bool move_to_sister(std::size_t pool, std::uint64_t key) {
    const Member* const to = rendezvous_if(key, *pool_at(pool).snapshot, [](const Member&) { return true; });
    if (to == nullptr) return false;
    // A backend may be in several pools: the first of them counts as the session's.
    const auto& targets = route_->targets;
    const auto home = std::find_if(targets.begin(), targets.end(), [&](const auto& target) {
      const Member* const m = pool_at(target.pool).snapshot->find(to->backend->hash);
      return m != nullptr && m->accepts_bound();
    });
    const Recognised found = found_;
    settle_in(home == targets.end() ? pool : home->pool, found);
    out_.reason = Reason::failover;
    out_.epoch = found.binding.epoch + 1;
    return serve(pool_->snapshot->find(to->backend->hash),
                 "it moves (failover) to the rendezvous choice of its id");
  }

  /// Names the backend. False: `m` is null.
  bool serve(const Member* m, const std::string& why) {
    if (m == nullptr) return false;
    out_.backend = m->backend->id;
    say("backend: " + out_.backend + ": " + why);
    return true;
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
  const RouteView* route_ = nullptr;
  const PoolView* pool_ = nullptr;
  std::size_t index_ = 0;  // of pool_, into Snapshot::pools
  Recognised found_;
  std::string kind_;  // name of the affinity kind that recognised the session
  Explanation out_;
};

}  // namespace

Explanation explain(const Snapshot& snapshot, const ExplainRequest& request, SessionMemory& memory,
                    CryptoScratch& scratch, Moment now) {
  return Walk(snapshot, memory, scratch, now).run(request);
}

}  // namespace remora
