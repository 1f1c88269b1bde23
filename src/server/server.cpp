#include "server/server.h"

#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <fstream>
#include <map>
#include <stdexcept>

#include "admin/metrics.h"
#include "affinity/registry.h"
#include "config/loader.h"
#include "server/log.h"

namespace remora {

using std::chrono::milliseconds;

unsigned usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  unsigned n = ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
  std::ifstream quota("/sys/fs/cgroup/cpu.max");  // "max 100000" or "150000 100000"
  double limit = 0, period = 0;
  if (quota >> limit >> period && period > 0)
    n = std::min(n, std::max(1U, static_cast<unsigned>(limit / period)));
  return std::max(1U, n);
}

Server::Server(config::Config config, std::string file)
    : config_(std::move(config)),
      file_(std::move(file)),
      worker_count_(config_.workers.value_or(usable_cpus())),
      memory_(std::make_shared<SessionMemory>(config_.store.capacity)),
      builder_(worker_count_),
      checker_(loop_,
               [this](const std::shared_ptr<Backend>& b, Health now, const std::string& why) {
                 const bool up = now == Health::up;
                 spdlog::log(up ? spdlog::level::info : spdlog::level::warn, "backend {}/{} is {}: {}",
                             b->pool, b->id, up ? "up" : "down", why);
                 republish();
               }),
      signals_(loop_.ctx.get_executor()),
      timer_(loop_.ctx.get_executor()),
      house_timer_(loop_.ctx.get_executor()),
      return_timer_(loop_.ctx.get_executor()) {
  ::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {  // as many descriptors as we are allowed
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  if (config_.log.access_format != config::AccessFormat::off)
    access_writer_ = std::make_unique<LogWriter>(config_.log.access_output);
  const auto snapshot = builder_.build(config_, load_keys(config_));
  open_listeners();
  if (config_.admin.bind) {
    status_ = std::make_unique<StatusServer>(loop_, *config_.admin.bind, config_.admin.token, [this] {
      return metrics_text(*builder_.last(), *memory_, {clock_.steady_now(), clock_.wall_now()});
    });
    spdlog::info("admin on {}", bound_address(status_->fd(), *config_.admin.bind));
  }
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) signals_.add(s);
  for (auto& worker : workers_)
    worker->start(snapshot, [this](const std::shared_ptr<Backend>& backend, Ejected how) {
      asio::post(loop_.ctx, [this, backend, how] { eject(backend, how); });
    });
  checker_.configure(snapshot->pools);
}

Server::~Server() {
  for (auto& worker : workers_) worker->abort();
  for (auto& worker : workers_) worker->join();
}

void Server::open_listeners() {
  const unsigned count = worker_count_;
  std::vector<std::vector<Worker::Socket>> sockets(count);
  for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
    const config::Listener& l = config_.listeners[i];
    ListenerState state;
    state.index = i;
    state.open = std::make_shared<std::atomic<std::uint32_t>>(0);
    if (l.per_client.any()) state.limits = std::make_shared<ClientLimits>(l.per_client);
    const std::vector<int> fds = open_listener(l, count);
    spdlog::info("listening on {}", bound_address(fds.front(), l.bind));
    for (unsigned w = 0; w < count; ++w) sockets[w].push_back({fds[w], state, l.limits.connections});
  }
  for (unsigned w = 0; w < count; ++w)
    workers_.push_back(std::make_unique<Worker>(w, clock_,
                                                AccessLog(config_.log.access_format, access_writer_.get()),
                                                memory_, std::move(sockets[w])));
}

void Server::republish() {
  publish(builder_.with_facts(checker_, ejector_, clock_.steady_now()));
  if (builder_.warming_up()) await_return();
}

/// Live traffic showed that a backend fails.
void Server::eject(const std::shared_ptr<Backend>& backend, Ejected how) {
  if (phase_ != Phase::serving && phase_ != Phase::delaying) return;
  for (const auto& pool : builder_.last()->pools) {
    const auto& members = pool->snapshot->members;
    if (std::none_of(members.begin(), members.end(), [&](const Member& m) { return m.backend == backend; }))
      continue;
    const auto length =
        ejector_.report(backend, how, pool->config.eject, members.size(), clock_.steady_now());
    if (!length) return;
    spdlog::warn("backend {}/{} is ejected for {} ms: {} {} in a row; it takes {}", backend->pool,
                 backend->id, length->count(), pool->config.eject.consecutive_failures,
                 how == Ejected::all ? "failed connections" : "failed answers",
                 how == Ejected::all ? "nothing" : "no new sessions");
    republish();
    await_return();
    return;
  }
}

/// Sleeps until an ejection ends, or a backend in its slow start is worth more.
void Server::await_return() {
  std::optional<Clock::Steady> next = ejector_.next_end();
  const Clock::Steady soon = clock_.steady_now() + milliseconds(200);
  if (builder_.warming_up() && (!next || soon < *next)) next = soon;
  if (!next) return;
  return_timer_.expires_at(*next);
  return_timer_.async_wait([this](const error_code& ec) {
    if (ec) return;
    for (const auto& backend : ejector_.expire(clock_.steady_now())) {
      backend->failures.succeeded();
      spdlog::info("backend {}/{} is back from its ejection", backend->pool, backend->id);
    }
    republish();
    await_return();
  });
}

/// What the request path only counts is said here; tables lose what has expired.
void Server::keep_house() {
  const Clock::Steady now = clock_.steady_now();
  constexpr std::chrono::seconds sweep_every{60}, tell_every{30};
  if (now - swept_at_ >= sweep_every) {
    swept_at_ = now;
    memory_->sweep({now, clock_.wall_now()});
  }
  if (now - told_at_ >= tell_every) {
    const std::uint64_t evicted = memory_->evicted(), unknown = builder_.refused(Cause::unknown_key);
    if (evicted > evictions_told_)
      spdlog::warn("the session table is full: {} sessions were evicted; raise store.capacity ({})",
                   evicted - evictions_told_, config_.store.capacity);
    if (unknown > unknown_keys_told_)
      spdlog::warn(
          "{} tokens were sealed with a key that is not in `keys`: was a key removed before max_lifetime was "
          "over, or does a replica have others?",
          unknown - unknown_keys_told_);
    if (evicted > evictions_told_ || unknown > unknown_keys_told_) told_at_ = now;
    evictions_told_ = evicted;
    unknown_keys_told_ = unknown;
  }
  house_timer_.expires_after(std::chrono::seconds(1));
  house_timer_.async_wait([this](const error_code& ec) {
    if (!ec) keep_house();
  });
}

int Server::run() {
  await_signal();
  keep_house();
  loop_.ctx.run();
  for (auto& worker : workers_) worker->join();
  spdlog::info("stopped");
  return 0;
}

void Server::publish(const std::shared_ptr<const Snapshot>& snapshot) {
  for (auto& worker : workers_) worker->publish(snapshot);
}

void Server::await_signal() {
  signals_.async_wait([this](const error_code& ec, int signal) {
    if (ec) return;
    await_signal();  // first: a stop may cancel it in the same call
    on_signal(signal);
  });
}

void Server::on_signal(int signal) {
  if (signal == SIGHUP) {
    if (phase_ == Phase::serving) reload();
    return;
  }
  switch (phase_) {
    case Phase::serving:
      begin_stop();
      break;
    case Phase::delaying:
    case Phase::finishing:
      spdlog::warn("second signal: stopping at once");
      stop_accepting();
      watch_end(clock_.steady_now());
      break;
    case Phase::aborting:
      break;
  }
}

/// A file that is wrong changes nothing and says why; a good one replaces the snapshot.
void Server::reload() {
  if (access_writer_ && !access_writer_->reopen())
    spdlog::error("the access log cannot be opened again; the old file stays in use");
  if (!refresh_log(config_.log)) spdlog::error("the log cannot be opened again; the old file stays in use");
  auto loaded = config::load_file(file_, affinity_kinds());
  if (const auto* errors = std::get_if<config::LoadError>(&loaded)) {
    for (const auto& line : errors->lines) spdlog::error("{}", line);
    spdlog::error("reload refused: nothing was changed");
    return;
  }
  auto& fresh = std::get<config::Config>(loaded);
  const bool same_sockets =
      std::equal(fresh.listeners.begin(), fresh.listeners.end(), config_.listeners.begin(),
                 config_.listeners.end(), [](const auto& a, const auto& b) {
                   return a.bind == b.bind && a.limits.connections == b.limits.connections &&
                          a.per_client.connections == b.per_client.connections &&
                          a.per_client.requests_per_second == b.per_client.requests_per_second &&
                          a.per_client.burst == b.per_client.burst;
                 });
  const bool same_log = fresh.log.access_format == config_.log.access_format &&
                        fresh.log.access_output == config_.log.access_output &&
                        fresh.log.output == config_.log.output && fresh.log.format == config_.log.format;
  if (!same_sockets || !same_log || fresh.store.capacity != config_.store.capacity ||
      fresh.workers != config_.workers || fresh.admin.bind != config_.admin.bind ||
      fresh.admin.token != config_.admin.token) {
    spdlog::error(
        "reload refused: listeners' addresses and limits, workers, admin, store.capacity and log (but its "
        "level) need a "
        "restart; "
        "nothing was changed");
    return;
  }
  try {
    const auto built = builder_.build(fresh, load_keys(fresh));
    checker_.configure(built->pools);
    ejector_.retain([&](const Backend* backend) {
      return std::any_of(built->pools.begin(), built->pools.end(), [&](const auto& pool) {
        const auto& members = pool->snapshot->members;
        return std::any_of(members.begin(), members.end(),
                           [&](const Member& m) { return m.backend.get() == backend; });
      });
    });
    republish();
    config_ = std::move(fresh);
    refresh_log(config_.log);  // its level may have changed
    spdlog::info("reloaded {}", file_);
  } catch (const std::exception& e) {
    spdlog::error("{}", e.what());
    spdlog::error("reload refused: nothing was changed");
  }
}

void Server::begin_stop() {
  phase_ = Phase::delaying;
  if (status_) status_->set_ready(false);
  if (config_.shutdown_delay == milliseconds(0)) return stop_accepting();
  spdlog::info("not ready any more; accepting for another {} ms", config_.shutdown_delay.count());
  timer_.expires_after(config_.shutdown_delay);
  timer_.async_wait([this](const error_code& ec) {
    if (!ec && phase_ == Phase::delaying) stop_accepting();
  });
}

void Server::stop_accepting() {
  if (phase_ == Phase::finishing) return;
  phase_ = Phase::finishing;
  spdlog::info("stopping: finishing what runs, for at most {} ms", config_.shutdown_grace.count());
  for (auto& worker : workers_) worker->stop();
  watch_end(clock_.steady_now() + config_.shutdown_grace);
}

void Server::watch_end(Clock::Steady give_up) {
  if (phase_ != Phase::aborting && clock_.steady_now() >= give_up) {
    phase_ = Phase::aborting;
    for (auto& worker : workers_) worker->abort();
  }
  if (std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->finished(); })) {
    checker_.stop();
    if (status_) status_->stop();
    signals_.cancel();
    timer_.cancel();
    house_timer_.cancel();
    return_timer_.cancel();
    loop_.wheel.stop();
    return;
  }
  timer_.expires_after(milliseconds(20));
  timer_.async_wait([this, give_up](const error_code& ec) {
    if (!ec) watch_end(give_up);
  });
}

}  // namespace remora
