// A child process of a test. It is ended with the test, even if the test fails.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace remora::test {

class Process {
 public:
  /// `arguments[0]` is searched in PATH. stdout and stderr go to the file `output`.
  Process(const std::vector<std::string>& arguments, const std::string& output);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void signal(int number) const;
  /// Sends SIGKILL, and waits until the process has ended.
  void kill();
  /// Waits until a server listens on the port. False: none did in time, or the process ended; the test fails
  /// and shows the output.
  bool wait_for_port(int port) const;

 private:
  bool ended() const;
  mutable pid_t pid_ = -1;
  std::string output_;
};

/// A loopback port that is free at the moment.
int free_port();

}  // namespace remora::test
