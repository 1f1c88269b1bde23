#include "proxy/explain_session.h"

#include <algorithm>

#include "balance/expected_load.h"
#include "balance/policy.h"
#include "proxy/preflight.h"
#include "util/text.h"

namespace remora {

namespace {

using What = Recognized::What;
using Action = Decision::Action;
using By = Decision::By;

std::string status_text(const Member& m) {
  std::string out = m.backend->id;
  out.append(" (").append(to_string(m.admin)).append(", ").append(to_string(m.health)).append(", weight ");
  append_decimal(out, m.weight);
  if (m.ejected == Ejected::new_sessions) out += ", ejected for new sessions";
  if (m.ejected == Ejected::all) out += ", ejected";
  if (m.panic) out += ", panic";
  return out.append(m.backup ? ", backup)" : ")");
}

std::string quoted_reason(Reason why) {
  return "(" + std::string(to_string(why)) + ")";
}

const char* why_there(By by) noexcept {
  switch (by) {
    case By::binding:
      return "its session is bound to it";
    case By::name_in_id:
      return "the id itself names it";
    case By::id_hash:
      return "the rendezvous choice of the app's id";
    case By::hash:
      return "the rendezvous choice of the hash";
    case By::former_session:
      return "its session lives there";
    case By::moved_successor:
      return "the session that follows the expired one has moved there";
    case By::hash_of_successor:
      return "the rendezvous choice of the session that follows the expired one";
    case By::steering:
      return "the app or an operator asked for it";
  }
  return "";
}

/// The moment that is explained, as a clock for a balancer.
class StoppedClock final : public Clock {
 public:
  explicit StoppedClock(ClockReading at) : at_(at) {}
  Steady steady_now() const noexcept override { return at_.steady; }
  Wall wall_now() const noexcept override { return at_.wall; }

 private:
  const ClockReading at_;
};

std::string_view name_of(config::Balance policy) noexcept {
  switch (policy) {
    case config::Balance::round_robin:
      return "round_robin";
    case config::Balance::least_requests:
      return "least_requests";
    case config::Balance::random_two:
      return "random_two";
    case config::Balance::peak_ewma:
      return "peak_ewma";
    case config::Balance::first:
      return "first";
  }
  return "";
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t max_listed = 8;
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), max_listed); ++i)
    out.append(i == 0 ? "" : ", ").append(names[i]);
  return names.size() > max_listed ? out + ", ..." : out;
}

}  // namespace

void SessionWalk::run() {
  find_session();
  say_session();
  if (out_.status != 0 || choose() || out_.status != 0) return;
  if (go_to_other_pool() || out_.status != 0) return;
  out_.status = 503;
  say("backend: none can serve it");
}

void SessionWalk::reject(const std::string& why) {
  out_.status = pool_->config.session.reject_status;
  say("rejected: " + why);
}

Recognized SessionWalk::recognize_in(const PoolView& pool) {
  if (pool.affinity.empty() || !request_.route.config.affinity) return {};
  const RequestView view = view_for_affinity(request_.head, request_.arrival, request_.claims);
  return recognize(pool.affinity, view, memory_, pool.config.session, scratch_, now_, false);
}

void SessionWalk::settle_in(std::size_t pool, const Recognized& found) {
  index_ = pool;
  pool_ = request_.snapshot.pools[pool].get();
  found_ = found;
  kind_ = found.kind < pool_->affinity.size() ? pool_->affinity[found.kind]->name() : "";
  out_.pool = pool_->config.name;
  say("pool: " + out_.pool);
}

void SessionWalk::find_session() {
  const auto& targets = request_.route.targets;
  const std::size_t first = targets.front().pool;
  if (targets.size() == 1) return settle_in(first, recognize_in(pool_at(first)));
  const PoolDecision d = decide_pool(request_.snapshot, request_.route, request_.draw,
                                     [this](const PoolView& pool) { return recognize_in(pool); });
  if (d.drawn)
    say(std::string("pool: drawn by weight of those with somebody in service, since no session says "
                    "otherwise; this shows ") +
        (request_.draw == 0 ? "the first" : "one of them"));
  settle_in(d.left.value_or(d.pool), d.found);
  if (d.left) go_on_in(d.pool);
}

/// The session continues in another pool of the split.
void SessionWalk::go_on_in(std::size_t pool) {
  say("pool: the session has left " + out_.pool);
  if (pool_at(pool).affinity.empty()) return settle_in(pool, {});
  const std::string kind = kind_;
  const bool was_learned = found_.learned;
  Recognized found = found_;
  carry_over(found, pool_at(pool).affinity);
  settle_in(pool, found);
  kind_ = kind;
  const bool has_issued = pool_->affinity[found.kind]->family() == Affinity::Family::issued;
  if (was_learned || !has_issued) learn_in_new_pool();
}

void SessionWalk::learn_in_new_pool() {
  const Recognized there = recognize_in(*pool_);
  const Learning learning = decide_learning(there, found_.binding, true);
  if (learning == Learning::none) return;
  found_.stale = learning == Learning::ask_store;
  if (found_.stale) return;
  found_.kind = there.kind;
  found_.learned = true;
  found_.key = there.key;
  found_.lookup = there.lookup;
  in_table_ = memory_.learned.find_now(there.key, now_, false);
  const bool newer =
      learning == Learning::adopt && in_table_ && in_table_->binding.epoch > found_.binding.epoch;
  if (newer) return;
  in_table_.emplace();
  in_table_->binding = found_.binding;
}

void SessionWalk::say_session() {
  const Recognized& r = found_;
  out_.cause = r.cause;
  if (pool_->affinity.empty()) return say("affinity: none");
  if (!request_.route.config.affinity) return say("affinity: off on this route");
  if (r.stale) say("store: it is not asked here, and may know the session better");
  switch (r.what) {
    case What::session: {
      out_.epoch = r.binding.epoch;
      std::string line = "affinity " + kind_ + ": session ";
      append_announcement(r.binding, Reason::sticky, line);
      if (r.behind) line += " (its token is from before a move)";
      if (r.old_key) line += " (sealed with an old key)";
      say(std::move(line));
      break;
    }
    case What::unbound:
      say("affinity " + kind_ + ": an id of the app that nothing is known of");
      break;
    case What::derived:
      say("affinity " + kind_ + ": hashed");
      break;
    case What::detached:
      say("affinity " + kind_ + ": an id that was renewed; served where its session lives");
      break;
    case What::lost:
      break;
    case What::nothing:
      say("affinity: no session: " + std::string(to_string(r.cause)));
      break;
  }
  if (is_rejected(r)) reject(r.what == What::lost ? "the session was lost" : "on_unknown: reject");
}

/// False: no backend of this pool can serve the request, or it was rejected.
bool SessionWalk::choose() {
  const Decision d = decide(found_, situation(), *this);
  const bool begins_none = d.action == Action::balance || d.action == Action::forward;
  if (begins_none && situation().has_sessions() && is_cors_preflight(request_.head))
    say("a CORS preflight begins no session");
  switch (d.action) {
    case Action::stay:
      return stay(d);
    case Action::move:
    case Action::reject:
      return move(d);
    case Action::begin:
      if (!serve(d.member, why_there(d.by))) return false;
      out_.reason = d.reason;
      out_.epoch = d.epoch;
      return true;
    case Action::place:
      return place(d.reason);
    case Action::forward:
      return serve(d.member, why_there(d.by));
    case Action::balance:
      break;
  }
  return balance(Purpose::request);
}

bool SessionWalk::stay(const Decision& decision) {
  say("bound to: " + status_text(*decision.member));
  out_.reason = decision.reason;
  std::string why = "it stays";
  if (decision.kept != Decision::Kept::no) why += ": it is to move " + quoted_reason(decision.wanted);
  if (decision.kept == Decision::Kept::nobody_else) why += ", but nobody else can take it";
  if (decision.kept == Decision::Kept::rate) why += ", but the rate of such moves allows none now";
  return serve(decision.member, why);
}

bool SessionWalk::move(const Decision& decision) {
  binding_ = found_.binding;
  const Member* const from = pool_->snapshot->find(binding_.backend);
  say("bound to: " +
      (from != nullptr ? status_text(*from) : std::string("a backend that left the configuration")));
  if (decision.action == Action::reject) {
    out_.reason = decision.reason;
    reject("on_lost: reject; it would move because of " + std::string(to_string(decision.reason)));
    return false;
  }
  const SettledMove settled = adopt_move(binding_, decision.member, decision.reason, situation(),
                                         [this](const Binding& wanted) { return standing_after(wanted); });
  binding_ = settled.binding;
  if (settled.member == nullptr) {
    say("it is to move " + quoted_reason(decision.reason) + ", but nobody of this pool can take it");
    return false;
  }
  out_.reason = decision.reason;
  out_.epoch = settled.binding.epoch;
  const bool steered = decision.by == Decision::By::steering;
  std::string why = "it moves " + quoted_reason(decision.reason) +
                    (!settled.own ? " to where another request moved it"
                     : steered    ? " as the app or an operator asked"
                                  : " to the rendezvous choice of its id");
  const bool asked_by_app = steered || (decision.reason == Reason::rebalance && found_.binding.leave);
  if (asked_by_app && !steered) why += ", as the app asked";
  if (decision.reason == Reason::drain || (decision.reason == Reason::rebalance && !asked_by_app))
    why += ", with a request that the rate of such moves allows";
  return serve(settled.member, why);
}

/// What Placement::record_move() would return.
Binding SessionWalk::standing_after(const Binding& wanted) {
  Binding standing = wanted;
  if (found_.learned) {
    if (!in_table_) in_table_ = memory_.learned.find_now(found_.key, now_, false);
    if (!in_table_ || (!in_table_->ended && in_table_->binding.epoch == wanted.epoch - 1)) {
      in_table_.emplace();
      in_table_->binding = wanted;
    }
    standing = standing_in_table(wanted, *in_table_);
  }
  if (!in_memory_) in_memory_ = memory_.moves.find(wanted.id, now_, false);
  const bool over =
      in_memory_ && (in_memory_->kind == Move::Kind::ended || in_memory_->kind == Move::Kind::renewed);
  if (!in_memory_ || (!over && in_memory_->epoch < standing.epoch)) {
    in_memory_.emplace();
    in_memory_->epoch = standing.epoch;
    in_memory_->backend = standing.backend;
  }
  return standing_in_memory(standing, *in_memory_);
}

bool SessionWalk::place(Reason reason) {
  const std::uint64_t client = first_requests_key(request_.head, request_.arrival, pool_->number);
  const auto shared = client != 0 ? memory_.first.peek(client, now_.steady) : std::nullopt;
  const Member* const same = shared ? usable_new(*pool_->snapshot, *shared, tried_) : nullptr;
  if (!serve(same, "this client's other first requests are there") && !balance(Purpose::session))
    return false;
  out_.reason = reason;
  out_.epoch = 1;
  return true;
}

/// The balancer's choice. What depends on chance, or on what a worker has picked before, is not known here.
bool SessionWalk::balance(Purpose purpose) {
  for (const Member& m : pool_->snapshot->members)
    say("candidate: " + status_text(m) + (m.accepts_new() ? "" : ": takes nothing new"));
  const StoppedClock clock(now_);
  const auto balancer = make_balancer(pool_->config.balance, pool_->snapshot, 0, clock);
  const std::vector<const Member*> all = balancer->candidates(tried_, purpose);
  if (all.empty()) return false;
  const std::string policy = "(" + std::string(name_of(pool_->config.balance)) + ")";
  if (all.size() == 1) return serve(all.front(), "the balancer chooses it " + policy);
  for (const Member* m : all) out_.candidates.push_back(m->backend->id);
  const auto load = [&](const Member* m) { return expected_load(*m->backend, now_.steady) / m->weight; };
  const Member* const least = *std::min_element(
      all.begin(), all.end(), [&](const Member* a, const Member* b) { return load(a) < load(b); });
  return serve(least, "the balancer chooses one of " + listed(out_.candidates) + " " + policy +
                          "; the least expected load now is here");
}

/// No backend of this pool is left. False: no other pool can serve the request, or it was rejected.
bool SessionWalk::go_to_other_pool() {
  const bool bound = found_.what == What::session;
  const std::uint64_t key = bound ? move_key(binding_) : request_.draw;
  const auto other_pool = decide_other_pool(request_.snapshot, request_.route, index_, bound, key, tried_);
  if (!other_pool) return false;
  if (other_pool->member != nullptr) {
    say("pool: " + out_.pool + " has nobody left: another one of the split serves the session, and keeps it");
    return move_to_other_pool(*other_pool);
  }
  say("pool: " + out_.pool + " has nobody left: another one of the split serves the request");
  out_.epoch = 0;
  settle_in(other_pool->pool, recognize_in(pool_at(other_pool->pool)));
  say_session();
  return out_.status == 0 && choose();
}

bool SessionWalk::move_to_other_pool(const OtherPoolDecision& other_pool) {
  binding_ = standing_after(moved(binding_, *other_pool.member->backend));
  const Home home = home_of(request_.snapshot, request_.route, binding_.backend, tried_);
  if (home.member == nullptr) return false;
  const bool is_lost = home.pool != index_ && pool_at(home.pool).affinity.empty();
  const Recognized found = is_lost ? Recognized() : found_;
  settle_in(home.pool, found);
  out_.cause = found.cause;
  out_.reason = Reason::failover;
  out_.epoch = binding_.epoch;
  return serve(home.member, "it moves (failover) to the rendezvous choice of its id");
}

/// Names the backend. False: `member` is null.
bool SessionWalk::serve(const Member* member, const std::string& why) {
  if (member == nullptr) return false;
  out_.backend = member->backend->id;
  say("backend: " + out_.backend + ": " + why);
  return true;
}

}  // namespace remora
