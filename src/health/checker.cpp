#include "health/checker.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <new>

#include "health/probes.h"

namespace remora {

struct HealthChecker::Target {
  Target(Loop& loop, std::shared_ptr<Backend> b, std::uint16_t rise, std::uint16_t fall, Health initial)
      : backend(std::move(b)), tracker(rise, fall, initial), wake(loop.wheel), suspect_wake(loop.wheel) {
    backend->liveness.set_down(initial == Health::down);
  }
  void end() {
    ended = true;
    wake.set(EventFlags::stop);
    suspect_wake.set(EventFlags::stop);
  }
  std::shared_ptr<Backend> backend;
  HealthTracker tracker;
  ProbeTarget what;
  std::shared_ptr<const Trial> trial;  // null: a single address
  EventFlags wake, suspect_wake;       // for scheduled probes; for probes by look_into()
  std::string note;
  bool ended = false;

  bool probes_the_same(const Target& other) const {
    return what.probe == other.what.probe && what.tls == other.what.tls && what.host == other.what.host &&
           what.server_name == other.what.server_name && what.protocol == other.what.protocol &&
           what.endpoint == other.what.endpoint && trial == other.trial;
  }
};

HealthChecker::HealthChecker(Loop& loop, Flipped flipped, Settled settled, Prober prober)
    : loop_(loop),
      flipped_(std::move(flipped)),
      settled_(std::move(settled)),
      prober_(std::move(prober)),
      random_(static_cast<std::uint64_t>(loop.clock.steady_now().time_since_epoch().count())) {}

HealthChecker::~HealthChecker() {
  stop();
}

void HealthChecker::stop() {
  for (auto& [backend, target] : targets_) {
    target->end();
  }
  targets_.clear();
}

Health HealthChecker::state(const Backend& backend) const {
  const auto it = targets_.find(&backend);
  return it == targets_.end() ? Health::unknown : it->second->tracker.state();
}

std::string HealthChecker::note(const Backend& backend) const {
  const auto it = targets_.find(&backend);
  return it == targets_.end() ? "" : it->second->note;
}

bool HealthChecker::nobody_up(const std::string& pool) const {
  for (const auto& [backend, target] : targets_)
    if (backend->pool == pool && target->tracker.state() != Health::down) return false;
  return true;
}

void HealthChecker::configure(const std::vector<std::shared_ptr<const PoolView>>& pools) {
  std::map<const Backend*, std::shared_ptr<Target>> old;
  old.swap(targets_);
  for (const auto& pool : pools) {
    const config::Probe& probe = pool->config.probe;
    if (probe.kind == config::ProbeKind::off) continue;
    for (const Member& m : pool->snapshot->members) {
      if (pool->endpoint(m).size == 0) continue;  // the name has no address
      const auto before = old.find(m.backend.get());
      Health initial = before == old.end() ? Health::unknown : before->second->tracker.state();
      if (const auto known = adopted_.find({m.backend->pool, m.backend->id}); known != adopted_.end()) {
        initial = known->second;
        adopted_.erase(known);
      }
      auto target = std::make_shared<Target>(loop_, m.backend, probe.rise, probe.fall, initial);
      target->what.probe = probe;
      target->what.endpoint = pool->endpoint(m);
      target->trial = pool->trial(m);
      target->what.tls = pool->tls;
      target->what.protocol = pool->config.protocol;
      target->what.host = !probe.host.empty()                                  ? probe.host
                          : m.address.kind == config::Address::Kind::unix_path ? "localhost"
                                                                               : m.address.text();
      target->what.server_name = pool->tls && !pool->config.tls->server_name.empty()
                                     ? pool->config.tls->server_name
                                     : m.address.host;
      if (before != old.end() && before->second->probes_the_same(*target)) {
        targets_.emplace(m.backend.get(), std::move(before->second));
        old.erase(before);
        continue;
      }
      targets_.emplace(m.backend.get(), target);
      asio::co_spawn(loop_.ctx.get_executor(), watch(std::move(target), *this), asio::detached);
    }
  }
  for (auto& [backend, target] : old) {
    if (!targets_.contains(backend)) target->backend->liveness.set_down(false);  // no longer probed
    target->end();
  }
}

/// Tries the addresses in turn until one responds, starting with the one that responded last. Each gets its
/// share of the remaining time. The caller owns `t`.
Task<ProbeVerdict> HealthChecker::probe_addresses(Target& t, EventFlags& wake, ProbeTarget what,
                                                  HealthChecker& checker) {
  const std::shared_ptr<const Trial> trial = t.trial;
  const std::size_t count = trial ? trial->all.size() : 1;
  const std::size_t first = trial ? trial->first() : 0;
  const auto deadline = checker.loop_.clock.steady_now() + what.probe.timeout;
  ProbeVerdict verdict;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = (first + i) % count;
    if (trial) what.endpoint = trial->all[place];
    const auto share = (deadline - checker.loop_.clock.steady_now()) / static_cast<int>(count - i);
    what.probe.timeout = std::max(std::chrono::duration_cast<config::Millis>(share), config::Millis(1));
    verdict = co_await checker.prober_(checker.loop_, wake, what);
    if (t.ended) break;
    if (!verdict.answered) continue;
    if (trial && i > 0) trial->answered(place);
    break;
  }
  co_return verdict;
}

Task<void> HealthChecker::probe(std::shared_ptr<Target> t, HealthChecker& checker) {
  const auto began = checker.loop_.clock.steady_now();
  const ProbeVerdict verdict = co_await probe_addresses(*t, t->wake, t->what, checker);
  if (t->ended) co_return;
  t->backend->note_generation(verdict.generation);
  const bool passed = verdict.failure.empty();
  t->note = verdict.failure;
  t->backend->liveness.probed(passed, began);
  const bool urgent = passed && t->tracker.state() == Health::down && checker.nobody_up(t->backend->pool);
  if (const auto flip = t->tracker.observe(passed, urgent)) {
    t->backend->liveness.set_down(*flip == Health::down);
    checker.flipped_(t->backend, *flip, passed ? "probe passed" : verdict.failure);
    if (*flip == Health::down) checker.settled_(t->backend);
  }
}

// Beside the schedule -------------------------------------------------------------------------------

void HealthChecker::look_into(const std::shared_ptr<Backend>& backend, std::chrono::milliseconds within) {
  const auto it = targets_.find(backend.get());
  if (it != targets_.end() && it->second->tracker.state() != Health::down) {
    asio::co_spawn(loop_.ctx.get_executor(), examine(it->second, within, *this), asio::detached);
    return;
  }
  backend->liveness.settled();
  settled_(backend);
}

Task<bool> HealthChecker::passes(std::shared_ptr<Target> t, std::chrono::milliseconds within,
                                 HealthChecker& checker) {
  const auto began = checker.loop_.clock.steady_now();
  ProbeTarget what = t->what;
  what.probe.timeout = std::min(what.probe.timeout, within);
  const ProbeVerdict verdict = co_await probe_addresses(*t, t->suspect_wake, what, checker);
  if (t->ended) co_return true;
  t->backend->note_generation(verdict.generation);
  t->note = verdict.failure;
  const bool passed = verdict.failure.empty();
  t->backend->liveness.probed(passed, began);
  co_return passed;
}

Task<void> HealthChecker::examine(std::shared_ptr<Target> t, std::chrono::milliseconds within,
                                  HealthChecker& checker) {
  try {
    bool passed = co_await passes(t, within, checker);
    if (!passed) passed = co_await passes(t, t->what.probe.timeout, checker);
    if (!passed && t->tracker.condemn()) {
      t->backend->liveness.set_down(true);
      checker.flipped_(t->backend, Health::down, "requests wait, and two probes failed: " + t->note);
    }
  } catch (const std::bad_alloc&) {
  }
  t->backend->liveness.settled();
  if (!t->ended) checker.settled_(t->backend);
}

Task<void> HealthChecker::watch(std::shared_ptr<Target> t, HealthChecker& checker) {
  if (t->ended) co_return;
  // Spread the first probes, so that 500 backends are not probed at once. With few backends the spread is
  // short, because backends of unknown state get no new sessions while others are known to be up.
  const auto spread = std::min<std::chrono::milliseconds>(
      {t->what.probe.interval, std::chrono::milliseconds(200),
       std::chrono::milliseconds(2) * static_cast<std::int64_t>(checker.targets_.size())});
  auto pause = std::chrono::duration_cast<std::chrono::nanoseconds>(spread * checker.random_.unit());
  while (!t->ended) {
    static_cast<void>(t->wake.take());
    t->wake.until(checker.loop_.clock.steady_now() + pause);
    for (unsigned bits = 0; (bits & EventFlags::deadline) == 0;) {
      bits = co_await t->wake.any();
      if (t->ended) co_return;
    }
    try {
      co_await probe(t, checker);
    } catch (const std::bad_alloc&) {  // not the backend's fault; the next probe may find memory
    }
    if (t->ended) co_return;
    const auto& probe = t->what.probe;
    const auto base = t->tracker.undecided() ? probe.interval / 4 : probe.interval;
    const double factor = 1 + probe.jitter * (2 * checker.random_.unit() - 1);
    pause = std::chrono::duration_cast<std::chrono::nanoseconds>(base * factor);
  }
}

}  // namespace remora
