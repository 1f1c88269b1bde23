#include "server/hot_restart.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace remora {

namespace {
constexpr std::chrono::milliseconds poll_interval{20};
constexpr std::chrono::seconds start_limit{60};
constexpr std::size_t fds_per_message = 200;
}  // namespace

HotRestart::HotRestart(const Clock& clock, SessionMemory& memory, std::vector<std::string> arguments,
                       std::unique_ptr<Alarm> alarm, Hooks hooks)
    : clock_(clock),
      memory_(memory),
      arguments_(std::move(arguments)),
      alarm_(std::move(alarm)),
      hooks_(std::move(hooks)) {}

void HotRestart::start() {
  const auto refuse = [](std::string_view why) { spdlog::error("upgrade refused: {}", why); };
  if (::getpid() == 1)
    return refuse("as process 1 of a container the container would end with it; replace the container");
  if (!hooks_.serving()) return refuse("this process is stopping or being replaced");
  if (child_) return refuse("another one is under way");
  if (arguments_.empty()) return refuse("this process does not know how it was started");
  try {
    child_ = std::make_unique<ChildProcess>(arguments_, memory_);
  } catch (const std::exception& e) {
    return refuse(e.what());
  }
  spdlog::info("upgrade: started process {}", child_->pid());
  if (!send(hooks_.handover()))
    spdlog::error("upgrade failed: the new process did not accept the listening sockets");
  give_up_ = clock_.steady_now() + start_limit;
  check();
}

bool HotRestart::send(const Handover& handover) {
  for (const Sockets& listener : handover.listeners)
    if (!send_listener(listener)) return false;
  if (!handover.admin.fds.empty() && !child_->send('a', handover.admin.address, handover.admin.fds))
    return false;
  return child_->send('s', handover.state) && child_->send_sessions() && child_->send('e', "");
}

bool HotRestart::send_listener(const Sockets& listener) {
  for (std::size_t at = 0; at < listener.fds.size(); at += fds_per_message) {
    const std::size_t count = std::min(fds_per_message, listener.fds.size() - at);
    if (!child_->send('l', listener.address, std::span(listener.fds).subspan(at, count))) return false;
  }
  return true;
}

void HotRestart::check() {
  if (!child_ || !goes_on()) return;
  alarm_->set(clock_.steady_now() + poll_interval, [this] { check(); });
}

/// Returns false if there is no child any more.
bool HotRestart::goes_on() {
  switch (child_->poll()) {
    case ChildProcess::State::serving:
      return child_serves();
    case ChildProcess::State::failed:
      spdlog::error(
          "upgrade failed: the new process exited (its log says why); this process continues to serve");
      child_.reset();
      return false;
    case ChildProcess::State::starting:
      if (clock_.steady_now() < give_up_) return true;
      spdlog::error(
          "upgrade failed: the new process was not ready after {} s; this process continues to serve",
          start_limit.count());
      kill_child();
      return false;
  }
  return false;
}

bool HotRestart::child_serves() {
  if (hooks_.serving()) hooks_.serves(child_->pid());
  if (!child_) return false;  // no connections were left here, and stop() was called
  if (child_->send_changes()) return true;
  spdlog::warn("the new process closed its channel; later changes here do not reach it");
  child_.reset();
  return false;
}

void HotRestart::kill_child() {
  ::kill(child_->pid(), SIGKILL);
  ::waitpid(child_->pid(), nullptr, 0);
  child_.reset();
}

void HotRestart::stop() {
  if (child_) child_->send_changes();
  child_.reset();
  alarm_->cancel();
}

}  // namespace remora
