// The status of backends: combines probe results, failures in live traffic and operators' settings into a
// snapshot, and publishes it whenever one of them changes or a deadline is reached.
//
//   probe flips | streak of failures | operator | timer --> SnapshotBuilder::with_status --> publish
//
// The timer covers the end of an ejection, the steps of a slow start, and a drain's deadline.
// Threading: the loop's thread. Lifetime: everything passed in must outlive it; call stop() before the loop
// finishes.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "admin/events.h"
#include "health/checker.h"
#include "health/ejector.h"
#include "server/admin_overrides.h"
#include "server/alarm.h"
#include "server/builder.h"

namespace remora {

class BackendStatus {
 public:
  struct Reports {
    /// The builder's last snapshot is new and must be published.
    std::function<void()> publish;
    /// A suspected backend has been probed. Called after the resulting publication.
    std::function<void(const std::shared_ptr<Backend>&)> settled;
    /// A backend went down. Called after its publication.
    std::function<void()> went_down;
  };
  struct Surroundings {
    Loop& loop;
    const Clock& clock;
    SnapshotBuilder& builder;
    EventHub& events;
  };
  /// `state_dir`: where operators' settings are stored; empty: they are not.
  BackendStatus(Surroundings around, std::string state_dir, std::unique_ptr<Alarm> alarm, Reports reports);

  /// Loads operators' settings from before the last restart. Logs a file that cannot be used.
  void load_overrides();
  /// Drops overrides that the file has replaced. `config`: the newly active configuration.
  void follow(const config::Config& config);
  /// Starts probing. Call when the builder has its first snapshot. Publishes nothing.
  void begin();
  /// Updates probes and ejections after the builder committed a snapshot. Call republish() next.
  void configure();
  void republish();
  void stop();

  /// Handles a report of failures in live traffic. If `may_eject` is false, the report is only acknowledged.
  void failures_reported(const std::shared_ptr<Backend>& backend, Ejected how, bool may_eject);
  /// Acknowledges all failure reports, since some may have been lost.
  void judge_all();
  /// Forgets failures in live traffic: they were at the backend's old addresses.
  void forgive(const std::shared_ptr<Backend>& backend);
  /// Probes a backend at once because requests suspect it. `within`: time limit of the first of two probes.
  void look_into(const std::shared_ptr<Backend>& backend, std::chrono::milliseconds within);

  /// Sets the administrative state. Returns why that is impossible; empty on success.
  std::string set_admin(const std::string& pool, const std::string& backend, config::AdminState admin,
                        std::optional<std::chrono::milliseconds> limit);
  /// When a drain ends; nothing: it has no deadline.
  std::optional<Clock::Wall> deadline(const std::string& pool, const std::string& backend) const;

  Health health(const Backend& backend) const { return checker_.state(backend); }
  /// The result of the last probe, unless it passed.
  std::string note(const Backend& backend) const { return checker_.note(backend); }

  // For a hot restart. Call the adopt functions before begin().
  void adopt_health(const std::string& pool, const std::string& id, Health health) {
    checker_.adopt(pool, id, health);
  }
  std::string overrides_text() const { return overrides_.to_text(); }
  void adopt_overrides(const std::string& text) { overrides_.from_text(text); }

 private:
  ClockReading now() const { return {around_.clock.steady_now(), around_.clock.wall_now()}; }
  void refresh(ClockReading at) { around_.builder.with_status(checker_, ejector_, overrides_, at); }
  void flipped(const std::shared_ptr<Backend>& backend, Health now, const std::string& why);
  void eject(const std::shared_ptr<Backend>& backend, Ejected how);
  void announce_passed_deadlines(Clock::Wall until);
  void announce(const Backend& backend, boost::json::object what);
  void await_change();
  void end_ejections();

  const Surroundings around_;
  const std::unique_ptr<Alarm> alarm_;
  const Reports reports_;
  AdminOverrides overrides_;
  HealthChecker checker_;
  Ejector ejector_;
  Clock::Wall deadlines_seen_;  // deadlines up to here have been announced
};

}  // namespace remora
