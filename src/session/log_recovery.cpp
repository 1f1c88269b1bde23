#include "session/log_recovery.h"

#include <vector>

namespace remora {

namespace {

/// Sessions with a shorter lifetime than this may have been used since without a record of it.
constexpr std::uint32_t slack =
    static_cast<std::uint32_t>(std::chrono::milliseconds(log_use_period).count() / Ticks::length_ms);

}  // namespace

bool LogRecovery::read(std::string_view& rest) {
  if (whole_ == 0) {
    if (!rest.starts_with(log_header())) return false;
    rest.remove_prefix(log_header().size());
    whole_ = log_header().size();
  }
  for (;;) {
    const std::size_t before = rest.size();
    const LogFrame frame = take_log_frame(rest);
    if (frame.what != LogFrame::What::whole) return frame.what == LogFrame::What::short_;
    whole_ += before - rest.size();
    ++records_;
    if (const auto record = decode_log_record(frame.payload, times_)) apply(*record);
  }
}

void LogRecovery::apply(const LogRecord& record) {
  if (const auto* r = std::get_if<LoggedSession>(&record)) {
    LocalTable::Kept kept = r->kept;
    if (kept.expires - kept.seen < 5 * slack) {  // so that no session ends before its time
      kept.expires += slack;
      kept.seen = std::min(kept.seen + slack, times_.now());
    }
    if (lives(kept.expires))
      memory_.learned.replay(r->key, kept, r->proven);
    else
      memory_.learned.entries().erase(r->key);
  } else if (const auto* forgotten = std::get_if<ForgottenSession>(&record)) {
    memory_.learned.entries().erase(forgotten->key);
  } else if (const auto* move = std::get_if<LoggedMove>(&record)) {
    Move m = move->move;
    if (m.expires - m.seen < 5 * slack) m.expires += slack;
    if (lives(m.expires)) memory_.moves.restore(move->id, m);
  } else if (const auto* erased = std::get_if<ForgottenMove>(&record)) {
    memory_.moves.entries().erase(erased->id);
  } else if (const auto* handed = std::get_if<LoggedHandOver>(&record)) {
    if (lives(handed->entry.expires))
      memory_.handed.entries().put(handed->id, handed->entry,
                                   [&](HandedOver::Entry& e) { e = handed->entry; });
  } else if (const auto* finished = std::get_if<FinishedHandOver>(&record)) {
    memory_.handed.entries().erase(finished->id);
  } else if (const auto* value = std::get_if<LoggedValue>(&record)) {
    if (memory_.values)
      memory_.values->replay(std::string(value->key), std::string(value->value),
                             value->expires + log_use_period, now_.steady, value->use);
  } else if (const auto* filter = std::get_if<LoggedFilter>(&record)) {
    std::string_view bytes = filter->bytes;
    if (lives(EndedFilter::expiry_in(bytes))) memory_.moves.spilled().import(bytes);
  } else if (const auto* pool = std::get_if<LoggedPool>(&record)) {
    // Of two names with one number, the later one has it.
    std::erase_if(pool_numbers_, [&](const auto& known) { return known.second == pool->number; });
    pool_numbers_[std::string(pool->name)] = pool->number;
  } else if (const auto* key = std::get_if<LoggedIndexKey>(&record)) {
    sealed_index_key_ = key->sealed;
  }
}

std::map<std::string, std::uint16_t> LogRecovery::keep_pools(const std::set<std::string>& names) {
  std::map<std::string, std::uint16_t> kept;
  std::set<std::uint16_t> numbers;
  for (const auto& [name, number] : pool_numbers_)
    if (names.contains(name)) {
      kept[name] = number;
      numbers.insert(number);
    }
  memory_.learned.entries().sweep(
      [&](const SessionKey&, const LocalTable::Kept& k) { return numbers.contains(k.pool); });
  if (memory_.values) memory_.values->retain([&](StoreUse use) { return numbers.contains(use.pool); });
  return kept;
}

namespace {

/// Copies one shard at a time, so that its lock is held for the copying alone.
template <class Record, class Table, class Make>
void append_shard(const Table& table, std::size_t shard, std::uint32_t now, std::string& out,
                  const LogTimes& times, Make make) {
  std::vector<Record> records;
  table.for_each_in_shard(shard, [&](const auto& key, const auto& value, bool proven) {
    if (value.expires > now) records.push_back(make(key, value, proven));
  });
  for (const Record& r : records) append_log_record(out, r, times);
}

struct CopiedValue {
  std::string key, value;
  Clock::Steady expires;
  StoreUse use;
};

void append_values(MemoryValues& values, std::size_t shard, ClockReading now, std::string& out,
                   const LogTimes& times) {
  std::vector<CopiedValue> copies;
  values.for_each_in_shard(
      shard, [&](const std::string& key, const std::string& value, Clock::Steady expires, StoreUse use) {
        if (expires > now.steady) copies.push_back({key, value, expires, use});
      });
  for (const CopiedValue& c : copies)
    append_log_record(out, LoggedValue{c.key, c.value, c.expires, c.use}, times);
}

}  // namespace

void write_everything(SessionMemory& memory, ClockReading now,
                      const std::function<bool(std::string_view)>& write) {
  const LogTimes times(now);
  std::string out;
  const auto flush = [&] {
    const bool goes_on = out.empty() || write(out);
    out.clear();
    return goes_on;
  };
  // Filters first: marks that follow may be in them already, but must not fill them before.
  for (std::string& filter : memory.moves.spilled().export_all()) {
    append_log_record(out, LoggedFilter{std::move(filter)}, times);
    if (!flush()) return;
  }
  const auto move = [](const SessionId& id, const Move& m, bool) { return LoggedMove{id, m}; };
  for (std::size_t shard = 0; shard < LocalTable::Entries::shard_count; ++shard) {
    append_shard<LoggedMove>(memory.moves.marks(), shard, times.now(), out, times, move);
    append_shard<LoggedMove>(memory.moves.entries(), shard, times.now(), out, times, move);
    append_shard<LoggedHandOver>(
        memory.handed.entries(), shard, times.now(), out, times,
        [](const SessionId& id, const HandedOver::Entry& e, bool) { return LoggedHandOver{id, e}; });
    append_shard<LoggedSession>(memory.learned.entries(), shard, times.now(), out, times,
                                [](const SessionKey& key, const LocalTable::Kept& k, bool proven) {
                                  return LoggedSession{key, k, proven};
                                });
    if (!flush()) return;
  }
  if (!memory.values) return;
  for (std::size_t shard = 0; shard < MemoryValues::shard_count; ++shard) {
    append_values(*memory.values, shard, now, out, times);
    if (!flush()) return;
  }
}

}  // namespace remora
