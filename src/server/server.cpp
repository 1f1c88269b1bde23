#include "server/server.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "admin/local_socket.h"
#include "config/loader.h"
#include "pool/permit.h"
#include "server/exposed.h"
#include "server/restart_state.h"
#include "server/systemd.h"
#include "session/stores.h"
#include "util/cpus.h"
#include "version.h"

namespace remora {

using std::chrono::milliseconds;

namespace {

std::unique_ptr<LogWriter> open_access_log(const config::Log& log) {
  if (log.access_format == config::AccessFormat::off) return nullptr;
  return std::make_unique<LogWriter>(log.access_output);
}

/// Raises the descriptor limit as far as allowed, and ignores SIGPIPE and SIGXFSZ: writing to a closed socket
/// or beyond a limit on the size of files is then an error of that call, not a signal.
void prepare_process() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

Server::Server(config::Config config, std::string file, std::vector<std::string> arguments)
    : config_(std::move(config)),
      started_(clock_.steady_now()),
      access_writer_(open_access_log(config_.log)),
      worker_count_(config_.workers.value_or(usable_cpus())),
      memory_(std::make_shared<SessionMemory>(config_.store)),
      session_counter_(*memory_, clock_),
      events_(loop_.ctx.get_executor()),
      builder_(worker_count_),
      names_(loop_.ctx, config_.dns_servers),
      status_({loop_, clock_, builder_, events_}, config_.state_dir, make_alarm(loop_), status_reports()),
      discovery_({clock_, names_, builder_, events_}, make_alarm(loop_), discovery_reports()),
      keys_(clock_, names_, fetch_over(loop_), make_alarm(loop_),
            [this](const std::string& url, std::shared_ptr<const JwtKeySet> keys) {
              builder_.set_fetched_keys(url, std::move(keys));
              rebuild();
            }),
      store_watch_(clock_, *memory_, events_),
      housekeeping_(clock_, {*memory_, config_.store.capacity}, make_alarm(loop_), housekeeping_tasks()),
      hot_restart_(clock_, *memory_, std::move(arguments), make_alarm(loop_), hot_restart_hooks()),
      listeners_(builder_, worker_count_, listener_hooks()),
      reload_(file, {config_, access_writer_.get(), events_, clock_},
              {[this] { return phase_ == Phase::serving && !hot_restart_.under_way(); },
               [this](const config::Config& fresh) { install(fresh); }}),
      signals_(loop_.ctx.get_executor()),
      alarm_(make_alarm(loop_)) {
  prepare_process();
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) signals_.add(s);
  status_.load_overrides();
  for (const std::string& warning : config::warnings(config_)) spdlog::warn("{}", warning);
  inherited_ = InheritedState::receive(*memory_, clock_);
  std::vector<std::shared_ptr<Backend>> adopted_backends;  // keeps them until the first snapshot does
  if (inherited_) adopted_backends = adopt_restart_state(inherited_->state(), builder_, status_, discovery_);
  status_.follow(config_);
  await_first_answers();
  const auto keys = load_keys(config_);
  for (const std::string& line : exposed_secrets(config_)) spdlog::warn("{}", line);
  open_session_log(keys);
  builder_.commit(builder_.build(discovery_.config_for(config_), keys));
  status_.begin();
  auto opened = listeners_.open_new(*builder_.last());  // failures up to here print one line and nothing else
  std::error_code ec;
  spdlog::info("remora {} starts with {}", version, std::filesystem::absolute(file, ec).string());
  if (config_.admin.bind) {
    UniqueFd fd = inherited_ ? inherited_->take_admin(*config_.admin.bind) : UniqueFd();
    admin_ =
        std::make_unique<AdminServer>(loop_, config_.admin, std::move(fd), static_cast<AdminActions&>(*this));
    spdlog::info("admin on {}", bound_address(admin_->fd(), *config_.admin.bind));
  }
  // In a hot restart, the previous process still has this socket open. Otherwise, detect that somebody else
  // has it now, before there are threads to stop.
  if (config_.session_api && !(inherited_ && inherited_->from_process()))
    open_local_socket(config_.session_api->bind, config_.session_api->access, "session_api").reset();
  start_session_log();
  start_workers();
  listeners_.listen(std::move(opened));
  adopted_backends.clear();
  if (inherited_) inherited_->close_unused();
}

Server::~Server() {
  for (auto& worker : workers_) worker->abort();
  for (auto& worker : workers_) worker->join();
}

/// Restores the sessions of a process that has ended, and what they are named by. Those of a process that
/// this one replaces were handed over already; it still writes the log.
void Server::open_session_log(const std::shared_ptr<const KeyRing>& keys) {
  if (!config::persists_sessions(config_)) {
    if (!config_.state_dir.empty()) SessionLog::discard(config_.state_dir);
    return;
  }
  std::shared_ptr<const KeyRing> log_keys = keys;
  if (keys->keys().empty()) {
    try {
      log_keys = keys_in(config_.state_dir);
    } catch (const std::exception& e) {
      spdlog::warn("{}: sessions will not survive this process", e.what());
      return;
    }
  }
  SessionLog::Settings settings;
  settings.folder = config_.state_dir;
  session_log_ = std::make_unique<SessionLog>(*memory_, clock_, log_keys, std::move(settings));
  if (inherited_ && inherited_->from_process()) return;
  if (!session_log_->open()) return session_log_.reset();
  std::set<std::string> pools;
  for (const config::Pool& pool : config_.pools) pools.insert(pool.name);
  SessionLog::Restored restored = session_log_->restore(pools);
  builder_.adopt_pool_numbers(std::move(restored.pool_numbers));
  builder_.adopt_index_key(restored.index_key.empty() ? default_index_key(*log_keys) : restored.index_key);
}

void Server::start_session_log() {
  if (!session_log_) return;
  SessionLog::Names names{builder_.pool_numbers(), builder_.index_key()};
  if (inherited_ && inherited_->from_process())
    session_log_->take_over(std::move(names));
  else
    session_log_->start(std::move(names));
}

/// Waits a moment for the first answers: without backends, the first requests would be refused.
void Server::await_first_answers() {
  discovery_.watch(config_);
  keys_.watch(config_.jwt);
  if (discovery_.empty() && keys_.empty()) return;
  auto guard = asio::make_work_guard(loop_.ctx);
  const Clock::Steady limit = clock_.steady_now() + std::chrono::seconds(3);
  while ((keys_.busy() || discovery_.busy()) && clock_.steady_now() < limit) loop_.ctx.run_one_until(limit);
  guard.reset();
  loop_.ctx.restart();  // it may have run out of work, and will run again
  discovery_.warn_of_unanswered();
}

void Server::start_workers() {
  std::shared_ptr<const ClientTls> store_tls;  // null: the store connection is not encrypted
  if (config_.store.tls) {
    std::string why;
    store_tls = ClientTls::load(*config_.store.tls, why);
    if (!store_tls) throw std::runtime_error("store.redis.tls: " + why);
  }
  for (unsigned w = 0; w < worker_count_; ++w) {
    workers_.push_back(std::make_unique<Worker>(
        w, clock_, AccessLog(config_.log.access_format, access_writer_.get()), memory_));
    workers_.back()->open_store(config_.store, config_.dns_servers, store_tls);
    workers_.back()->start(builder_.last(), worker_reports());
  }
  if (config_.session_api) open_session_server(store_tls);
}

void Server::open_session_server(std::shared_ptr<const ClientTls> store_tls) {
  const auto make = [this, store_tls = std::move(store_tls)](Loop& loop, const Clock& clock) {
    return make_store(loop, clock, config_.store, config_.dns_servers, store_tls, memory_->values,
                      static_cast<std::uint64_t>(clock.wall_now().time_since_epoch().count()));
  };
  session_server_ =
      std::make_unique<SessionServer>(*config_.session_api, config_.store, make, clock_, builder_.last());
  spdlog::info("session API on {}", bound_address(session_server_->fd(), config_.session_api->bind));
}

int Server::run() {
  await_signal();
  housekeeping_.start();
  // First: systemd takes the service for ended if the main process that it knows ends.
  notify_systemd("READY=1\nMAINPID=" + std::to_string(::getpid()));
  if (inherited_) inherited_->report_ready(loop_);  // lets the previous process go
  run_to_end(loop_, "control thread", [this] { housekeeping_.on_exception(); });
  for (auto& worker : workers_) worker->join();
  session_log_.reset();
  spdlog::info("stopped");
  return 0;
}

void Server::await_signal() {
  signals_.async_wait([this](const error_code& ec, int signal) {
    if (ec) return;
    await_signal();  // first, because a stop may cancel it within on_signal()
    on_signal(signal);
  });
}

void Server::on_signal(int signal) {
  if (signal == SIGHUP) {
    reload();
    return;
  }
  if (signal == SIGUSR2) return hot_restart_.start();
  switch (phase_) {
    case Phase::serving:
      begin_stop();
      break;
    case Phase::handed_over:
      stop_accepting();
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

void Server::begin_stop() {
  phase_ = Phase::delaying;
  notify_systemd("STOPPING=1");
  if (config_.shutdown_delay == milliseconds(0)) return stop_accepting();
  spdlog::info("no longer ready; still accepting connections for {} ms", config_.shutdown_delay.count());
  for (auto& worker : workers_) worker->leave();
  alarm_->set(clock_.steady_now() + config_.shutdown_delay, [this] {
    if (phase_ == Phase::delaying) stop_accepting();
  });
}

void Server::stop_accepting() {
  if (phase_ == Phase::finishing) return;
  phase_ = Phase::finishing;
  spdlog::info("stopping: finishing requests in progress, for at most {} ms", config_.shutdown_grace.count());
  for (auto& worker : workers_) worker->stop();
  watch_end(clock_.steady_now() + config_.shutdown_grace);
}

/// The new process is serving. This one accepts nothing more and ends with its last connection. Idle
/// connections are not closed; they close after their next response.
void Server::hand_over(pid_t child) {
  phase_ = Phase::handed_over;
  if (session_log_)
    session_log_->stop();  // the new process waits for it, and hears of later changes from this one
  if (session_server_) session_server_->leave();
  spdlog::info("upgrade: process {} has taken over; finishing the remaining connections", child);
  events_.emit("upgrade", {{"pid", child}}, clock_.wall_now());
  for (auto& worker : workers_) {
    worker->hold();
    worker->leave();
    worker->end_when_empty();
  }
  events_.close();
  admin_.reset();
  watch_end(Clock::Steady::max());
}

void Server::watch_end(Clock::Steady give_up) {
  if (phase_ != Phase::aborting && clock_.steady_now() >= give_up) {
    phase_ = Phase::aborting;
    discovery_.stop();
    for (auto& worker : workers_) worker->abort();
  }
  if (std::all_of(workers_.begin(), workers_.end(), [](const auto& w) { return w->finished(); })) {
    close_down();
    return;
  }
  alarm_->set(clock_.steady_now() + milliseconds(20), [this, give_up] { watch_end(give_up); });
}

/// Stops all parts once nothing is served any more, so that the loop runs out of work.
void Server::close_down() {
  keys_.stop();
  status_.stop();
  events_.close();
  admin_.reset();
  session_server_.reset();
  discovery_.stop();
  names_.close();
  if (inherited_) inherited_->stop();
  hot_restart_.stop();
  signals_.cancel();
  housekeeping_.stop();
  alarm_->cancel();
  loop_.wheel.stop();
}

// Change --------------------------------------------------------------------------------------------

/// Does everything that can fail first. On failure throws std::runtime_error and changes nothing.
void Server::install(const config::Config& fresh) {
  const auto built = builder_.build(discovery_.config_for(fresh), load_keys(fresh));
  std::unique_ptr<AdminServer> admin;
  const bool moves_admin = fresh.admin.bind != config_.admin.bind;
  if (moves_admin && fresh.admin.bind)
    admin = std::make_unique<AdminServer>(loop_, fresh.admin, UniqueFd(), static_cast<AdminActions&>(*this));
  auto opened = listeners_.open_new(*built);

  if (!session_log_ && !config::persists_sessions(config_) && config::persists_sessions(fresh))
    spdlog::warn("sessions will survive a restart from the next restart on: no pool kept any at the start");
  const config::Config before = std::exchange(config_, fresh);
  apply_socket_access(before, config_);
  for (const std::string& line : exposed_secrets(config_)) spdlog::warn("{}", line);
  status_.follow(config_);
  activate(built);
  listeners_.listen(std::move(opened));
  listeners_.retire_gone(*built);
  if (moves_admin) {
    // The old admin server still has to send the response to the request that caused this.
    asio::post(loop_.ctx, [old = std::shared_ptr<AdminServer>(std::move(admin_))] {});
    admin_ = std::move(admin);
    if (admin_) spdlog::info("admin on {}", bound_address(admin_->fd(), *config_.admin.bind));
  }
  discovery_.watch(config_);
  keys_.watch(config_.jwt);
}

/// Rebuilds the current configuration with new addresses or keys.
void Server::rebuild() {
  if (!builder_.started()) return;  // the constructor builds the first snapshot
  std::shared_ptr<const Snapshot> built;
  try {
    built = builder_.build(discovery_.config_for(config_), load_keys(config_));
  } catch (const std::exception& e) {  // a certificate is no longer readable, say
    spdlog::error("applying new DNS addresses or key sets failed: {}; keeping the current ones", e.what());
    return;
  }
  activate(built);
}

void Server::activate(const std::shared_ptr<const Snapshot>& built) {
  builder_.commit(built);
  if (session_log_) session_log_->set_pool_numbers(builder_.pool_numbers());
  status_.configure();
  status_.republish();
  // After publishing, because admitted requests look at the snapshot.
  for (const auto& pool : builder_.last()->pools)
    for (const Member& m : pool->snapshot->members) m.backend->queue->admit(m.backend, m.max_in_flight);
}

void Server::publish() {
  for (auto& worker : workers_) worker->publish(builder_.last());
  if (session_server_) session_server_->publish(builder_.last());
}

}  // namespace remora
