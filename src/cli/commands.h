// The commands that ask one running remora or several: status, sessions, explain, drain, ready, maint,
// reload, healthcheck. Each prints a table for people or, with --json, what the API said.
//
// Exit codes: 0 done; 1 refused, or somebody did not answer; 2 wrong usage; 3 a drain's deadline passed
// first.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "remora/config.h"

namespace remora {

struct CommandTarget {
  std::vector<std::string> admins;  // host:port or unix:/path
  std::string token;
  bool json = false;
};

int show_status(const CommandTarget& at);
int show_sessions(const CommandTarget& at);
/// `words`: as curl would be told; or, with `from_log`, one line of the access log. `client`: its address.
int show_explanation(const CommandTarget& at, const std::vector<std::string>& words, bool from_log,
                     const std::string& client);
/// `wish`: ready | drain | maint; `backend`: POOL/BACKEND.
struct SteerOptions {
  std::string deadline;  // as in "30m"; empty: none
  bool wait = false;
};
int steer_backend(const CommandTarget& at, const std::string& backend, const std::string& wish,
                  const SteerOptions& options);
int reload_all(const CommandTarget& at);
int check_health(const CommandTarget& at);
/// For an instance without an admin address: healthy while one of its listeners accepts connections.
int check_listeners(const std::vector<config::Address>& listeners);

}  // namespace remora
