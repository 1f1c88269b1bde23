// The command line: run, check, keygen, healthcheck, version. Exit code 0: fine; 1: refused or failed; 2:
// usage.

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>

#include "admin/status_server.h"
#include "config/loader.h"
#include "server/server.h"
#include "version.h"

namespace {

using namespace remora;

/// Prints every error of the file, one a line.
bool load(const std::string& file, config::Config& out) {
  auto loaded = config::load_file(file);
  if (const auto* errors = std::get_if<config::LoadError>(&loaded)) {
    for (const auto& line : errors->lines) std::cerr << line << '\n';
    return false;
  }
  out = std::move(std::get<config::Config>(loaded));
  return true;
}

/// The message as the inside of a JSON string.
class JsonText final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    static constexpr char digits[] = "0123456789abcdef";
    for (const char c : message.payload) {
      const auto u = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out.push_back('\\');
        out.push_back(c);
      } else if (u < ' ') {
        for (const char e : {'\\', 'u', '0', '0', digits[u >> 4], digits[u & 15]}) out.push_back(e);
      } else {
        out.push_back(c);
      }
    }
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<JsonText>();
  }
};

void set_up_log(const config::Log& log) {
  spdlog::sink_ptr sink;
  if (log.output == "stdout")
    sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  else if (log.output == "stderr")
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  else
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(log.output);
  auto logger = std::make_shared<spdlog::logger>("remora", std::move(sink));
  constexpr spdlog::level::level_enum levels[] = {spdlog::level::trace, spdlog::level::debug,
                                                  spdlog::level::info, spdlog::level::warn,
                                                  spdlog::level::err};
  logger->set_level(levels[static_cast<std::size_t>(log.level)]);
  if (log.format == config::LogFormat::json) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    formatter->add_flag<JsonText>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%*"})");
    logger->set_formatter(std::move(formatter));
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-5l %v", spdlog::pattern_time_type::utc);
  }
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
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
    SnapshotBuilder builder;
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
