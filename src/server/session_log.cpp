#include "server/session_log.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "session/log_recovery.h"

namespace remora {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {
constexpr milliseconds gather{5}, lock_poll{20};
constexpr seconds sync_every{5}, tell_every{60}, idle_after{1};
constexpr const char* purpose = "session log";
constexpr const char* sealed_for = "index key";

bool is_due(Clock::Steady now, Clock::Steady last, milliseconds every) {
  return last == Clock::Steady::min() || now - last >= every;
}
}  // namespace

SessionLog::SessionLog(SessionMemory& memory, const Clock& clock, std::shared_ptr<const KeyRing> keys,
                       Settings settings)
    : memory_(memory),
      clock_(clock),
      keys_(std::move(keys)),
      settings_(std::move(settings)),
      file_(settings_.folder),
      changes_(memory, settings_.queue_bytes) {}

SessionLog::~SessionLog() {
  stop();
}

void SessionLog::discard(const std::string& folder) {
  LogFile file(folder);
  std::string problem;
  if (::access(file.path().c_str(), F_OK) != 0 || file.lock(problem) != LogFile::Lock::taken) return;
  if (::unlink(file.path().c_str()) == 0)
    spdlog::info("{} is removed: sessions are not persisted any more", file.path());
}

bool SessionLog::open(milliseconds patience) {
  constexpr const char* without = "sessions will not survive this process";
  for (milliseconds waited{0};; waited += lock_poll) {
    std::string problem;
    const LogFile::Lock lock = file_.lock(problem);
    if (lock == LogFile::Lock::taken) break;
    if (lock == LogFile::Lock::failed) {
      spdlog::warn("{}: {} (make it writable, set another state_dir, or set store.persist: off)", problem,
                   without);
      return false;
    }
    if (waited >= patience) {
      spdlog::warn(
          "{} is in use by another instance of remora: {} (each instance needs a state_dir of its own)",
          file_.path(), without);
      return false;
    }
    std::this_thread::sleep_for(lock_poll);
  }
  const std::string problem = file_.open();
  if (problem.empty()) return true;
  file_.unlock();
  spdlog::warn("{}: {}", problem, without);
  return false;
}

SessionLog::Restored SessionLog::restore(const std::set<std::string>& pools) {
  const Clock::Steady began = clock_.steady_now();
  LogRecovery recovery(memory_, now());
  std::string problem = file_.read([&](std::string_view& rest) { return recovery.read(rest); });
  const std::uint64_t size = file_.size();
  if (problem.empty() && recovery.whole() != size && size != 0) {
    spdlog::warn("{}: only the first {} of {} bytes are a whole log of this version; the rest is cut",
                 file_.path(), recovery.whole(), size);
    problem = file_.cut(recovery.whole());
  }
  if (!problem.empty()) {
    spdlog::warn("{}; a new log is begun", problem);
    lacks_changes_ = true;
  }
  Restored out;
  out.pool_numbers = recovery.keep_pools(pools);
  if (!recovery.sealed_index_key().empty()) {
    CryptoScratch scratch;
    const auto key = BlobSealer(keys_, purpose).open(recovery.sealed_index_key(), sealed_for, scratch);
    if (key)
      out.index_key = *key;
    else
      spdlog::warn(
          "{} was written under a key that is no longer in `keys`: learned sessions are not recognized",
          file_.path());
  }
  if (recovery.records() != 0)
    spdlog::info("restored {} learned sessions, {} moves and ends, and {} bytes of states in {} ms",
                 memory_.learned.size(), memory_.moves.size(), memory_.values ? memory_.values->bytes() : 0,
                 std::chrono::duration_cast<milliseconds>(clock_.steady_now() - began).count());
  return out;
}

void SessionLog::start(Names names) {
  names_ = std::move(names);
  names_changed_ = running_ = true;
  if (file_.size() == 0) lacks_changes_ = true;  // begins with a header
  work();
  changes_.attach();
  thread_ = std::thread([this] { run(false); });
}

void SessionLog::take_over(Names names) {
  names_ = std::move(names);
  running_ = true;
  thread_ = std::thread([this] { run(true); });
}

void SessionLog::set_pool_numbers(const std::map<std::string, std::uint16_t>& numbers) {
  {
    const std::lock_guard lock(mutex_);
    if (numbers == names_.pool_numbers) return;
    names_.pool_numbers = numbers;
    names_changed_ = true;
  }
  changes_.wake();
}

void SessionLog::flush() {
  std::unique_lock lock(mutex_);
  const std::uint64_t wanted = ++flush_wanted_;
  changes_.wake();
  flushed_.wait(lock, [&] { return flush_done_ >= wanted || !running_; });
}

void SessionLog::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changes_.wake();
  thread_.join();
}

bool SessionLog::stopping() {
  const std::lock_guard lock(mutex_);
  return stop_;
}

void SessionLog::run(bool waits) {
  ::pthread_setname_np(::pthread_self(), "session-log");
  if (!waits || wait_for_lock()) {
    memory_.log.open.store(true);
    Clock::Steady last_change = clock_.steady_now();
    std::uint64_t wanted = 0;
    for (bool last = false; !last;) {
      {
        const std::lock_guard lock(mutex_);
        last = stop_;
        wanted = flush_wanted_;
      }
      if (last) changes_.detach();  // before the last look at the queue
      const std::uint64_t written = memory_.log.written.load(std::memory_order_relaxed);
      work();
      if (written != memory_.log.written.load(std::memory_order_relaxed)) last_change = clock_.steady_now();
      {
        const std::lock_guard lock(mutex_);
        flush_done_ = wanted;
      }
      flushed_.notify_all();
      if (last) break;
      if (clock_.steady_now() - last_change < idle_after)
        changes_.wait_for(gather);
      else
        changes_.wait_for_change(next_task());
    }
    memory_.log.open.store(false);
  }
  file_.unlock();
  const std::lock_guard lock(mutex_);
  running_ = false;
  flushed_.notify_all();
}

/// Out of memory is a reason like any other to write the log anew later.
void SessionLog::work() {
  try {
    write_changes();
    if (wants_compaction()) compact();
    sync_if_due();
  } catch (const std::exception& e) {
    lacks_changes_ = true;
    failed(e.what(), 0);
  }
}

/// When there is something to do without a change.
std::optional<milliseconds> SessionLog::next_task() const {
  if (lacks_changes_) return settings_.retry;
  if (unsynced_) return sync_every;
  return std::nullopt;
}

/// False: stopped before the other process let go.
bool SessionLog::wait_for_lock() {
  for (bool told = false;;) {
    std::string problem;
    const LogFile::Lock lock = file_.lock(problem);
    if (lock == LogFile::Lock::taken) problem = file_.open();
    if (lock == LogFile::Lock::taken && problem.empty()) break;
    file_.unlock();
    if (!problem.empty() && !std::exchange(told, true))
      spdlog::warn("{}: sessions will not survive this process", problem);
    if (stopping()) return false;
    changes_.wait_for(lock_poll);
  }
  changes_.attach();
  lacks_changes_ = true;  // begins with everything
  return true;
}

void SessionLog::append_names(std::string& out, const LogTimes& times) const {
  CryptoScratch scratch;
  const std::string sealed = BlobSealer(keys_, purpose).seal(names_.index_key, sealed_for, scratch);
  append_log_record(out, LoggedIndexKey{sealed}, times);
  for (const auto& [name, number] : names_.pool_numbers)
    append_log_record(out, LoggedPool{number, name}, times);
}

void SessionLog::write_changes() {
  const LogTimes times(now());
  std::uint64_t records = 0;
  batch_.clear();
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(names_changed_, false)) append_names(batch_, times);
  }
  const auto write = [&] {
    if (batch_.empty()) return;
    // The first compaction writes the header.
    const std::string problem = file_.size() == 0 ? "" : file_.append(batch_);
    if (file_.size() != 0 && problem.empty()) {
      memory_.log.written.fetch_add(records, std::memory_order_relaxed);
      unsynced_ = true;
    } else if (!problem.empty()) {
      failed(problem, records);
    }
    batch_.clear();
    records = 0;
  };
  constexpr std::size_t batch_bytes = 256 * 1024;
  changes_.drain([&](const LogRecord& record) {
    append_log_record(batch_, record, times);
    ++records;
    if (batch_.size() >= batch_bytes) write();
  });
  write();
  if (const std::uint64_t dropped = changes_.take_dropped(); dropped != 0)
    failed("the disk is too slow for the changes of sessions", dropped);
  memory_.log.bytes.store(file_.size(), std::memory_order_relaxed);
}

bool SessionLog::wants_compaction() const {
  if (lacks_changes_) return is_due(clock_.steady_now(), compacted_at_, settings_.retry);
  return file_.size() >= settings_.compact_from && file_.size() > 2 * compacted_size_;
}

/// Begins a new log. Changes that are queued meanwhile follow in it, also those that it contains already.
void SessionLog::compact() {
  compacted_at_ = clock_.steady_now();
  const bool lacked = std::exchange(lacks_changes_, false);
  const std::string problem = file_.replace([this](const LogFile::Append& append) {
    std::string head(log_header());
    {
      const std::lock_guard lock(mutex_);
      append_names(head, LogTimes(now()));
      names_changed_ = false;
    }
    if (append(head)) write_everything(memory_, now(), append);
  });
  if (!problem.empty()) {
    lacks_changes_ = lacked;
    // A log that only grew is good as it is; it is replaced when it has doubled again.
    compacted_size_ = std::max(compacted_size_, file_.size());
    return failed(problem, 0);
  }
  compacted_size_ = file_.size();
  memory_.log.compactions.fetch_add(1, std::memory_order_relaxed);
  memory_.log.bytes.store(file_.size(), std::memory_order_relaxed);
}

void SessionLog::failed(const std::string& problem, std::uint64_t records) {
  if (records != 0) lacks_changes_ = true;
  memory_.log.dropped.fetch_add(records, std::memory_order_relaxed);
  dropped_untold_ += records;
  const Clock::Steady at = clock_.steady_now();
  if (!is_due(at, told_at_, tell_every)) return;
  told_at_ = at;
  spdlog::warn("{}: {} changes of sessions are not in the log, and would be lost with this process", problem,
               std::exchange(dropped_untold_, 0));
}

void SessionLog::sync_if_due() {
  if (!unsynced_ || clock_.steady_now() - synced_at_ < sync_every) return;
  synced_at_ = clock_.steady_now();
  unsynced_ = false;
  if (const std::string problem = file_.sync(); !problem.empty()) failed(problem, 0);
}

}  // namespace remora
