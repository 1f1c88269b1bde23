#include "health/checker.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <new>

#include "health/probes.h"

namespace remora {

using std::chrono::steady_clock;

struct HealthChecker::Target {
  Target(Loop& loop, std::shared_ptr<Backend> b, std::uint16_t rise, std::uint16_t fall, Health initial)
      : backend(std::move(b)), tracker(rise, fall, initial), wake(loop.wheel) {}
  std::shared_ptr<Backend> backend;
  HealthTracker tracker;
  ProbeTarget what;
  std::shared_ptr<const Trial> trial;  // null: one address
  Wake wake;
  std::string note;
  bool ended = false;

  bool probes_the_same(const Target& other) const {
    return what.probe == other.what.probe && what.tls == other.what.tls && what.host == other.what.host &&
           what.server_name == other.what.server_name && what.endpoint == other.what.endpoint &&
           trial == other.trial;
  }
};

HealthChecker::HealthChecker(Loop& loop, Flipped flipped)
    : loop_(loop),
      flipped_(std::move(flipped)),
      random_(static_cast<std::uint64_t>(steady_clock::now().time_since_epoch().count())) {}

HealthChecker::~HealthChecker() {
  stop();
}

void HealthChecker::stop() {
  for (auto& [backend, target] : targets_) {
    target->ended = true;
    target->wake.set(Wake::stop);
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
      if (pool->endpoint(m).size == 0) continue;  // its name has no address
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
    target->ended = true;
    target->wake.set(Wake::stop);
  }
}

Task<void> HealthChecker::probe(std::shared_ptr<Target> t, HealthChecker& checker) {
  ProbeVerdict verdict;
  ProbeTarget what = t->what;
  const std::size_t count = t->trial ? t->trial->all.size() : 1;
  const std::size_t first = t->trial ? t->trial->first() : 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = (first + i) % count;
    if (t->trial) what.endpoint = t->trial->all[place];
    verdict = co_await probe_once(checker.loop_, t->wake, what);
    if (t->ended) co_return;
    if (!verdict.failure.empty()) continue;
    if (t->trial && i > 0) t->trial->answered(place);
    break;
  }
  t->backend->note_generation(verdict.generation);
  const bool passed = verdict.failure.empty();
  t->note = verdict.failure;
  const bool urgent = passed && t->tracker.state() == Health::down && checker.nobody_up(t->backend->pool);
  if (const auto flip = t->tracker.observe(passed, urgent))
    checker.flipped_(t->backend, *flip, passed ? "probe passed" : verdict.failure);
}

Task<void> HealthChecker::watch(std::shared_ptr<Target> t, HealthChecker& checker) {
  if (t->ended) co_return;
  // Spread the first probes, so that 500 backends are not probed in one moment.
  auto pause = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::min<std::chrono::milliseconds>(t->what.probe.interval, std::chrono::milliseconds(200)) *
      checker.random_.unit());
  while (!t->ended) {
    static_cast<void>(t->wake.take());
    t->wake.until(steady_clock::now() + pause);
    for (unsigned bits = 0; (bits & Wake::deadline) == 0;) {
      bits = co_await t->wake.any();
      if (t->ended) co_return;
    }
    try {
      co_await probe(t, checker);
    } catch (const std::bad_alloc&) {  // says nothing about the backend; the next probe may find memory
    }
    if (t->ended) co_return;
    const auto& probe = t->what.probe;
    const auto base = t->tracker.undecided() ? probe.interval / 4 : probe.interval;
    const double factor = 1 + probe.jitter * (2 * checker.random_.unit() - 1);
    pause = std::chrono::duration_cast<std::chrono::nanoseconds>(base * factor);
  }
}

}  // namespace remora
