// The real binary, started with a configuration on port 0, and ended with the test.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "support/net.h"

namespace remora::test {

class Remora {
 public:
  /// Writes `yaml` to a file of its own, starts `remora run`, waits until it listens.
  explicit Remora(const std::string& yaml, const std::vector<std::string>& environment = {});
  ~Remora();
  Remora(const Remora&) = delete;
  Remora& operator=(const Remora&) = delete;

  int port(std::size_t listener = 0) const { return ports_.at(listener); }
  int admin_port() const { return admin_port_; }
  pid_t pid() const { return pid_; }
  Socket connect() const { return Socket::connect(port()); }
  Reply ask(std::string_view request) const { return test::ask(port(), request); }
  void signal(int number) const;
  /// Ends it with SIGTERM; the exit code, or -signal. Fails the test when it does not end.
  int stop();
  /// SIGUSR2: from now on this object stands for the process that took over. False: none did.
  bool upgrade();
  /// The processes that handed over have ended by themselves.
  bool former_ended(std::chrono::milliseconds limit = patience);
  /// What it logged so far.
  std::string log() const;
  /// Waits until the log holds `text`.
  bool wait_for_log(std::string_view text) const;
  /// How often the log holds `text`.
  int count_in_log(std::string_view text) const;
  bool wait_for_log(std::string_view text, int times) const;
  /// The configuration anew, and SIGHUP; true when it was accepted.
  bool reload(const std::string& yaml) const;
  /// The ports of all listeners that were ever opened, in order.
  std::vector<int> opened_ports() const;
  /// A command of the binary against its admin port.
  struct Ran command(std::vector<std::string> words) const;
  /// A request to its admin API.
  Reply api(const std::string& method, const std::string& target, const std::string& body = "",
            const std::string& fields = "") const;
  /// As `remora drain` and its like: ready, drain or maint for a backend of the pool `app`.
  void wish(const std::string& backend, const std::string& wanted) const;
  void rewrite(const std::string& yaml) const;
  const std::string& folder() const { return folder_; }
  /// Resident memory, bytes.
  std::size_t resident() const;

 private:
  int wait_exit(std::chrono::milliseconds limit);
  std::vector<pid_t> former_;
  std::string folder_;
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
/// `sanitized()`: memory figures mean nothing in such builds.
bool sanitized();

/// The same with an admin port.
std::string with_admin(std::string config);
/// Asks again until it is true, or patience ends.
bool eventually(const std::function<bool()>& is_true, std::chrono::milliseconds limit = patience);

/// One pool over these backends, on a port 0 listener; `pool` and `top` add lines.
std::string simple_config(const std::vector<std::string>& backends, const std::string& pool = "",
                          const std::string& listener = "", const std::string& top = "");

}  // namespace remora::test
