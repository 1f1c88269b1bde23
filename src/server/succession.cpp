// SIGUSR2: another binary, started with the same arguments, takes over the sockets, the state and the
// sessions.

#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "server/server.h"
#include "server/systemd.h"
#include "util/text.h"

namespace remora {

namespace json = boost::json;
using std::chrono::milliseconds;

namespace {
constexpr milliseconds look_every{20};
constexpr std::chrono::seconds patience{60};
}  // namespace

/// What the next process must know, but for sessions and sockets.
std::string Server::state_text() const {
  json::object numbers;
  for (const auto& [pool, number] : builder_.pool_numbers()) numbers[pool] = number;
  json::array backends;
  for (const auto& pool : builder_.last()->pools)
    for (const Member& m : pool->snapshot->members)
      backends.push_back(json::object{{"pool", pool->config.name},
                                      {"id", m.backend->id},
                                      {"health", static_cast<int>(checker_.state(*m.backend))},
                                      {"generation", m.backend->generation.load()}});
  return json::serialize(json::object{{"pool_numbers", std::move(numbers)},
                                      {"backends", std::move(backends)},
                                      {"index_key", base64_encode(builder_.index_key())},
                                      {"wishes", overrides_.to_text()},
                                      {"discovered", discovered_state()}});
}

/// Takes over what the process before knew. Anything in it that makes no sense is left out.
void Server::inherit() {
  inherited_ = InheritedState::receive(*memory_);
  if (!inherited_ || inherited_->state().empty()) return;
  boost::system::error_code ec;
  const json::value parsed = json::parse(inherited_->state(), ec);
  if (ec || !parsed.is_object()) return;
  const json::object& state = parsed.get_object();
  const auto text = [](const json::object& o, const char* key) {
    const json::value* v = o.if_contains(key);
    return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
  };
  const auto number = [](const json::object& o, const char* key) -> std::uint64_t {
    const json::value* v = o.if_contains(key);
    if (v == nullptr) return 0;
    if (v->is_uint64()) return v->get_uint64();
    return v->is_int64() && v->get_int64() > 0 ? static_cast<std::uint64_t>(v->get_int64()) : 0;
  };
  if (const json::value* numbers = state.if_contains("pool_numbers");
      numbers != nullptr && numbers->is_object()) {
    std::map<std::string, std::uint16_t> known;
    for (const auto& entry : numbers->get_object())
      if (entry.value().is_int64())
        known[entry.key()] = static_cast<std::uint16_t>(entry.value().get_int64());
    builder_.adopt_pool_numbers(std::move(known));
  }
  if (const auto key = base64_decode(text(state, "index_key")); key && !key->empty())
    builder_.adopt_index_key(*key);
  overrides_.from_text(text(state, "wishes"));
  if (const json::value* found = state.if_contains("discovered")) inherit_discovered(*found);
  if (const json::value* list = state.if_contains("backends"); list != nullptr && list->is_array())
    for (const json::value& item : list->get_array()) {
      if (!item.is_object()) continue;
      const json::object& b = item.get_object();
      const std::string pool = text(b, "pool"), id = text(b, "id");
      const std::uint64_t health = number(b, "health");
      if (health <= 2) checker_.adopt(pool, id, static_cast<Health>(health));
      adopted_backends_.push_back(builder_.backend_named(pool, id));
      adopted_backends_.back()->note_generation(number(b, "generation"));
    }
}

void Server::upgrade() {
  const auto refuse = [](std::string_view why) { spdlog::error("upgrade refused: {}", why); };
  if (::getpid() == 1)
    return refuse("as process 1 of a container the container would end with it; replace the container");
  if (phase_ != Phase::serving) return refuse("this process is stopping or being replaced");
  if (child_) return refuse("another one is under way");
  if (arguments_.empty()) return refuse("this process does not know how it was started");
  try {
    child_ = std::make_unique<ChildProcess>(arguments_, *memory_);
  } catch (const std::exception& e) {
    return refuse(e.what());
  }
  spdlog::info("upgrade: process {} starts", child_->pid());
  constexpr std::size_t fds_per_message = 200;
  bool sent = true;
  for (const OpenListener& l : listeners_)
    for (std::size_t at = 0; at < l.fds.size(); at += fds_per_message) {
      const auto end = std::min(l.fds.size(), at + fds_per_message);
      sent = sent && child_->send({'l',
                                   l.bind.text(),
                                   {l.fds.begin() + static_cast<std::ptrdiff_t>(at),
                                    l.fds.begin() + static_cast<std::ptrdiff_t>(end)}});
    }
  if (admin_) sent = sent && child_->send({'a', config_.admin.bind->text(), {admin_->fd()}});
  sent =
      sent && child_->send({'s', state_text(), {}}) && child_->send_sessions() && child_->send({'e', "", {}});
  if (!sent) spdlog::error("upgrade: the new process does not take what it is given");
  upgrade_until_ = clock_.steady_now() + patience;
  check_successor();
}

void Server::check_successor() {
  if (!child_) return;
  switch (child_->poll()) {
    case ChildProcess::State::serving:
      if (phase_ == Phase::serving) hand_over();
      if (!child_) return;  // nothing was left to finish here: hand_over() has closed down
      if (child_->send_changes()) break;
      spdlog::warn("the new process no longer listens; what changes here is not known there");
      child_.reset();
      return;
    case ChildProcess::State::failed:
      spdlog::error("upgrade failed: the new process has ended; this one goes on (its messages say why)");
      child_.reset();
      return;
    case ChildProcess::State::starting:
      if (clock_.steady_now() < upgrade_until_) break;
      spdlog::error("upgrade failed: the new process is not ready after {} s; this one goes on",
                    patience.count());
      ::kill(child_->pid(), SIGKILL);
      ::waitpid(child_->pid(), nullptr, 0);
      child_.reset();
      return;
  }
  succession_timer_.expires_after(look_every);
  succession_timer_.async_wait([this](const error_code& ec) {
    if (!ec) check_successor();
  });
}

/// The new process serves: this one takes nothing new, and ends with its last connection. Idle ones are not
/// closed under their clients; their next answer is their last.
void Server::hand_over() {
  phase_ = Phase::handed_over;
  if (session_server_) session_server_->leave();
  spdlog::info("upgrade: process {} serves; finishing what is left here", child_->pid());
  events_.emit("upgrade", {{"pid", child_->pid()}}, clock_.wall_now());
  for (auto& worker : workers_) {
    worker->hold();
    worker->leave();
    worker->end_when_empty();
  }
  events_.close();
  admin_.reset();
  watch_end(Clock::Steady::max());
}

}  // namespace remora
