#include "server/reload.h"

#include <spdlog/spdlog.h>

#include <variant>

#include "affinity/registry.h"
#include "config/loader.h"
#include "server/log.h"
#include "server/systemd.h"

namespace remora {

std::vector<std::string> restart_required_for(const config::Config& active, const config::Config& fresh,
                                              const std::string& file) {
  std::vector<std::string> out;
  const auto refuse = [&](const char* key, const char* why) {
    out.push_back(file + ": " + key + ": needs a restart or an upgrade (SIGUSR2): " + why);
  };
  if (fresh.workers != active.workers)
    refuse("workers", "closing one of several sockets on a port would reset the connections that wait in it");
  if (fresh.state_dir != active.state_dir)
    refuse("state_dir", "keys and administrative states were read from the old one");
  if (!(fresh.session_api == active.session_api)) refuse("session_api", "it is opened at the start");
  if (!(fresh.store == active.store))
    refuse("store", "the table is made and the store is connected to at the start");
  if (fresh.dns_servers != active.dns_servers) refuse("dns.servers", "the resolver is made at the start");
  if (fresh.log.output != active.log.output || fresh.log.format != active.log.format ||
      fresh.log.access_format != active.log.access_format ||
      fresh.log.access_output != active.log.access_output)
    refuse("log", "only its level can change while it is written");
  return out;
}

std::vector<std::string> Reload::run() {
  notify_systemd_reloading();
  reopen_logs();
  std::vector<std::string> why = replace();
  if (why.empty())
    installed();
  else
    refused(why);
  notify_systemd("READY=1");
  return why;
}

void Reload::reopen_logs() {
  if (around_.access_log != nullptr && !around_.access_log->reopen())
    spdlog::error("reopening the access log failed; keeping the old file");
  if (!refresh_log(around_.active.log)) spdlog::error("reopening the log failed; keeping the old file");
}

std::vector<std::string> Reload::replace() {
  if (!hooks_.possible()) return {"this process is stopping or being replaced; ask again in a moment"};
  auto loaded = config::load_file(file_, affinity_kinds());
  if (auto* errors = std::get_if<config::LoadError>(&loaded)) return std::move(errors->lines);
  const auto& fresh = std::get<config::Config>(loaded);
  // An editor or a copy may still be writing the file, and half a file can be valid YAML.
  if (!fresh.text.ends_with('\n') && around_.active.text.ends_with('\n'))
    return {file_ + ": ends in the middle of a line: is it still being written? (end it with a line end)"};
  if (auto fixed = restart_required_for(around_.active, fresh, file_); !fixed.empty()) return fixed;
  try {
    hooks_.install(fresh);
  } catch (const std::exception& e) {
    return {e.what()};
  }
  return {};
}

void Reload::refused(const std::vector<std::string>& why) {
  for (const auto& line : why) spdlog::error("{}", line);
  spdlog::error("reload refused: nothing was changed");
  around_.events.emit("reload", {{"refused", why.front()}}, around_.clock.wall_now());
}

void Reload::installed() {
  refresh_log(around_.active.log);  // the level may have changed
  for (const std::string& warning : config::warnings(around_.active)) spdlog::warn("{}", warning);
  spdlog::info("reloaded {}", file_);
  around_.events.emit("reload", {{"config_hash", around_.active.hash}}, around_.clock.wall_now());
}

}  // namespace remora
