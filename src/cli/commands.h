// The commands that talk to one or more running remoras: status, sessions, explain, drain, ready, maint,
// reload, healthcheck. Each prints a table for people, or the API's response with --json.
//
// Exit codes: 0 done; 1 refused, or an instance did not answer; 2 wrong usage; 3 a drain's deadline passed
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
/// The ids of the sessions at `backend`: POOL/BACKEND.
int list_sessions(const CommandTarget& at, const std::string& backend);
/// `id`: the one in Remora-Session. `what`: empty: show it; end | move. `to`: with move, a backend's id;
/// empty: any other.
int steer_session(const CommandTarget& at, const std::string& id, const std::string& what,
                  const std::string& to);
/// `words`: curl arguments or, with `from_log`, one line of the access log. `client`: the client's address.
int show_explanation(const CommandTarget& at, const std::vector<std::string>& words, bool from_log,
                     const std::string& client);
/// Options of drain.
struct SteerOptions {
  std::string deadline;  // for example "30m"; empty: none
  bool wait = false;
};
/// `backend`: POOL/BACKEND. `state`: ready | drain | maint.
int steer_backend(const CommandTarget& at, const std::string& backend, const std::string& state,
                  const SteerOptions& options);
int reload_all(const CommandTarget& at);
int check_health(const CommandTarget& at);
/// For an instance without an admin address: healthy if at least one listener accepts connections.
int check_listeners(const std::vector<config::Address>& listeners);

}  // namespace remora
