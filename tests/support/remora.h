// The real binary, started with a configuration on port 0, and ended with the test.
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
  /// Writes `yaml` to a file of its own, starts `remora run`, waits until it says that it is ready. `admin:
  /// off` becomes an admin API on a unix socket in `folder()`, so that every test can ask it.
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
  /// Ends it with SIGTERM; the exit code, or -signal. Fails the test when it does not end.
  int stop();
  /// SIGUSR2: from now on this object stands for the process that took over. False: none did.
  bool upgrade();
  /// The processes that handed over have ended by themselves.
  bool former_ended(std::chrono::milliseconds limit = patience);
  /// What it logged so far. For people who read a failure, and for what must never stand in a log.
  std::string log() const;
  /// Waits until the log holds `text`: a field of an access log line, not the wording of a message.
  bool wait_for_log(std::string_view text) const;
  /// The configuration anew, and SIGHUP; true when it was accepted.
  bool reload(const std::string& yaml) const;
  /// SIGHUP, and waits until it has been dealt with.
  void hang_up() const;
  /// The ports that it listens on now: listeners, then admin, then the session API.
  std::vector<int> listening_ports() const;
  /// A command of the binary against its admin port.
  struct Ran command(std::vector<std::string> words) const;
  /// A request to its admin API.
  Reply api(const std::string& method, const std::string& target, const std::string& body = "",
            const std::string& fields = "") const;
  /// As `remora drain` and its like: ready, drain or maint for a backend of the pool `app`.
  void wish(const std::string& backend, const std::string& wanted) const;
  /// A member of a backend's JSON in the admin API, as it stands there: `"up"`, `3`; empty: there is none.
  std::string backend(const std::string& id, const std::string& member,
                      const std::string& pool = "app") const;
  /// Waits until it is so.
  bool backend_is(const std::string& id, const std::string& member, const std::string& value,
                  const std::string& pool = "app") const;
  /// Probes have found the backend up or down.
  bool goes(const std::string& backend, const std::string& health, const std::string& pool = "app") const;
  /// A value of /metrics: name and labels as they stand there; -1: it is not there.
  double metric(const std::string& line) const;
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
  mutable bool killed_ = false;  // by the test
  std::vector<int> ports_;
  int admin_port_ = 0;
};

/// Path of the binary under test.
std::string binary();
/// Runs the binary to its end; returns exit code and what it printed (both streams).
struct Ran {
  int code;
  std::string output;
};
Ran run_binary(const std::vector<std::string>& arguments);
std::string make_folder();

/// The same with an admin port.
std::string with_admin(std::string config);

/// One pool over these backends, on a port 0 listener; `pool` and `top` add lines.
std::string simple_config(const std::vector<std::string>& backends, const std::string& pool = "",
                          const std::string& listener = "", const std::string& top = "");

}  // namespace remora::test
