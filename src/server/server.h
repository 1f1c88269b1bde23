// The daemon: starts, reloads, probes, stops. Its thread is the control thread.
//
// server.cpp: life; facts.cpp: what is known of backends, published; reload.cpp: another file, other
// listeners; actions.cpp: what operators ask for; discovery.cpp: backends from DNS; succession.cpp: another
// binary takes over.
#pragma once

#include <array>
#include <boost/asio/signal_set.hpp>
#include <memory>
#include <string>
#include <vector>

#include "admin/admin_server.h"
#include "admin/session_server.h"
#include "health/checker.h"
#include "observe/log_writer.h"
#include "pool/discovered.h"
#include "server/admin_overrides.h"
#include "server/builder.h"
#include "server/child_process.h"
#include "server/inherited_state.h"
#include "server/key_fetcher.h"
#include "server/name_lookup.h"
#include "server/worker.h"

namespace remora {

class Server final : private AdminActions {
 public:
  /// Opens everything or throws std::runtime_error with one clear line per problem. `file` is read again on
  /// SIGHUP. `arguments`: of this process, for the binary that takes over.
  Server(config::Config config, std::string file, std::vector<std::string> arguments = {});
  ~Server() override;
  /// Serves until SIGTERM or SIGINT and everything has ended. Returns the exit code.
  int run();

 private:
  using Timer = EventHub::Timer;
  struct OpenListener {
    std::size_t slot = 0;
    config::Address bind;
    std::vector<int> fds;  // the workers'; here only to be handed over
  };

  // Life.
  void await_signal();
  void on_signal(int signal);
  void begin_stop();
  void stop_accepting();
  void watch_end(Clock::Steady give_up);
  void keep_house();
  void catch_up();
  void open_session_server();
  void watch_store();
  void heard_of_store(bool available, const std::string& trouble);
  void warn_of_losses();
  void close_down();

  // Facts.
  void republish();
  void announce_passed_deadlines(Clock::Wall until);
  void flipped(const std::shared_ptr<Backend>& backend, Health now, const std::string& why);
  void eject(const std::shared_ptr<Backend>& backend, Ejected how);
  void await_return();
  void publish();

  // Reload.
  std::vector<std::string> fixed_for_life(const config::Config& fresh) const;
  void install(const config::Config& fresh);
  void put_in_force(const std::shared_ptr<const Snapshot>& built);
  std::vector<OpenListener> open_new(const Snapshot& built);
  bool stays_open(const Snapshot& built, std::size_t slot) const;
  std::vector<int> descriptors_for(const config::Listener& listener);
  void listen(const std::vector<OpenListener>& opened);
  void retire_gone(const Snapshot& built);
  void start_workers();

  // Discovery.
  struct Watched {  // a name that stands for backends, or for the address of one
    std::string pool, name;
    std::vector<std::string> ids;  // of the backends that follow it; empty: its addresses are backends
    config::Discovery rules;
    std::vector<DnsRecord> records;  // what is known, of both families
    DiscoveredSet set;               // what the pool makes of it, unless backends follow it
    Clock::Steady next{}, asked{};   // when it is asked again, and was last
    bool asking = false, answered = false;
    std::string trouble;  // of the last question; said once
    bool follows() const noexcept { return !ids.empty(); }
  };
  void discover();
  void ask_dns(const std::string& key);
  void await_first_answers();
  void heard(const std::string& key, const DnsAnswer& answer);
  void note_trouble(Watched& w, const DnsAnswer& answer);
  bool take_over(Watched& w, const DnsAnswer& answer);
  void moved(const Watched& w);
  void look_for(const Backend& backend);
  void hurry_names();
  bool is_out(const Watched& w) const;
  void await_dns();
  void look_up_due();
  void rebuild();
  config::Config with_discovered(const config::Config& config) const;
  static config::Backend at_addresses(const config::Backend& entry, const std::vector<DnsRecord>& records);
  config::Backend where_it_was(const std::string& pool, const config::Backend& entry) const;
  void drop_dead_leavers();
  boost::json::object discovered_state() const;
  void inherit_discovered(const boost::json::value& state);

  // Succession.
  void upgrade();
  void hand_over();
  void check_successor();
  void inherit();
  std::string state_text() const;

  // AdminActions.
  AdminActions& actions() noexcept { return *this; }
  const Snapshot& snapshot() const override { return *builder_.last(); }
  const config::Config& config() const override { return config_; }
  SessionMemory& memory() override { return *memory_; }
  SessionCensus& census() override { return census_; }
  EventHub& events() override { return events_; }
  Moment now() const override { return {clock_.steady_now(), clock_.wall_now()}; }
  Clock::Steady started() const override { return started_; }
  CryptoScratch& scratch() override { return scratch_; }
  bool ready() const override { return phase_ == Phase::serving; }
  std::optional<Clock::Wall> deadline(const std::string& pool, const std::string& backend) const override;
  std::string health_note(const Backend& backend) const override;
  std::string set_admin(const std::string& pool, const std::string& backend, config::AdminWish wish,
                        std::optional<std::chrono::milliseconds> deadline) override;
  std::vector<std::string> reload() override;
  void announce(const Backend& backend, boost::json::object what);

  config::Config config_;  // as written; what DNS adds stands in the snapshot
  const std::string file_;
  const std::vector<std::string> arguments_;
  SystemClock clock_;
  Clock::Steady started_;
  Loop loop_;
  std::unique_ptr<LogWriter> access_writer_;
  const unsigned worker_count_;
  std::shared_ptr<SessionMemory> memory_;
  SessionCensus census_;
  EventHub events_;
  CryptoScratch scratch_;
  SnapshotBuilder builder_;
  AdminOverrides overrides_;
  HealthChecker checker_;
  Ejector ejector_;
  SharedResolver names_;
  KeyFetcher keys_;
  std::map<std::string, std::vector<DnsRecord>> inherited_answers_;  // until the names are watched
  std::map<std::string, Watched> watched_;                           // by pool and entry
  std::array<FileStamp, 2> name_files_{};                   // as they were when names were last asked for
  std::unique_ptr<InheritedState> inherited_;               // what the process before, or systemd, gave
  std::vector<std::shared_ptr<Backend>> adopted_backends_;  // until the first snapshot has them
  Clock::Steady upgrade_until_{};
  std::unique_ptr<ChildProcess> child_;  // while another binary starts
  std::vector<OpenListener> listeners_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::shared_ptr<const ClientTls> store_tls_;  // null: the store is spoken to in the clear
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<SessionServer> session_server_;
  asio::basic_signal_set<Executor> signals_;
  Timer timer_;
  Timer house_timer_, return_timer_, dns_timer_, succession_timer_;
  bool stumbled_ = false;  // an event of the loop was dropped
  enum class StoreState : std::uint8_t { fine, partly, away } store_state_ = StoreState::fine;
  std::string store_trouble_;  // as last told
  std::chrono::seconds store_patience_{1};
  Clock::Steady store_silent_until_{};
  std::uint64_t evictions_told_ = 0, unknown_keys_told_ = 0;
  Clock::Steady swept_at_{}, told_at_{};
  Clock::Wall deadlines_seen_ = clock_.wall_now();
  enum class Phase : std::uint8_t {
    serving,
    delaying,
    handed_over,
    finishing,
    aborting
  } phase_ = Phase::serving;
};

}  // namespace remora
