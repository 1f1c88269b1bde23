// The command line. Exit codes: 0 success, 1 refused or failed, 2 wrong usage, 3 a drain's deadline passed.

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "affinity/registry.h"
#include "cli/commands.h"
#include "cli/find_daemon.h"
#include "config/loader.h"
#include "config/reach.h"
#include "server/exposed.h"
#include "server/log.h"
#include "server/names_check.h"
#include "server/server.h"
#include "version.h"

namespace {

using namespace remora;

/// Loads the file. On failure, prints every error, one per line, and returns false.
bool load(const std::string& file, config::Config& out) {
  auto loaded = config::load_file(file, affinity_kinds());
  if (const auto* errors = std::get_if<config::LoadError>(&loaded)) {
    for (const auto& line : errors->lines) std::cerr << line << '\n';
    return false;
  }
  out = std::move(std::get<config::Config>(loaded));
  return true;
}

int run(const std::string& file, const std::vector<std::string>& arguments) {
  config::Config config;
  if (!load(file, config)) return 1;
  try {
    set_up_log(config.log);
    Server server(std::move(config), file, arguments);
    return server.run();
  } catch (const std::exception& e) {
    std::cerr << "remora: " << e.what() << '\n';
    return 1;
  }
}

int check(const std::string& file) {
  config::Config config;
  if (!load(file, config)) return 1;
  try {
    SnapshotBuilder builder(1);
    builder.build(
        config, std::make_shared<KeyRing>(config.keys.empty() ? std::vector<std::string>{std::string(32, 'k')}
                                                              : config.keys));
  } catch (const std::exception& e) {
    std::cerr << file << ": " << e.what() << '\n';
    return 1;
  }
  for (const std::string& warning : config::warnings(config))
    std::cerr << file << ": warning: " << warning << '\n';
  for (const std::string& line : unresolved_names(config)) std::cerr << file << ": warning: " << line << '\n';
  for (const std::string& line : exposed_secrets(config)) std::cerr << file << ": warning: " << line << '\n';
  std::cout << file << ": fine; " << config.listeners.size() << " listener(s), " << config.pools.size()
            << " pool(s)\n";
  return 0;
}

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// Reads the admin token from a file. Empty if no file was named.
std::string read_token(const std::string& file) {
  if (file.empty()) return {};
  std::ifstream in(file);
  if (!in.is_open()) throw std::runtime_error("the token's file " + file + " cannot be read");
  std::string token;
  std::getline(in, token);
  while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
  return token;
}

/// Where a command finds its instance. If admin is off there, `admins` is empty and only `listeners` is
/// known.
struct Found {
  std::vector<std::string> admins;
  std::vector<config::Address> listeners;
  std::string token, file;
  bool runs = false;   // its process was found
  bool given = false;  // the address came from the caller: --admin, --config or REMORA_ADMIN
};

Found found_in(const std::filesystem::path& file) {
  const config::Reach reach = config::load_reach(file);
  if (!reach.error.empty()) throw std::runtime_error(reach.error);
  Found out;
  if (reach.admin && (reach.admin->kind == config::Address::Kind::unix_path || reach.admin->port != 0))
    out.admins.push_back(reach.admin->text());
  out.listeners = reach.listeners;
  out.token = reach.token;
  out.file = file.string();
  return out;
}

/// Sources in order: --admin; the file of --config; REMORA_ADMIN; the file of the remora running here; the
/// packaged file; 127.0.0.1:9900. If several remoras run here, throws instead of guessing.
/// `for_health`: a file that was broken after the process read it says nothing about the process. And
/// because no secret is sent, a file is accepted whoever owns it (files mounted into a container can have
/// any owner).
Found find_instance(const std::vector<std::string>& admins, const std::string& file, bool for_health) {
  Found out;
  out.admins = admins;
  if (out.admins.empty() && !file.empty()) {
    out = found_in(file);
    out.given = true;
    return out;
  }
  if (out.admins.empty()) out.admins = split_addresses(environment("REMORA_ADMIN"));
  out.given = !out.admins.empty();
  if (out.given) return out;
  const auto running = running_files();
  if (running.size() > 1) {
    std::string all;
    for (const auto& one : running) all.append(all.empty() ? "" : ", ").append(one.path.string());
    throw std::runtime_error("several remoras run here (" + all +
                             "): which one? --admin ADDRESS or --config FILE");
  }
  if (!running.empty()) {
    const auto& [path, trusted] = running.front();
    out.runs = true;
    if (!trusted && !for_health)
      throw std::runtime_error("the remora that runs here has the file " + path.string() +
                               ", which another user may have written: --admin ADDRESS or --config FILE");
    if (for_health && !config::load_reach(path).error.empty()) return out;
    out = found_in(path);
    out.runs = true;
    return out;
  }
  const std::filesystem::path packaged = "/etc/remora/remora.yaml";
  std::error_code ec;
  if (std::filesystem::exists(packaged, ec) && !ec) return found_in(packaged);
  out.admins.emplace_back("127.0.0.1:9900");
  return out;
}

/// The arguments to restart this process, with the binary's path on disk.
std::vector<std::string> own_arguments(int argc, char** argv) {
  std::vector<std::string> out(argv, argv + argc);
  std::error_code ec;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ec);
  if (!ec) out.front() = self.string();
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"remora: a layer-7 load balancer that keeps sessions"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("remora ") + version);
  std::string file;
  auto* run_command = app.add_subcommand("run", "serve in the foreground");
  run_command->add_option("-c,--config", file, "the configuration file")->required();
  auto* check_command =
      app.add_subcommand("check", "read the configuration file and say what is wrong with it");
  check_command->add_option("-c,--config", file, "the configuration file")->required();
  auto* keygen_command = app.add_subcommand("keygen", "print a new key for `keys`");
  auto* version_command = app.add_subcommand("version", "print the version");

  CommandTarget at;
  std::string token_file;
  const auto over_admin = [&](const char* name, const char* what) {  // talks to an instance
    auto* command = app.add_subcommand(name, what);
    // REMORA_ADMIN is read below, not by CLI11: all commands share `at.admins`, so CLI11 would let one
    // command's environment override another command's flag.
    command
        ->add_option(
            "--admin", at.admins,
            "an admin address, host:port or unix:/path; may be given several times; else REMORA_ADMIN")
        ->allow_extra_args(false);
    command->add_option(std::string(name) == "explain" ? "--config" : "-c,--config", file,
                        "the configuration file that says it; else that of the remora that runs here, or "
                        "/etc/remora/remora.yaml");
    command->add_option("--token-file", token_file, "a file with the admin token; or REMORA_ADMIN_TOKEN");
    command->add_flag("--json", at.json, "print what the API says");
    return command;
  };
  auto* status_command = over_admin("status", "pools and backends: administrative state, health, sessions");
  auto* sessions_command = over_admin("sessions", "sessions by backend, and the last moves");
  std::string sessions_of;
  sessions_command->add_option("--backend", sessions_of, "the ids of the sessions at POOL/BACKEND");
  auto* session_command = over_admin("session", "one session: session ID [end | move [--to BACKEND]]");
  std::string session_id, session_verb, session_to;
  session_command->add_option("id", session_id, "the 32 hexadecimal digits of Remora-Session")->required();
  session_command->add_option("what", session_verb, "end: it is over; move: its next request moves it")
      ->check(CLI::IsMember({"end", "move"}));
  session_command->add_option("--to", session_to, "with move: the backend; else any other");
  auto* explain_command = over_admin("explain", "why a request would go where: explain [curl options] URL");
  std::vector<std::string> words;
  std::string client, log_line;
  explain_command->add_option("--client", client, "the client's address");
  explain_command->add_option("--log", log_line, "a line of the access log instead of a request");
  explain_command->allow_extras();
  std::string backend;
  SteerOptions steer;
  auto* drain_command = over_admin("drain", "keep a backend's sessions, begin none there");
  drain_command->add_option("--deadline", steer.deadline, "how long its sessions may stay: 30m, say");
  drain_command->add_flag("--wait", steer.wait, "return when the last session has left (3: at the deadline)");
  auto* ready_command = over_admin("ready", "use a backend again");
  auto* maint_command = over_admin("maint", "use a backend for nothing; its sessions move");
  for (auto* command : {drain_command, ready_command, maint_command})
    command->add_option("backend", backend, "POOL/BACKEND")->required()->check([](const std::string& text) {
      const auto slash = text.find('/');
      const bool fine = slash != std::string::npos && slash != 0 && slash + 1 != text.size();
      return fine ? std::string() : std::string("which backend? POOL/BACKEND, as `remora status` shows them");
    });
  auto* reload_command = over_admin("reload", "read the configuration file again");
  auto* health_command = over_admin("healthcheck", "exit 0 when the running remora answers (for Docker)");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? 0 : 2;
  }
  if (*run_command) return run(file, own_arguments(argc, argv));
  if (*check_command) return check(file);
  if (*keygen_command) {
    std::cout << generate_key() << '\n';
    return 0;
  }
  if (*version_command) {
    std::cout << "remora " << version << '\n';
    return 0;
  }
  try {
    const Found found = find_instance(at.admins, file, health_command->parsed());
    at.admins = found.admins;
    const std::string token = read_token(token_file);
    if (!*health_command)  // /healthz needs no token
      at.token = choose_token({token, token_file.empty() ? environment("REMORA_ADMIN_TOKEN") : std::string(),
                               found.token, found.given});
    if (at.admins.empty() &&
        *health_command)  // all ports are ephemeral: we only know that the process is alive
      return found.listeners.empty() && found.runs ? 0 : check_listeners(found.listeners);
    if (at.admins.empty())
      throw std::runtime_error(
          found.file + ": `admin` is off there, or has a port that the system chose; --admin ADDRESS?");
    if (*status_command) return show_status(at);
    if (*sessions_command) return sessions_of.empty() ? show_sessions(at) : list_sessions(at, sessions_of);
    if (*session_command) {
      if (!session_to.empty() && session_verb != "move")
        throw std::runtime_error("--to goes with move: session ID move --to BACKEND");
      return steer_session(at, session_id, session_verb, session_to);
    }
    if (*explain_command) {
      words = explain_command->remaining();
      if (!log_line.empty()) words = {log_line};
      return show_explanation(at, words, !log_line.empty(), client);
    }
    if (*drain_command) return steer_backend(at, backend, "drain", steer);
    if (*ready_command) return steer_backend(at, backend, "ready", steer);
    if (*maint_command) return steer_backend(at, backend, "maint", steer);
    if (*reload_command) return reload_all(at);
    if (*health_command) return check_health(at);
  } catch (const std::exception& e) {
    std::cerr << "remora: " << e.what() << '\n';
    return 1;
  }
  return 0;
}
