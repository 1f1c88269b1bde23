// Reload (SIGHUP, POST /api/v1/reload): reads and checks a configuration, and installs it only if it is
// valid. Otherwise nothing changes and the errors are reported. Log files are reopened in either case.
//
// Threading: control thread. Lifetime: everything passed in must outlive it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "admin/events.h"
#include "observe/log_writer.h"
#include "remora/clock.h"
#include "remora/config.h"

namespace remora {

/// Settings that need a restart to change, one line each, starting with `file`. Pure.
std::vector<std::string> restart_required_for(const config::Config& active, const config::Config& fresh,
                                              const std::string& file);

class Reload {
 public:
  struct Hooks {
    /// True if this process is serving, and no other one is about to take over.
    std::function<bool()> possible;
    /// Makes the configuration active. On failure throws std::runtime_error and changes nothing.
    std::function<void(const config::Config&)> install;
  };
  struct Surroundings {
    const config::Config& active;
    LogWriter* access_log;  // null: no access log
    EventHub& events;
    const Clock& clock;
  };
  Reload(std::string file, Surroundings around, Hooks hooks)
      : file_(std::move(file)), around_(around), hooks_(std::move(hooks)) {}

  /// Returns why the file was rejected, one line per problem; empty if it is now active.
  std::vector<std::string> run();

 private:
  void reopen_logs();
  std::vector<std::string> replace();
  void refused(const std::vector<std::string>& why);
  void installed();

  const std::string file_;
  const Surroundings around_;
  const Hooks hooks_;
};

}  // namespace remora
