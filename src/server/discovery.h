// Backends from DNS: names are asked again as their records expire, and answers become backends or addresses.
//
// One lookup a name is in flight at most. The next is due after the records' time to live or `refresh`,
// whichever is longer; after a failure, after `refresh` or a second. It comes early when the system's name
// files change, or when a backend that follows the name is out of service: it may be back at another address.
// A failed lookup keeps the last addresses. Addresses that vanish are kept, leaving, for `hold`.
//
//   due --ask--> asking --answer--> waiting until `next` --> due
//
// Threading: the loop's thread. Lifetime: what it is given outlives it; stop() before the loop runs out.
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
    /// The same, but after the call that is running: it may be within the activation of a snapshot.
    std::function<void()> changed_within;
    /// A backend follows its name to other addresses: what live traffic showed was of the old one.
    std::function<void(const std::shared_ptr<Backend>&)> moved;
  };
  struct Surroundings {
    const Clock& clock;
    NameLookup& names;
    const SnapshotBuilder& builder;  // for the active snapshot
    EventHub& events;
  };
  Discovery(Surroundings around, std::unique_ptr<Alarm> alarm, Reports reports, NameFiles files = {});

  /// Watches the names of a configuration, forgets those that it lacks, and asks for all of them.
  void watch(const config::Config& config);
  /// `config` with what is known of its names.
  config::Config config_for(const config::Config& config) const;
  bool empty() const noexcept { return names_.empty(); }
  /// Some lookup is in flight.
  bool busy() const;
  /// Logs each name that has no answer yet.
  void warn_of_unanswered() const;

  /// Asks for what is due, and sets the timer for what will be.
  void look_up_due();
  /// Asks early where that helps; to be called every second.
  void look_up_early();
  /// No connection to this backend can be made: its name may lead elsewhere by now.
  void backend_lost(const Backend& backend);
  /// Forgets addresses that have vanished and whose backends are down: they have no sessions to keep.
  void drop_dead_leavers();
  /// Why a backend has no address; empty: it has one, or follows no name.
  std::string note(const Backend& backend) const;

  /// The last answers, for the next process, and from the previous one: before watch().
  boost::json::object state() const;
  void adopt(const boost::json::value& state);
  /// Nothing is asked any more.
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
  std::array<FileStamp, 2> file_stamps_{};                   // as they were when names were last asked for
  std::map<std::string, std::vector<DnsRecord>> inherited_;  // answers of the previous process, until watched
  bool stopped_ = false;
};

}  // namespace remora
