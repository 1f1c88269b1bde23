#include "server/server.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "admin/local_socket.h"
#include "config/loader.h"
#include "server/exposed.h"
#include "server/systemd.h"
#include "session/stores.h"
#include "util/cpus.h"
#include "version.h"

namespace remora {

using std::chrono::milliseconds;

Server::Server(config::Config config, std::string file, std::vector<std::string> arguments)
    : config_(std::move(config)),
      file_(std::move(file)),
      arguments_(std::move(arguments)),
      started_(clock_.steady_now()),
      worker_count_(config_.workers.value_or(usable_cpus())),
      memory_(std::make_shared<SessionMemory>(config_.store)),
      census_(*memory_),
      events_(loop_.ctx.get_executor()),
      builder_(worker_count_),
      overrides_(config_.state_dir),
      checker_(
          loop_,
          [this](const std::shared_ptr<Backend>& b, Health state, const std::string& why) {
            flipped(b, state, why);
          },
          [this](const std::shared_ptr<Backend>& b) {
            for (auto& worker : workers_) worker->settled(b);
          }),
      names_(loop_.ctx, config_.dns_servers),
      keys_(clock_, names_, fetch_over(loop_), make_alarm(loop_),
            [this](const std::string& url, std::shared_ptr<const JwtKeySet> keys) {
              builder_.set_fetched_keys(url, std::move(keys));
              rebuild();
            }),
      signals_(loop_.ctx.get_executor()),
      timer_(loop_.ctx.get_executor()),
      house_timer_(loop_.ctx.get_executor()),
      return_timer_(loop_.ctx.get_executor()),
      dns_timer_(loop_.ctx.get_executor()),
      succession_timer_(loop_.ctx.get_executor()) {
  ::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {  // as many descriptors as we are allowed
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  if (config_.log.access_format != config::AccessFormat::off)
    access_writer_ = std::make_unique<LogWriter>(config_.log.access_output);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) signals_.add(s);
  std::string trouble;
  overrides_.load(trouble);
  if (!trouble.empty()) spdlog::error("{}", trouble);
  for (const std::string& doubt : config::doubts(config_)) spdlog::warn("{}", doubt);
  inherit();
  overrides_.follow(config_);
  await_first_answers();
  const auto keys = load_keys(config_);
  for (const std::string& line : exposed_secrets(config_)) spdlog::warn("{}", line);
  builder_.commit(builder_.build(with_discovered(config_), keys));
  checker_.configure(builder_.last()->pools);
  builder_.with_status(checker_, ejector_, overrides_, now());
  const auto opened = open_new(*builder_.last());  // what fails before this is one line and nothing else
  std::error_code ec;
  spdlog::info("remora {} starts with {}", version, std::filesystem::absolute(file_, ec).string());
  if (config_.admin.bind) {
    const int fd = inherited_ ? inherited_->take_admin(*config_.admin.bind) : -1;
    admin_ = std::make_unique<AdminServer>(loop_, config_.admin, fd, actions());
    spdlog::info("admin on {}", bound_address(admin_->fd(), *config_.admin.bind));
  }
  // The process before still has it open when this one takes over; anybody else's is found out before threads
  // run that would have to be ended first.
  if (config_.session_api && !(inherited_ && inherited_->from_process()))
    ::close(open_local_socket(config_.session_api->bind, config_.session_api->access, "session_api"));
  start_workers();
  if (config_.session_api) open_session_server();
  listen(opened);
  await_return();
  await_dns();
  adopted_backends_.clear();
  if (inherited_) inherited_->close_unused();
}

Server::~Server() {
  for (auto& worker : workers_) worker->abort();
  for (auto& worker : workers_) worker->join();
}

void Server::start_workers() {
  if (config_.store.tls) {
    std::string why;
    store_tls_ = ClientTls::load(*config_.store.tls, why);
    if (!store_tls_) throw std::runtime_error("store.redis.tls: " + why);
  }
  for (unsigned w = 0; w < worker_count_; ++w) {
    workers_.push_back(std::make_unique<Worker>(
        w, clock_, AccessLog(config_.log.access_format, access_writer_.get()), memory_));
    workers_.back()->open_store(config_.store, config_.dns_servers, store_tls_);
    Worker::Reports reports;
    reports.failures = [this](const std::shared_ptr<Backend>& backend, Ejected how) {
      asio::post(loop_.ctx, [this, backend, how] { eject(backend, how); });
    };
    reports.lost = [this](const std::shared_ptr<Backend>& backend) {
      asio::post(loop_.ctx, [this, backend] { look_for(*backend); });
    };
    reports.unknown_key = [this](const std::string& url) {
      asio::post(loop_.ctx, [this, url] { keys_.unknown_key(url); });
    };
    reports.doubt = [this](const std::shared_ptr<Backend>& backend, milliseconds within) {
      asio::post(loop_.ctx, [this, backend, within] { checker_.look_into(backend, within); });
    };
    workers_.back()->start(builder_.last(), std::move(reports));
  }
}

void Server::open_session_server() {
  const auto make = [this](Loop& loop, const Clock& clock) {
    return make_store(loop, clock, config_.store, config_.dns_servers, store_tls_, memory_->values,
                      static_cast<std::uint64_t>(clock.wall_now().time_since_epoch().count()));
  };
  session_server_ =
      std::make_unique<SessionServer>(*config_.session_api, config_.store, make, clock_, builder_.last());
  spdlog::info("session API on {}", bound_address(session_server_->fd(), config_.session_api->bind));
}

/// Tables lose what has expired; what the request path only counts is said.
void Server::keep_house() {
  house_timer_.expires_after(std::chrono::seconds(1));  // first: what follows may find no memory
  house_timer_.async_wait([this](const error_code& ec) {
    if (!ec) keep_house();
  });
  if (stumbled_) catch_up();
  const Clock::Steady at = clock_.steady_now();
  constexpr std::chrono::seconds sweep_every{60}, tell_every{30};
  if (at - swept_at_ >= sweep_every) {
    swept_at_ = at;
    memory_->sweep(now());
  }
  if (at - told_at_ >= tell_every) warn_of_losses();
  if (config_.store.shared()) watch_store();
  hurry_names();
}

/// An event of this thread was dropped in its middle: what it would have set going is set going now.
void Server::catch_up() {
  for (const auto& pool : builder_.last()->pools)
    for (const Member& m : pool->snapshot->members) m.backend->failures.judged();
  republish();
  look_up_due();
  keys_.fetch_due();
  stumbled_ = false;
}

/// One worker's view is told: each has a connection of its own, but to the same servers.
void Server::watch_store() {
  workers_.front()->ask_about_store([this](bool available, std::string trouble) {
    asio::post(loop_.ctx,
               [this, available, trouble = std::move(trouble)] { heard_of_store(available, trouble); });
  });
}

void Server::heard_of_store(bool available, const std::string& trouble) {
  memory_->store.available = available;
  const StoreState now = !available        ? StoreState::away
                         : trouble.empty() ? StoreState::fine
                                           : StoreState::partly;
  // Why it is away may show only after it was found to be (who refuses what, say): told too, ever more
  // seldom.
  constexpr std::chrono::seconds at_first{1}, longest{60};
  const Clock::Steady at = clock_.steady_now();
  const bool same = std::exchange(store_state_, now) == now;
  if (same && (trouble.empty() || trouble == store_trouble_ || at < store_silent_until_)) return;
  store_patience_ = same ? std::min(store_patience_ * 2, longest) : at_first;
  store_trouble_ = trouble;
  store_silent_until_ = at + store_patience_;
  if (now == StoreState::away)
    spdlog::warn("the store cannot be reached; sessions go on without it, and it is told when it is back: {}",
                 trouble);
  else if (now == StoreState::partly)
    spdlog::warn("a part of the store cannot be reached: {}", trouble);
  else
    spdlog::info("the store answers");
  events_.emit("store", {{"available", available}, {"trouble", trouble}}, clock_.wall_now());
}

void Server::warn_of_losses() {
  const std::uint64_t evicted = memory_->evicted(), unknown = builder_.refused(Cause::unknown_key);
  if (evicted > evictions_told_)
    spdlog::warn("the session table is full: {} sessions were evicted; raise store.capacity ({})",
                 evicted - evictions_told_, config_.store.capacity);
  if (unknown > unknown_keys_told_)
    spdlog::warn(
        "{} tokens were sealed with a key that is not in `keys`: was a key removed before max_lifetime was "
        "over, or does a replica have others?",
        unknown - unknown_keys_told_);
  if (evicted > evictions_told_ || unknown > unknown_keys_told_) told_at_ = clock_.steady_now();
  evictions_told_ = evicted;
  unknown_keys_told_ = unknown;
}

int Server::run() {
  await_signal();
  keep_house();
  if (inherited_) inherited_->report_ready(loop_);  // the process before may go
  notify_systemd("READY=1\nMAINPID=" + std::to_string(::getpid()));
  run_to_end(loop_.ctx, "control thread", [this] { stumbled_ = true; });
  for (auto& worker : workers_) worker->join();
  spdlog::info("stopped");
  return 0;
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
    reload();
    return;
  }
  if (signal == SIGUSR2) {
    upgrade();
    return;
  }
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
  spdlog::info("not ready any more; accepting for another {} ms", config_.shutdown_delay.count());
  for (auto& worker : workers_) worker->leave();
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
    close_down();
    return;
  }
  timer_.expires_after(milliseconds(20));
  timer_.async_wait([this, give_up](const error_code& ec) {
    if (!ec) watch_end(give_up);
  });
}

/// Nothing is served any more: the loop runs dry.
void Server::close_down() {
  keys_.stop();
  checker_.stop();
  events_.close();
  admin_.reset();
  session_server_.reset();
  names_.close();
  if (inherited_) inherited_->stop();
  if (child_) child_->send_changes();
  child_.reset();
  signals_.cancel();
  for (Timer* t : {&timer_, &house_timer_, &return_timer_, &dns_timer_, &succession_timer_}) t->cancel();
  loop_.wheel.stop();
}

}  // namespace remora
