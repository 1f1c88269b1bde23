// The daemon: owns and wires its parts; starts, serves and stops. Its thread is the control thread.
//
//   Discovery, KeyFetcher --changed configuration--> SnapshotBuilder --> BackendStatus --publish--> Workers
//   Reload --install--> Listeners, admin server, Discovery, KeyFetcher
//   HotRestart --the new process serves--> handed over
//
//   serving --SIGTERM--> delaying --shutdown_delay--> finishing --shutdown_grace--> aborting
//      \--hot restart--> handed_over --SIGTERM--------/
//
// No part knows the server: each one gets references and functions.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <memory>
#include <string>
#include <vector>

#include "admin/admin_server.h"
#include "admin/session_server.h"
#include "observe/log_writer.h"
#include "server/backend_status.h"
#include "server/builder.h"
#include "server/discovery.h"
#include "server/hot_restart.h"
#include "server/housekeeping.h"
#include "server/inherited_state.h"
#include "server/key_fetcher.h"
#include "server/listeners.h"
#include "server/name_lookup.h"
#include "server/reload.h"
#include "server/store_watch.h"
#include "server/worker.h"

namespace remora {

class Server final : private AdminActions {
 public:
  /// Opens everything. Throws std::runtime_error with one clear line per problem. `file` is read again on
  /// SIGHUP. `arguments`: this process's own, for starting its successor.
  Server(config::Config config, std::string file, std::vector<std::string> arguments = {});
  ~Server() override;
  /// Serves until SIGTERM, SIGINT or a hot restart, and until the last connection has ended. Returns the exit
  /// code.
  int run();

 private:
  // Wiring: what each part is given.
  BackendStatus::Reports status_reports();
  Discovery::Reports discovery_reports();
  HotRestart::Hooks hot_restart_hooks();
  Listeners::Hooks listener_hooks();
  Housekeeping::Tasks housekeeping_tasks();
  Worker::Reports worker_reports();

  // Start.
  void await_first_answers();
  void start_workers();
  void open_session_server(std::shared_ptr<const ClientTls> store_tls);

  // Running and stopping.
  void await_signal();
  void on_signal(int signal);
  void begin_stop();
  void stop_accepting();
  void watch_end(Clock::Steady give_up);
  void close_down();
  void hand_over(pid_t child);
  HotRestart::Handover handover() const;
  void every_second();

  // Change.
  void install(const config::Config& fresh);
  void rebuild();
  void activate(const std::shared_ptr<const Snapshot>& built);
  void publish();

  // AdminActions.
  const Snapshot& snapshot() const override { return *builder_.last(); }
  const config::Config& config() const override { return config_; }
  SessionMemory& memory() override { return *memory_; }
  SessionCounter& session_counter() override { return session_counter_; }
  EventHub& events() override { return events_; }
  ClockReading now() const override { return {clock_.steady_now(), clock_.wall_now()}; }
  Clock::Steady started() const override { return started_; }
  CryptoScratch& scratch() override { return scratch_; }
  bool ready() const override { return phase_ == Phase::serving; }
  std::optional<Clock::Wall> deadline(const std::string& pool, const std::string& backend) const override;
  std::string health_note(const Backend& backend) const override;
  std::string set_admin(const std::string& pool, const std::string& backend, config::AdminState admin,
                        std::optional<std::chrono::milliseconds> deadline) override;
  std::vector<std::string> reload() override { return reload_.run(); }
  void write_to_store(const StoreJob& job) override { workers_.front()->write_to_store(job); }

  config::Config config_;  // as written; addresses from DNS are only in the snapshot
  SystemClock clock_;
  const Clock::Steady started_;
  Loop loop_{clock_};
  std::unique_ptr<LogWriter> access_writer_;
  const unsigned worker_count_;
  std::shared_ptr<SessionMemory> memory_;
  SessionCounter session_counter_;
  EventHub events_;
  CryptoScratch scratch_;
  SnapshotBuilder builder_;
  SharedResolver names_;
  BackendStatus status_;
  Discovery discovery_;
  KeyFetcher keys_;
  StoreWatch store_watch_;
  Housekeeping housekeeping_;
  HotRestart hot_restart_;
  Listeners listeners_;
  Reload reload_;
  std::unique_ptr<InheritedState> inherited_;  // from the previous process, or from systemd
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<SessionServer> session_server_;
  asio::basic_signal_set<Executor> signals_;
  const std::unique_ptr<Alarm> alarm_;  // for stopping
  enum class Phase : std::uint8_t {
    serving,
    delaying,
    handed_over,
    finishing,
    aborting
  } phase_ = Phase::serving;
};

}  // namespace remora
