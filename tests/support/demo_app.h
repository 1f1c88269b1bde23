// Runs the demo app server as a process. REMORA_DEMO_APP is the path of the program (tests/CMakeLists.txt).
#pragma once

#include <memory>
#include <string>

#include "support/process.h"

namespace remora::test {

class DemoApp {
 public:
  explicit DemoApp(std::string name) : name_(std::move(name)) { start(); }
  /// Uses the same port each time. Returns when the port accepts connections.
  void start() {
    process_ =
        std::make_unique<Process>(std::vector<std::string>{REMORA_DEMO_APP, name_, address()}, "/dev/null");
    process_->wait_for_port(port_);
  }
  void kill() { process_->kill(); }
  void signal(int number) const { process_->signal(number); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  std::string name_;
  int port_ = free_port();
  std::unique_ptr<Process> process_;
};

}  // namespace remora::test
