#include "session/store_writer.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace remora {

namespace {
constexpr unsigned max_lanes = 4;
}  // namespace

StoreOutcome outcome_of(const error_code& ec) noexcept {
  if (!ec) return StoreOutcome::done;
  if (ec == StoreErrc::timeout) return StoreOutcome::timeout;
  if (ec == StoreErrc::refused) return StoreOutcome::refused;
  if (ec == StoreErrc::full) return StoreOutcome::full;
  return StoreOutcome::unavailable;
}

StateEvent event_of(Saved saved) noexcept {
  switch (saved) {
    case Saved::saved:
      return StateEvent::saved;
    case Saved::conflict:
      return StateEvent::conflict;
    case Saved::outdated:
      break;
  }
  return StateEvent::outdated;
}

std::optional<Record> apply(const StoreWriter::Job& job, const std::optional<Record>& standing,
                            Saved& saved) {
  if (standing && gives_way(*standing, job.record, job.over, job.lifetimes)) {
    return job.only_if_there ? std::nullopt : apply(job, std::nullopt, saved);
  }
  if (job.record.ended || job.record.replaced) {
    if (!standing && job.only_if_there) return std::nullopt;
    return end_rule(standing, job.record);
  }
  std::optional<Record> next;
  if (standing || !job.only_if_there || job.save) next = refresh_rule(standing, job.record);
  if (!job.save) return next;
  auto with_state =
      save_rule(next ? next : standing, job.record, job.save->seen, job.save->seal, saved, job.save->times);
  return with_state ? with_state : next;
}

struct StoreWriter::Shared {
  Shared(Loop& l, SessionStore& s, const Clock& c, std::chrono::milliseconds t, StoreCounts& n)
      : loop(l), store(s), clock(c), timeout(t), counts(n), queue(n) {}
  Loop& loop;
  SessionStore& store;
  const Clock& clock;
  const std::chrono::milliseconds timeout;
  StoreCounts& counts;
  WriteQueue queue;
  unsigned lanes = 0;
  bool stopping = false;
  std::vector<EventFlags*> waiting;

  bool outlived(const Job& job) const {
    return clock.wall_now() - job.record.binding.created >= job.lifetimes.max_lifetime;
  }
};

StoreWriter::StoreWriter(Loop& loop, SessionStore& store, const Clock& clock,
                         std::chrono::milliseconds timeout, StoreCounts& counts)
    : shared_(std::make_shared<Shared>(loop, store, clock, timeout, counts)) {}

StoreWriter::~StoreWriter() {
  stop();
}

void StoreWriter::stop() noexcept {
  shared_->stopping = true;
  const auto waiting = shared_->waiting;
  for (EventFlags* wake : waiting) wake->set(EventFlags::stop);
}

bool StoreWriter::idle() const noexcept {
  return shared_->queue.empty() && shared_->lanes == 0;
}

void StoreWriter::later(Job job) {
  Shared& s = *shared_;
  if (s.stopping) return;
  s.queue.put(std::move(job));
  if (s.lanes >= max_lanes || s.lanes >= s.queue.size()) return;
  ++s.lanes;
  asio::co_spawn(s.loop.ctx.get_executor(), run(shared_), asio::detached);
}

Task<void> StoreWriter::run(std::shared_ptr<Shared> s) {
  EventFlags wake(s->loop.wheel);
  s->waiting.push_back(&wake);
  struct Leave {
    Shared& s;
    EventFlags* wake;
    ~Leave() {
      std::erase(s.waiting, wake);
      --s.lanes;
    }
  } leave{*s, &wake};
  while (!s->stopping) {
    std::optional<Job> job = s->queue.take();
    if (!job) co_return;
    Saved saved = Saved::saved;
    SessionStore::Rule rule = [&job, &saved](const std::optional<Record>& standing) {
      return apply(*job, standing, saved);
    };
    const StoreCall call{wake, s->clock.steady_now() + s->timeout, job->pool, job->returning};
    Result<SessionStore::Outcome> standing =
        co_await s->store.change(job->key, std::move(rule), job->lifetimes, false, call);
    s->queue.done(job->key);
    const StoreOutcome outcome = outcome_of(standing);
    s->counts.count(outcome);
    if (outcome == StoreOutcome::done) {
      if (job->late) StoreCounts::add(s->counts.written_late);
      if (job->save) s->counts.count(event_of(saved));
      continue;
    }
    if (outcome == StoreOutcome::refused || outcome == StoreOutcome::full || s->outlived(*job)) {
      StoreCounts::add(s->counts.dropped);
      if (job->save) s->counts.count(StateEvent::unsaved);
      continue;
    }
    job->late = true;
    s->queue.put_back(std::move(*job));
    // The store is down: retry after a pause, each lane for itself.
    const Clock::Steady until = s->clock.steady_now() + std::chrono::milliseconds(100);
    wake.until(until);
    while (!s->stopping && s->clock.steady_now() < until) {
      unsigned bits = wake.take();
      if (bits == 0) bits = co_await wake.any();
    }
  }
}

}  // namespace remora
