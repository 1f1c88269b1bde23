// Reload (SIGHUP, POST /api/v1/reload): another configuration is read and checked, and only then installed.
// One that is wrong changes nothing, and says why; log files are opened again in any case.
//
// Threading: control thread. Lifetime: what it is given outlives it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "admin/events.h"
#include "observe/log_writer.h"
#include "remora/clock.h"
#include "remora/config.h"

namespace remora {

/// What a running process cannot change, a line each that begins with `file`. Pure.
std::vector<std::string> restart_required_for(const config::Config& active, const config::Config& fresh,
                                              const std::string& file);

class Reload {
 public:
  struct Hooks {
    /// This process serves, and no other one is about to take over.
    std::function<bool()> possible;
    /// Makes it the active configuration. Throws std::runtime_error; then nothing has changed.
    std::function<void(const config::Config&)> install;
  };
  struct Surroundings {
    const config::Config& active;
    LogWriter* access_log;  // null: there is none
    EventHub& events;
    const Clock& clock;
  };
  Reload(std::string file, Surroundings around, Hooks hooks)
      : file_(std::move(file)), around_(around), hooks_(std::move(hooks)) {}

  /// Returns why the file was refused, a line per problem; empty: it is active.
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
