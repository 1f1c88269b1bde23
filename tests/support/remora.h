// Runs the real binary with a configuration on port 0. It is ended with the test.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "support/net.h"
#include "support/notify.h"

namespace remora::test {

class Remora {
 public:
  /// Writes `yaml` to a file, starts `remora run` and waits until it reports readiness. `admin: off` becomes
  /// an admin API on a unix socket in folder(), so that every test can use the API.
  explicit Remora(const std::string& yaml, const std::vector<std::string>& environment = {});
  ~Remora();
  Remora(const Remora&) = delete;
  Remora& operator=(const Remora&) = delete;

  int port(std::size_t listener = 0) const { return ports_.at(listener); }
  int admin_port() const { return admin_port_; }
  pid_t pid() const { return pid_; }
  Socket connect() const { return Socket::connect(port()); }
  Socket connect_admin() const;
  Reply ask(std::string_view request) const { return test::ask(port(), request); }
  void signal(int number) const;
  /// Stops it with SIGTERM. Returns the exit code, or -signal. The test fails if it does not end.
  int stop();
  /// Sends SIGUSR2 (hot restart). Afterwards this object refers to the new process. False: no process took
  /// over.
  bool upgrade();
  /// True: the former processes have ended by themselves.
  bool former_ended(std::chrono::milliseconds limit = patience);
  /// The log so far. For reading failures, and to check that secrets are never logged.
  std::string log() const;
  /// Waits until the log contains `text`. Use it for access log fields, not for the wording of messages.
  bool wait_for_log(std::string_view text) const;
  /// Writes a new configuration and sends SIGHUP. True: the reload was accepted.
  bool reload(const std::string& yaml) const;
  /// Sends SIGHUP, and waits until it was handled.
  void hang_up() const;
  /// The TCP ports it listens on now: listeners, then admin, then the session API.
  std::vector<int> listening_ports() const;
  /// Runs a command of the binary against its admin API.
  struct Ran command(std::vector<std::string> words) const;
  /// Sends a request to its admin API.
  Reply api(const std::string& method, const std::string& target, const std::string& body = "",
            const std::string& fields = "") const;
  /// Sets the administrative state (ready, drain, maint) of a backend in the pool `app`, as `remora drain`
  /// does.
  void wish(const std::string& backend, const std::string& wanted) const;
  /// A member of a backend's JSON in the admin API, as JSON text: `"up"`, `3`. Empty: no such member.
  std::string backend(const std::string& id, const std::string& member,
                      const std::string& pool = "app") const;
  /// Waits until the member has this value. False: not within the limit.
  bool backend_is(const std::string& id, const std::string& member, const std::string& value,
                  const std::string& pool = "app") const;
  /// Waits until probes have found the backend up or down (`health`). False: not within the limit.
  bool goes(const std::string& backend, const std::string& health, const std::string& pool = "app") const;
  /// A value from /metrics. `line`: name and labels as printed there. -1: not there.
  double metric(const std::string& line) const;
  /// Writes the configuration file, without a reload.
  void rewrite(const std::string& yaml) const;
  const std::string& folder() const { return folder_; }
  /// Resident memory, bytes.
  std::size_t resident() const;

 private:
  int wait_exit(std::chrono::milliseconds limit);
  void end(pid_t pid, const char* what);
  bool await_ready();
  void find_ports(const std::string& yaml);
  std::vector<pid_t> former_;
  std::string folder_;
  std::unique_ptr<NotifySocket> notify_;
  pid_t pid_ = -1;
  mutable bool killed_ = false;  // the test killed it
  std::vector<int> ports_;
  int admin_port_ = 0;
};

/// Path of the binary under test.
std::string binary();
/// Exit code and output (both streams) of the binary, run to its end.
struct Ran {
  int code;
  std::string output;
};
Ran run_binary(const std::vector<std::string>& arguments);
/// Makes a temporary folder.
std::string make_folder();

/// `config` with an admin API on a TCP port.
std::string with_admin(std::string config);

/// A configuration with one pool of these backends and a listener on port 0. `pool`, `listener` and `top` add
/// lines there.
std::string simple_config(const std::vector<std::string>& backends, const std::string& pool = "",
                          const std::string& listener = "", const std::string& top = "");

}  // namespace remora::test
