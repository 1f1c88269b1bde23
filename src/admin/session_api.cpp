#include "admin/session_api.h"

#include <algorithm>

#include "admin/one_session.h"
#include "util/text.h"

namespace remora {

namespace {

SessionApiAnswer refuse(unsigned status, std::string why) {
  SessionApiAnswer a;
  a.status = status;
  a.body = why + "\n";
  return a;
}

/// The epoch in `"ID";epoch=N;...`. Nothing if the value is malformed or for another session.
std::optional<std::uint32_t> parse_epoch(std::string_view announced, std::string_view id) {
  if (announced.size() < id.size() + 2 || announced.front() != '"' ||
      !iequals(announced.substr(1, id.size()), id))
    return std::nullopt;
  announced.remove_prefix(id.size() + 1);
  constexpr std::string_view before = "\";epoch=";
  if (announced.substr(0, before.size()) != before) return std::nullopt;
  announced.remove_prefix(before.size());
  const auto epoch = parse_decimal(announced.substr(0, announced.find(';')));
  if (!epoch || *epoch == 0 || *epoch > 0xffffffffU) return std::nullopt;
  return static_cast<std::uint32_t>(*epoch);
}

struct Target {
  std::string id;
  std::string_view why;  // set if the target is invalid
  std::size_t pool = 0;
};

Target parse_target(std::string_view target, const Snapshot& snapshot) {
  constexpr std::string_view prefix = "/v1/sessions/";
  Target out;
  if (target.substr(0, prefix.size()) != prefix) {
    out.why = "there is only /v1/sessions/ID here";
    return out;
  }
  target.remove_prefix(prefix.size());
  const std::size_t mark = target.find('?');
  out.id = target.substr(0, mark);
  std::string wanted;
  if (mark != std::string_view::npos) {
    const std::string_view query = target.substr(mark + 1);
    if (query.substr(0, 5) != "pool=") {
      out.why = "the only parameter is ?pool=NAME";
      return out;
    }
    wanted = percent_decoded(query.substr(5));
  }
  std::size_t found = 0;
  for (std::size_t i = 0; i < snapshot.pools.size(); ++i) {
    const auto& keeper = snapshot.pool_stores[i];
    if (!keeper || !keeper->keeps_state() || (!wanted.empty() && snapshot.pools[i]->config.name != wanted))
      continue;
    out.pool = i;
    ++found;
  }
  if (found == 0) out.why = "no such pool keeps state (pools.NAME.session.state)";
  if (found > 1) out.why = "several pools keep state: say which with ?pool=NAME";
  return out;
}

std::string etag_of(std::uint64_t version) {
  return "\"" + std::to_string(version) + "\"";
}

/// True if a list of entity tags (RFC 9110 8.8.3) contains `etag` or is `*`. Our tags are all strong, so a
/// weak one matches only under weak comparison.
bool names_etag(std::string_view list, std::string_view etag, bool weak) {
  bool named = false;
  for_each_token(list, [&](std::string_view tag) {
    if (weak && tag.starts_with("W/")) tag.remove_prefix(2);
    named = tag == "*" || tag == etag;
    return !named;
  });
  return named;
}

bool has_state(const std::optional<Record>& r, Clock::Wall now) {
  return r && !r->ended && r->state.is_there(now);
}

/// True if no other backend has owned the session since. Backend 0: written by an older version, which did
/// not record it.
bool may_write(const Binding& standing, const SessionProof::Owner& owner) {
  if (standing.epoch != owner.epoch) return standing.epoch < owner.epoch;
  return standing.backend == 0 || standing.backend == owner.backend;
}

SessionApiAnswer failed(const error_code& ec) {
  if (ec == StoreErrc::full) return refuse(507, "the store is full");
  return refuse(503, "the store cannot be asked: " + ec.message());
}

}  // namespace

Task<SessionApiAnswer> answer_session_api(SessionApiRequest in, SessionApiContext at) {
  const Target target = parse_target(in.target, *at.snapshot);
  if (!target.why.empty()) co_return refuse(404, std::string(target.why));
  const auto id = parse_session_id(target.id);
  if (!id) co_return refuse(404, "a session's id is the 32 hexadecimal digits of Remora-Session");
  const PoolStore& keeper = *at.snapshot->pool_stores[target.pool];
  const config::Session rules = at.snapshot->pools[target.pool]->config.session;
  const SessionKey key = keeper.name(*id, at.scratch);
  // On the first request of a session, Remora-Session has `reason=new`. Sessions of returning clients are
  // worth more to the store.
  const bool returning = in.session.find(";reason=new") == std::string::npos;
  const StoreCall call{at.wake, at.clock.steady_now() + at.timeout, at.snapshot->pools[target.pool]->number,
                       returning};

  if (in.method == "GET" || in.method == "HEAD") {
    const Result<std::optional<Record>> found = co_await at.sessions.find(key, call);
    if (!found) co_return failed(found.error());
    if (!has_state(*found, at.clock.wall_now())) co_return refuse(404, "nothing is kept for this session");
    const Record& r = **found;
    const auto plain = keeper.open(r.state, key, at.scratch);
    if (!plain) co_return refuse(404, "what is kept was sealed with a key that is gone");
    SessionApiAnswer out;
    out.etag = etag_of(r.state.version);
    out.ttl = std::to_string(time_to_live(r, rules, at.clock.wall_now()).count() / 1000);
    out.body = *plain;
    co_return out;
  }
  if (in.method != "PUT" && in.method != "DELETE") co_return refuse(405, "GET, HEAD, PUT or DELETE");

  const auto epoch = parse_epoch(in.session, target.id);
  if (!epoch)
    co_return refuse(400, "send the Remora-Session back that the request brought: it says who may write");
  const SessionProof* const proof = keeper.proof();
  const auto owner = proof != nullptr ? proof->check(in.session, *id, *epoch) : std::nullopt;
  if (!owner)
    co_return refuse(
        403,
        "the mac in Remora-Session is missing or false: send the field back whole, as the request "
        "brought it");
  if (in.body.size() > rules.state->max_bytes)
    co_return refuse(
        413, "at most " + std::to_string(rules.state->max_bytes) + " bytes (session.state.max_bytes)");
  std::optional<std::uint64_t> ttl;
  if (!in.ttl.empty()) {
    ttl = parse_decimal(in.ttl);
    if (!ttl || *ttl == 0 || *ttl > 10ULL * 365 * 24 * 3600)
      co_return refuse(400, "Remora-TTL is a number of seconds");
  }
  const bool deletes = in.method == "DELETE" || in.body.empty();
  const Clock::Wall sent = SessionProof::sent_at(in.session);
  unsigned status = 0;
  std::uint64_t version = 0;
  SessionStore::Rule rule = [&](const std::optional<Record>& standing) -> std::optional<Record> {
    const Clock::Wall now = at.clock.wall_now();
    Record next;
    if (standing) {
      next = *standing;
    } else {
      next.binding.id = *id;
      next.binding.created = now;
    }
    next.binding.last_seen = now;
    const bool there = has_state(standing, now);
    status = next.ended || (standing && !may_write(next.binding, *owner)) ? 409U
             : !deletes && next.state.was_deleted_since(sent, now)        ? 409U
             : (there && names_etag(in.if_none_match, etag_of(next.state.version), true)) ||
                     (!in.if_match.empty() &&
                      !(there && names_etag(in.if_match, etag_of(next.state.version), false)))
                 ? 412U
             : deletes && !there ? 404U
             : there             ? 204U
                                 : 201U;
    if (status >= 400) return std::nullopt;
    next.binding.backend = owner->backend;
    next.binding.epoch = *epoch;
    next.state.epoch = *epoch;
    version = ++next.state.version;
    next.state.expires = ttl ? now + std::chrono::seconds(*ttl) : Clock::Wall();
    if (deletes)
      next.state.remove(now, sent);
    else
      next.state.sealed = keeper.seal(in.body, key, *epoch, version, at.scratch);
    return next;
  };
  const Result<SessionStore::Outcome> outcome =
      co_await at.sessions.change(key, std::move(rule), rules, false, call);
  if (!outcome) co_return failed(outcome.error());
  if (status == 409)
    co_return refuse(409,
                     "the session belongs to another server by now, or is over, or its state was deleted "
                     "after this request began");
  if (status == 412) co_return refuse(412, "another version is kept");
  if (status == 404) co_return refuse(404, "nothing is kept for this session");
  SessionApiAnswer out;
  out.status = deletes ? 204 : status;
  if (!deletes) out.etag = etag_of(version);
  co_return out;
}

}  // namespace remora
