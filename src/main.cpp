// The command line: run, check, keygen, healthcheck, version. Exit code 0: fine; 1: refused or failed; 2:
// usage.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>

#include "admin/status_server.h"
#include "affinity/registry.h"
#include "config/loader.h"
#include "server/log.h"
#include "server/server.h"
#include "version.h"

namespace {

using namespace remora;

/// Prints every error of the file, one a line.
bool load(const std::string& file, config::Config& out) {
  auto loaded = config::load_file(file, affinity_kinds());
  if (const auto* errors = std::get_if<config::LoadError>(&loaded)) {
    for (const auto& line : errors->lines) std::cerr << line << '\n';
    return false;
  }
  out = std::move(std::get<config::Config>(loaded));
  return true;
}

int run(const std::string& file) {
  config::Config config;
  if (!load(file, config)) return 1;
  try {
    set_up_log(config.log);
    Server server(std::move(config), file);
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
  std::cout << file << ": fine; " << config.listeners.size() << " listener(s), " << config.pools.size()
            << " pool(s)\n";
  return 0;
}

int healthcheck(const std::string& text) {
  config::Address address;
  if (text.rfind("unix:", 0) == 0) {
    address = {config::Address::Kind::unix_path, text.substr(5), 0};
  } else {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos) {
      std::cerr << "remora: --admin must be host:port or unix:/path\n";
      return 2;
    }
    std::string host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
    address = {config::Address::Kind::tcp, host,
               static_cast<std::uint16_t>(std::strtoul(text.c_str() + colon + 1, nullptr, 10))};
  }
  std::string why;
  if (ask_health(address, why)) return 0;
  std::cerr << "remora: no healthy answer from " << text << ": " << why << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"remora: a layer-7 load balancer that keeps sessions"};
  app.require_subcommand(1);
  std::string file, admin = "127.0.0.1:9900";
  auto* run_command = app.add_subcommand("run", "serve in the foreground");
  run_command->add_option("-c,--config", file, "the configuration file")->required();
  auto* check_command =
      app.add_subcommand("check", "read the configuration file and say what is wrong with it");
  check_command->add_option("-c,--config", file, "the configuration file")->required();
  auto* keygen_command = app.add_subcommand("keygen", "print a new key for `keys`");
  auto* health_command =
      app.add_subcommand("healthcheck", "exit 0 when the running remora answers (for Docker)");
  health_command->add_option("--admin", admin, "its admin address")->capture_default_str();
  auto* version_command = app.add_subcommand("version", "print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? 0 : 2;
  }
  if (*run_command) return run(file);
  if (*check_command) return check(file);
  if (*keygen_command) {
    std::cout << generate_key() << '\n';
    return 0;
  }
  if (*health_command) return healthcheck(admin);
  if (*version_command) std::cout << "remora " << version << '\n';
  return 0;
}
