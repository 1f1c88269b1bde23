// Warns about keys that are valid but have no effect. Section readers reject the cases that are visible
// within one section; this file covers those that need the whole configuration.

#include <algorithm>

#include "config/sections.h"
#include "remora/affinity_kind.h"

namespace remora::config {

namespace {

using Out = std::vector<std::string>;

bool any_of_pool(const Pool& p, bool AffinitySettings::* flag) {
  return std::any_of(p.affinity.begin(), p.affinity.end(),
                     [&](const Affinity& a) { return a.settings.get()->*flag; });
}

/// True if the pool keeps sessions in a token or a table, not only by hash.
bool keeps_sessions(const Pool& p) {
  return std::any_of(p.affinity.begin(), p.affinity.end(),
                     [](const Affinity& a) { return !a.settings->derived; });
}

bool leads_to(const Route& r, const Pool& p) {
  return r.pool == p.name || std::any_of(r.split.begin(), r.split.end(),
                                         [&](const auto& target) { return target.first == p.name; });
}

bool asks_names(const Config& c) {
  return std::any_of(c.pools.begin(), c.pools.end(),
                     [](const Pool& p) {
                       return std::any_of(p.backends.begin(), p.backends.end(),
                                          [](const Backend& b) { return b.discovery || b.follow; });
                     }) ||
         c.store.shared() ||
         std::any_of(c.jwt.begin(), c.jwt.end(), [](const Jwt& j) { return !j.jwks_url.empty(); });
}

void of_pool(const Config& c, const Pool& p, Out& out) {
  const auto say = [&](const std::string& what) { out.push_back("pools." + p.name + what); };
  const auto routes = [&](bool with_affinity) {
    return std::any_of(c.routes.begin(), c.routes.end(),
                       [&](const Route& r) { return leads_to(r, p) && (r.affinity || !with_affinity); });
  };
  if (!routes(false)) return say(": no route leads to it");
  if (!p.affinity.empty() && !routes(true))
    say(".affinity does nothing: every route to this pool has `affinity: off`");
  const bool limited = std::any_of(p.backends.begin(), p.backends.end(),
                                   [](const Backend& b) { return b.max_in_flight.has_value(); });
  if (!limited && p.session.on_full != Session().on_full)
    say(".session.on_full does nothing: no backend has `max_in_flight`");
  if (!limited && p.timeouts.queue != PoolTimeouts().queue)
    say(".timeouts.queue does nothing: no backend has `max_in_flight`");
  const bool may_reject =
      p.session.on_lost == OnLost::reject || any_of_pool(p, &AffinitySettings::rejects_unknown);
  const Session plain;
  if (!may_reject && (p.session.reject_status != plain.reject_status || !p.session.reject_body.empty()))
    say(".session.reject does nothing: neither `on_lost: reject` nor an affinity's `on_unknown: reject` is "
        "set");
  if (p.balance != Pool().balance && any_of_pool(p, &AffinitySettings::recognises_everyone))
    say(".balance does nothing: its affinity gives every request its backend");
  const bool takes_part =
      std::any_of(p.backends.begin(), p.backends.end(), [](const Backend& b) { return !b.backup; });
  if (!takes_part) say(".backends: `backup` does nothing: all of them are");
  if (p.drain.streams == DrainStreams::keep && p.drain.spread != Drain().spread)
    say(".drain.spread does nothing with `streams: keep`");
  const Failover failover;
  if (p.failover.attempts == 1 &&
      (p.failover.budget != failover.budget || p.failover.replay_body != failover.replay_body))
    say(".failover: budget and replay_body do nothing with `attempts: 1`");
  if (p.tls && !p.tls->verify && !p.tls->ca.empty()) say(".tls.ca does nothing with `verify: off`");
}

void of_route(const Config& c, const Route& r, std::size_t number, Out& out) {
  const std::string name = "routes[" + std::to_string(number) + "]";
  const bool sticky = std::any_of(c.pools.begin(), c.pools.end(),
                                  [&](const Pool& p) { return leads_to(r, p) && !p.affinity.empty(); });
  if (!r.affinity && !sticky && !r.redirect)
    out.push_back(name + ".affinity: off does nothing: no pool of this route has an affinity");
  for (const auto& [pool, weight] : r.split)
    for (const Pool& p : c.pools)
      if (p.name == pool && weight == 0 && !keeps_sessions(p))
        out.push_back(name + ".split." + pool + ": 0 sends nothing there: the pool keeps no sessions");
  const bool limited = std::any_of(c.pools.begin(), c.pools.end(), [&](const Pool& p) {
    return leads_to(r, p) && std::any_of(p.backends.begin(), p.backends.end(),
                                         [](const Backend& b) { return b.max_in_flight.has_value(); });
  });
  if (r.timeouts.queue && !limited)
    out.push_back(name + ".timeouts.queue does nothing: no backend of its pools has `max_in_flight`");
}

}  // namespace

void idle_keys(const Config& c, Out& out) {
  for (const Pool& p : c.pools) of_pool(c, p, out);
  for (std::size_t i = 0; i < c.routes.size(); ++i) of_route(c, c.routes[i], i, out);
  const bool sessions = std::any_of(c.pools.begin(), c.pools.end(), keeps_sessions);
  for (const Listener& l : c.listeners)
    if (l.h2 != Http2() && !l.speaks(Alpn::h2))
      out.push_back("listener " + l.name + ": h2 does nothing: it speaks HTTP/1.1 only" +
                    (l.tls ? " (tls.alpn)" : " (h2c: off)"));
  for (const Listener& l : c.listeners)
    if (l.per_client.new_sessions_per_second && !sessions)
      out.push_back("listener " + l.name +
                    ": per_client.new_sessions_per_second does nothing: no pool keeps sessions");
  for (const Jwt& j : c.jwt) {
    const bool by_route =
        std::any_of(c.routes.begin(), c.routes.end(), [&](const Route& r) { return r.verifier == j.name; });
    const bool by_pool = std::any_of(c.pools.begin(), c.pools.end(), [&](const Pool& p) {
      return std::any_of(p.affinity.begin(), p.affinity.end(),
                         [&](const Affinity& a) { return a.settings->verifier == j.name; });
    });
    if (!by_route && !by_pool) out.push_back("jwt." + j.name + ": no route and no affinity asks it");
  }
  const bool revokes =
      std::any_of(c.jwt.begin(), c.jwt.end(), [](const Jwt& j) { return !j.revocation_claims.empty(); });
  if (c.store.shared() && !sessions && !revokes)
    out.push_back("store: nothing is kept in it: no pool keeps sessions, and no verifier has `revocation`");
  const bool states =
      std::any_of(c.pools.begin(), c.pools.end(), [](const Pool& p) { return p.session.state.has_value(); });
  if (!states && c.store.memory_bytes != Store().memory_bytes)
    out.push_back("store.memory_bytes does nothing: no pool has `session.state`");
  if (c.store.tls && !c.store.tls->verify && !c.store.tls->ca.empty())
    out.push_back("store.redis.tls.ca does nothing with `verify: off`");
  if (!c.dns_servers.empty() && !asks_names(c))
    out.push_back("dns.servers does nothing: no name is looked up");
}

}  // namespace remora::config
