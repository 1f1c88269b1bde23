// A program that a test starts, and that ends with the test whatever happens.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace remora::test {

class Process {
 public:
  /// `arguments[0]` is looked for in PATH. Its output goes to the file `output`.
  Process(const std::vector<std::string>& arguments, const std::string& output);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void signal(int number) const;
  /// SIGKILL, and waits for the end.
  void kill();
  /// Waits until somebody listens on the port; fails the test with the output when nobody does in time.
  bool wait_for_port(int port) const;

 private:
  bool ended() const;
  mutable pid_t pid_ = -1;
  std::string output_;
};

/// A port of the loopback interface that nobody listens on at the moment.
int free_port();

}  // namespace remora::test
