// The status of backends: what probes saw, what live traffic showed and what operators set, brought together
// in one snapshot and published whenever one of them changes or a time of theirs has come.
//
//   probe flips | streak of failures | operator | timer --> SnapshotBuilder::with_status --> publish
//
// The timer is for the end of an ejection, the steps of a slow start and a drain's deadline.
// Threading: the loop's thread. Lifetime: what it is given outlives it; stop() before the loop runs out.
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
    /// The builder's last snapshot is a new one.
    std::function<void()> publish;
    /// A doubt about this backend was looked into; after the publication that came of it.
    std::function<void(const std::shared_ptr<Backend>&)> settled;
    /// Some backend went down; after its publication.
    std::function<void()> went_down;
  };
  struct Surroundings {
    Loop& loop;
    const Clock& clock;
    SnapshotBuilder& builder;
    EventHub& events;
  };
  /// `state_dir`: where what operators set is kept; empty: nowhere.
  BackendStatus(Surroundings around, std::string state_dir, std::unique_ptr<Alarm> alarm, Reports reports);

  /// Reads what operators set before the last restart. A file that cannot be used is logged.
  void load_overrides();
  /// Drops what the file has overtaken. `config`: the active one from now on.
  void follow(const config::Config& config);
  /// The builder has its first snapshot: probing begins. Publishes nothing.
  void begin();
  /// The builder has committed another snapshot: probes and ejections follow it. republish() next.
  void configure();
  void republish();
  void stop();

  /// Live traffic showed that a backend fails. `may_eject`: else the report is only taken off its hands.
  void failures_reported(const std::shared_ptr<Backend>& backend, Ejected how, bool may_eject);
  /// All reports of failures count as judged: some may have been lost.
  void judge_all();
  /// It has other addresses: what live traffic showed was of the old ones.
  void forgive(const std::shared_ptr<Backend>& backend);
  void look_into(const std::shared_ptr<Backend>& backend, std::chrono::milliseconds within);

  /// What an operator wants. Returns why it cannot be; empty: done.
  std::string set_admin(const std::string& pool, const std::string& backend, config::AdminState admin,
                        std::optional<std::chrono::milliseconds> limit);
  /// Until when a drain may last; nothing: for ever.
  std::optional<Clock::Wall> deadline(const std::string& pool, const std::string& backend) const;

  Health health(const Backend& backend) const { return checker_.state(backend); }
  /// What the last probe said that was not "passed".
  std::string note(const Backend& backend) const { return checker_.note(backend); }

  // For a hot restart. Adopted before begin().
  void adopt_health(const std::string& pool, const std::string& id, Health health) {
    checker_.adopt(pool, id, health);
  }
  std::string overrides_text() const { return overrides_.to_text(); }
  void adopt_overrides(const std::string& text) { overrides_.from_text(text); }

 private:
  Moment now() const { return {around_.clock.steady_now(), around_.clock.wall_now()}; }
  void refresh(Moment at) { around_.builder.with_status(checker_, ejector_, overrides_, at); }
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
  Clock::Wall deadlines_seen_;  // those before it have been announced
};

}  // namespace remora
