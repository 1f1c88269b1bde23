// Finds backends through DNS: looks names up again when their records expire, and turns answers into backends
// or addresses.
//
// There is at most one lookup per name in flight. The next one is due after the records' TTL or `refresh`,
// whichever is longer; after a failure, after `refresh` or one second, whichever is longer. It is done early
// if the system's resolver files change, or if a backend is unreachable or out of service and so may have a
// new address. A failed lookup keeps the last addresses. Backends of addresses that disappear keep draining
// for `hold`.
//
//   due --ask--> asking --answer--> waiting until `next` --> due
//
// Threading: the loop's thread. Lifetime: everything passed in must outlive it; call stop() before the loop
// finishes.
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "admin/events.h"
#include "net/hosts_file.h"
#include "server/alarm.h"
#include "server/builder.h"
#include "server/name_lookup.h"
#include "server/watched_name.h"

namespace remora {

class Discovery {
 public:
  struct Reports {
    /// config_for() has changed: build and activate it now. Ignored before the first snapshot.
    std::function<void()> changed;
    /// Same, but must be deferred until the current call is over: it may be part of activating a snapshot.
    std::function<void()> changed_within;
    /// A backend's name resolved to other addresses, so failures seen in live traffic no longer count.
    std::function<void(const std::shared_ptr<Backend>&)> moved;
  };
  struct Surroundings {
    const Clock& clock;
    NameLookup& names;
    const SnapshotBuilder& builder;  // provides the active snapshot
    EventHub& events;
  };
  Discovery(Surroundings around, std::unique_ptr<Alarm> alarm, Reports reports, NameFiles files = {});

  /// Watches the names of `config` and looks all of them up. Forgets names that are no longer in it.
  void watch(const config::Config& config);
  /// Returns `config` with the known addresses applied.
  config::Config config_for(const config::Config& config) const;
  bool empty() const noexcept { return names_.empty(); }
  /// True if a lookup is in flight.
  bool busy() const;
  /// Logs each name that has not been answered yet.
  void warn_of_unanswered() const;

  /// Starts lookups that are due, and sets the timer for the next ones.
  void look_up_due();
  /// Starts lookups early where that may help. Call every second.
  void look_up_early();
  /// Reports that connecting to this backend fails: its name may have a new address.
  void backend_lost(const Backend& backend);
  /// Forgets disappeared addresses whose backends are down: no session can be continued there.
  void drop_dead_leavers();
  /// Says why a backend has no address. Empty if it has one, or does not follow a name.
  std::string note(const Backend& backend) const;

  /// The last answers, to hand over in a hot restart. Call adopt() before watch().
  boost::json::object state() const;
  void adopt(const boost::json::value& state);
  /// Starts no more lookups.
  void stop();

 private:
  void ask(const std::string& key, WatchedName& watched);
  void answered(const std::string& key, const DnsAnswer& answer);
  void log_failure(WatchedName& watched, const DnsAnswer& answer);
  bool take_over(WatchedName& watched, const DnsAnswer& answer);
  void forgive_followers(const WatchedName& watched);
  void adopt_answer(const std::string& key, WatchedName& watched);
  bool is_out(const WatchedName& watched) const;
  bool is_dead_leaver(const std::string& pool, const std::string& ip, std::uint16_t port) const;
  std::array<FileStamp, 2> stamps() const;
  void await_next();

  const Surroundings around_;
  const std::unique_ptr<Alarm> alarm_;
  const Reports reports_;
  const NameFiles files_;
  WatchedNames names_;
  std::array<FileStamp, 2> file_stamps_{};                   // the files' stamps at the last check
  std::map<std::string, std::vector<DnsRecord>> inherited_;  // from the previous process, until watched
  bool stopped_ = false;
};

}  // namespace remora
