#include "session/write_queue.h"

#include <algorithm>

namespace remora {

namespace {

std::size_t size_of(const StoreJob& job) {
  return job.save ? job.save->bytes : 0;
}

/// The name of an ended session began another one before the store knew of the end: the store may have either
/// session, or one before.
std::vector<SessionId> former_sessions(const StoreJob& older, const StoreJob& newer) {
  constexpr std::size_t max_kept = 8;
  std::vector<SessionId> all = older.over;
  const auto add = [&](const SessionId& id) {
    if (id == newer.record.binding.id || std::find(all.begin(), all.end(), id) != all.end()) return;
    if (all.size() == max_kept) all.erase(all.begin() + 1);  // the first is the likeliest
    all.push_back(id);
  };
  if (older.record.ended) add(older.record.binding.id);
  for (const SessionId& id : newer.over) add(id);
  return all;
}

bool is_over(const StoreJob& job, const SessionId& id) {
  return std::find(job.over.begin(), job.over.end(), id) != job.over.end();
}

/// Merges two jobs of one session. A state to save survives a later job. An end survives every other job, as
/// in end_rule. A deletion survives the response to an older request.
StoreJob merged(StoreJob older, StoreJob newer) {
  if (is_over(older, newer.record.binding.id)) return older;  // late, of a session that is over
  newer.over = former_sessions(older, newer);
  const bool follows = gives_way(older.record, newer.record, newer.over, newer.lifetimes);
  const bool ended =
      older.record.binding.id == newer.record.binding.id && (older.record.ended || newer.record.ended);
  const bool outran = older.save && newer.save && older.save->deletes &&
                      newer.save->times.sent != Clock::Wall() &&
                      newer.save->times.sent < older.save->times.answered;
  if ((!newer.save && !newer.record.ended) || outran) newer.save = older.save;
  newer.only_if_there = newer.only_if_there && older.only_if_there;
  newer.late = newer.late || older.late;
  newer.returning = newer.returning || older.returning;
  if (older.record.binding.epoch > newer.record.binding.epoch &&
      !follows) {  // a late job of a previous owner
    newer.record = older.record;
    newer.save = std::move(older.save);
  }
  newer.record.ended = newer.record.ended || ended;
  return newer;
}

}  // namespace

WriteQueue::Rank WriteQueue::rank_of(const StoreJob& job) noexcept {
  const Record& r = job.record;
  if (r.ended || r.replaced) return Rank::end;
  if (job.save || (r.reason != Reason::none && r.reason != Reason::new_) || r.binding.leave)
    return Rank::change;
  return r.reason == Reason::new_ ? Rank::birth : Rank::refresh;
}

void WriteQueue::drop(const StoreJob& job) noexcept {
  StoreCounts::add(counts_.dropped);
  if (job.save) counts_.count(StateEvent::unsaved);
}

/// False: every queued job is worth as much.
bool WriteQueue::make_room_for(Rank rank) {
  const std::size_t ends = order_of(Rank::end).size();
  if (rank == Rank::end) return ends < limits_.ends;
  if (jobs_.size() - ends < limits_.jobs) return true;
  for (Rank lower = Rank::refresh; lower < rank; lower = static_cast<Rank>(static_cast<int>(lower) + 1)) {
    if (order_of(lower).empty()) continue;
    drop(remove(jobs_.find(order_of(lower).front())));
    return true;
  }
  return false;
}

void WriteQueue::put(StoreJob job) {
  const auto known = jobs_.find(job.key);
  if (known != jobs_.end()) {
    StoreJob both = merged(known->second.job, std::move(job));
    return replace(known->second, std::move(both));
  }
  if (bytes_ + size_of(job) > limits_.state_bytes) {  // the binding is still written
    counts_.count(StateEvent::unsaved);
    job.save.reset();
  }
  const Rank rank = rank_of(job);
  if (!make_room_for(rank)) return drop(job);
  insert(std::move(job), rank);
}

void WriteQueue::put_back(StoreJob job) {
  const auto known = jobs_.find(job.key);
  if (known == jobs_.end()) return put(std::move(job));
  StoreJob both = merged(std::move(job), known->second.job);
  replace(known->second, std::move(both));
}

void WriteQueue::insert(StoreJob job, Rank rank) {
  bytes_ += size_of(job);
  Order& order = order_of(rank);
  order.push_back(job.key);
  const SessionKey key = job.key;
  jobs_.emplace(key, Waiting{std::move(job), rank, std::prev(order.end())});
  counts_.waiting.fetch_add(1, std::memory_order_relaxed);
}

void WriteQueue::replace(Waiting& old, StoreJob job) {
  if (bytes_ - size_of(old.job) + size_of(job) > limits_.state_bytes) {  // the binding is still written
    counts_.count(StateEvent::unsaved);
    job.save = std::move(old.job.save);
    old.job.save.reset();
    bytes_ -= size_of(job);
  } else {
    bytes_ -= size_of(old.job);
  }
  bytes_ += size_of(job);
  old.job = std::move(job);
  const Rank rank = std::max(old.rank, rank_of(old.job));
  if (rank == old.rank) return;
  // An end that finds no room among the ends keeps its present place.
  if (rank == Rank::end && order_of(Rank::end).size() >= limits_.ends) return;
  Order& order = order_of(rank);
  order.splice(order.end(), order_of(old.rank), old.at);
  old.rank = rank;
}

StoreJob WriteQueue::remove(Jobs::iterator at) {
  order_of(at->second.rank).erase(at->second.at);
  StoreJob job = std::move(at->second.job);
  jobs_.erase(at);
  bytes_ -= size_of(job);
  counts_.waiting.fetch_sub(1, std::memory_order_relaxed);
  return job;
}

std::optional<StoreJob> WriteQueue::take() {
  for (auto order = orders_.rbegin(); order != orders_.rend(); ++order)
    for (const SessionKey& key : *order) {
      if (under_way_.contains(key)) continue;
      under_way_.emplace(key, true);
      return remove(jobs_.find(key));
    }
  return std::nullopt;
}

}  // namespace remora
