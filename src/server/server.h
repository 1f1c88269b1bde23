// The daemon: starts, reloads, probes, stops. Its thread is the control thread.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <memory>
#include <string>
#include <vector>

#include "admin/status_server.h"
#include "health/checker.h"
#include "observe/log_writer.h"
#include "server/builder.h"
#include "server/worker.h"

namespace remora {

class Server {
 public:
  /// Opens everything or throws std::runtime_error with one clear line per problem. `file` is read again on
  /// SIGHUP.
  Server(config::Config config, std::string file);
  ~Server();
  /// Serves until SIGTERM or SIGINT and everything has ended. Returns the exit code.
  int run();

 private:
  void open_listeners();
  void await_signal();
  void on_signal(int signal);
  void reload();
  void begin_stop();
  void stop_accepting();
  void watch_end(Clock::Steady give_up);
  void keep_house();
  void republish();
  void eject(const std::shared_ptr<Backend>& backend, Ejected how);
  void await_return();
  void publish(const std::shared_ptr<const Snapshot>& snapshot);

  using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                           asio::wait_traits<std::chrono::steady_clock>, Executor>;

  config::Config config_;
  const std::string file_;
  SystemClock clock_;
  Loop loop_;
  std::unique_ptr<LogWriter> access_writer_;
  const unsigned worker_count_;
  std::shared_ptr<SessionMemory> memory_;
  SnapshotBuilder builder_;
  HealthChecker checker_;
  Ejector ejector_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<StatusServer> status_;
  asio::basic_signal_set<Executor> signals_;
  Timer timer_;
  Timer house_timer_, return_timer_;
  std::uint64_t evictions_told_ = 0, unknown_keys_told_ = 0;
  Clock::Steady swept_at_{}, told_at_{};
  enum class Phase : std::uint8_t { serving, delaying, finishing, aborting } phase_ = Phase::serving;
};

/// CPUs that this process may use: affinity mask and cgroup quota.
unsigned usable_cpus();

}  // namespace remora
