#include "session/redis_store.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/crc.hpp>
#include <cstring>

#include "session/redis_error.h"
#include "util/text.h"

namespace remora {

namespace {

/// KEYS[1]; ARGV: expected token or '', new value with its token, ttl in ms. Returns {1}: swapped, or {0,
/// value}: the token differed. A value that another program wrote may have no token (empty, or zeros): it
/// counts as absent, because otherwise no expected token would ever match it.
constexpr std::string_view swap_script =
    "local z='\\0\\0\\0\\0\\0\\0\\0\\0' "
    "local v=redis.call('GET',KEYS[1]) "
    "local t=v and string.sub(v..z,1,8) or '' "
    "if t==z then t='' end "
    "if t==ARGV[1] then redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return {1} end "
    "return {0,v}";

const std::string& swap_sha() {
  static const std::string sha = [] {
    std::uint8_t digest[20];
    std::size_t n = 0;
    EVP_Q_digest(nullptr, "SHA1", nullptr, swap_script.data(), swap_script.size(), digest, &n);
    std::string hex;
    append_hex(hex, digest, sizeof digest);
    return hex;
  }();
  return sha;
}

constexpr std::size_t token_size = 8;

std::string token_bytes(std::uint64_t token) {
  std::string bytes(token_size, '\0');
  std::memcpy(bytes.data(), &token, token_size);
  return bytes;
}

Store::Found found(std::string kept) {
  Store::Found f;
  std::memcpy(&f.token, kept.data(), std::min(kept.size(), token_size));
  f.value = std::move(kept);
  f.value.erase(0, token_size);
  return f;
}

std::string resp(std::initializer_list<std::string_view> parts) {
  std::string out;
  append_resp(out, parts);
  return out;
}

/// AUTH, SELECT, then a command whose reply shows whether this is the right server (ROLE for a master).
StoreConnection::Greeting greeting(const config::StoreNode& node, bool master, bool sentinel) {
  StoreConnection::Greeting g;
  const bool login = !node.password.empty();
  if (login) {
    g.text += node.user.empty() ? resp({"AUTH", node.password}) : resp({"AUTH", node.user, node.password});
    ++g.replies;
  }
  if (node.database != 0) {
    g.text += resp({"SELECT", std::to_string(node.database)});
    ++g.replies;
  }
  g.text += master ? resp({"ROLE"}) : resp({"PING"});
  ++g.replies;
  const bool lenient = login && (sentinel || node.login_is_shared);
  g.check = [master, lenient](std::span<const Reply> replies) -> std::string {
    const Reply& last = replies.back();
    // A server that was given the other side's login, and needs none, passes if it answers the last command.
    // Sentinels often have neither users nor a password.
    const bool forgiven = lenient && !last.is(Reply::Kind::error);
    for (const Reply& r : replies.subspan(forgiven ? 1 : 0))
      if (r.is(Reply::Kind::error)) return r.text;
    if (master && (last.list.empty() || last.list.front().text != "master")) return "it is no master";
    return {};
  };
  return g;
}

}  // namespace

std::uint16_t redis_slot(std::string_view key) noexcept {
  const std::size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  boost::crc_xmodem_t crc;
  crc.process_bytes(key.data(), key.size());
  return static_cast<std::uint16_t>(crc.checksum() % 16384);
}

/// State of the coroutine that finds servers. It outlives the store by at most its last wake-up.
struct RedisStore::Watcher {
  Watcher(RedisStore& s, DeadlineWheel& wheel) : store(&s), wake(wheel) {}
  RedisStore* store;  // null: the store is gone
  EventFlags wake;
};

RedisStore::RedisStore(std::shared_ptr<StoreSurroundings> around)
    : around_(std::move(around)), settings_(around_->settings) {
  if (settings_.redis_mode == config::RedisMode::single) {
    master_ = connection(settings_.nodes.front().address);
    return;
  }
  const bool sentinel = settings_.redis_mode == config::RedisMode::sentinel;
  for (const config::StoreNode& node : settings_.nodes) connection(node.address, sentinel);
  watcher_ = std::make_shared<Watcher>(*this, around_->loop.wheel);
  asio::co_spawn(around_->loop.ctx.get_executor(), watch(watcher_), asio::detached);
}

RedisStore::~RedisStore() {
  stop();
}

void RedisStore::stop() noexcept {
  around_->stopping = true;
  if (watcher_) {
    watcher_->store = nullptr;
    std::exchange(watcher_, nullptr)->wake.set(EventFlags::stop);
  }
  for (const auto* all : {&connections_, &sentinels_})
    for (const auto& [address, connection] : *all) connection->stop();
  around_->resolver.reset();
}

RedisStore::Connection RedisStore::connection(const config::Address& address, bool sentinel) {
  Connection& known = (sentinel ? sentinels_ : connections_)[address.text()];
  if (!known) {
    config::StoreNode node = settings_.nodes.front();  // default: the first node's password and TLS
    for (const config::StoreNode& configured : settings_.nodes)
      if (configured.address == address) node = configured;
    const bool master = settings_.redis_mode == config::RedisMode::sentinel && !sentinel;
    if (master && !(node.address == address)) {  // a listed node has its own login
      node.user = settings_.redis_master_user;
      node.password = settings_.redis_master_password;
      node.login_is_shared = settings_.redis_master_login_is_shared;
    }
    node.address = address;
    if (sentinel) node.database = 0;
    known =
        std::make_shared<StoreConnection>(around_, node, greeting(node, master, sentinel), make_resp_reader);
    known->start();
  }
  return known;
}

RedisStore::Connection RedisStore::owner(std::string_view key) {
  if (settings_.redis_mode != config::RedisMode::cluster) return master_;
  const std::uint16_t at = slots_[redis_slot(key)];
  return at == 0 ? nullptr : nodes_[at - 1U];
}

bool RedisStore::available() const noexcept {
  if (around_->stopping) return false;
  if (settings_.redis_mode != config::RedisMode::cluster) return master_ && master_->available();
  return std::any_of(nodes_.begin(), nodes_.end(), [](const auto& c) { return c->available(); });
}

std::string RedisStore::problem() const {
  std::string all;
  const bool two_sides = settings_.redis_mode == config::RedisMode::sentinel;
  const auto add = [&](const char* side, const auto& connections) {
    for (const auto& [address, connection] : connections)
      if (!connection->up() && !connection->problem().empty())
        all += (all.empty() ? "" : "; ") + std::string(two_sides ? side : "") + address + ": " +
               connection->problem();
  };
  add("sentinel ", sentinels_);
  add("master ", connections_);
  if (all.empty() && !available()) all = "no server that could be asked was found yet";
  return all;
}

void RedisStore::look_again() noexcept {
  if (watcher_) watcher_->wake.set(EventFlags::granted);
}

Task<Result<Reply>> RedisStore::call(std::string key, std::string command, StoreCall call) {
  Connection to = owner(key);
  bool asking = false;
  constexpr int max_rounds = 5;
  for (int round = 0; round < max_rounds && to; ++round) {
    std::string text = asking ? resp({"ASKING"}) + command : command;
    const unsigned before = asking ? 1 : 0;
    Result<Reply> reply = co_await to->ask(std::move(text), call, before);
    if (!reply) {
      if (reply.error() == StoreErrc::unavailable) look_again();
      co_return reply.error();
    }
    if (!reply->is(Reply::Kind::error)) co_return std::move(*reply);
    const RedisError error = read_redis_error(reply->text);
    asking = error.kind == RedisError::Kind::ask;
    switch (error.kind) {
      case RedisError::Kind::no_script:
        co_return std::move(*reply);
      case RedisError::Kind::full:
        co_return error_code(StoreErrc::full);
      case RedisError::Kind::refused:
        co_return error_code(StoreErrc::refused);
      case RedisError::Kind::wrong_one:
        to->reset(std::string(error.text));
        [[fallthrough]];
      case RedisError::Kind::not_now:
        look_again();
        co_return error_code(StoreErrc::unavailable);
      case RedisError::Kind::moved:
        look_again();
        break;
      case RedisError::Kind::ask:
        break;
    }
    const auto place = redis_place(error.text);
    if (!place) break;
    config::Address at{config::Address::Kind::tcp, place->host, place->port};
    if (at.host.empty()) at.host = to->node().address.host;
    to = connection(at);
  }
  look_again();
  co_return error_code(StoreErrc::unavailable);
}

Task<Result<std::optional<Store::Found>>> RedisStore::get(std::string key, StoreCall call) {
  std::string command = resp({"GET", key});
  Result<Reply> reply = co_await this->call(key, std::move(command), call);
  if (!reply) co_return reply.error();
  if (reply->is(Reply::Kind::nothing)) co_return std::optional<Found>();
  if (!reply->is(Reply::Kind::text)) co_return error_code(StoreErrc::refused);
  co_return std::optional<Found>(found(std::move(reply->text)));
}

Task<Result<Store::Swapped>> RedisStore::swap(std::string key, std::uint64_t expected, std::string value,
                                              std::chrono::milliseconds ttl, StoreCall call) {
  std::uint64_t token = 0;
  while (token == 0)
    if (::RAND_bytes(reinterpret_cast<std::uint8_t*>(&token), sizeof token) != 1)
      co_return error_code(StoreErrc::refused);
  const std::string kept = token_bytes(token) + value;
  const std::string wanted = expected == 0 ? std::string() : token_bytes(expected);
  const std::string life = std::to_string(std::max<std::int64_t>(ttl.count(), 1));
  std::string by_sha = resp({"EVALSHA", swap_sha(), "1", key, wanted, kept, life});
  Result<Reply> reply = co_await this->call(key, std::move(by_sha), call);
  if (reply && reply->is(Reply::Kind::error)) {  // NOSCRIPT
    std::string by_text = resp({"EVAL", swap_script, "1", key, wanted, kept, life});
    reply = co_await this->call(key, std::move(by_text), call);
  }
  if (!reply) co_return reply.error();
  if (!reply->is(Reply::Kind::list) || reply->list.empty()) co_return error_code(StoreErrc::refused);
  Swapped result;
  result.done = reply->list.front().number == 1;
  if (!result.done && reply->list.size() > 1 && reply->list[1].is(Reply::Kind::text))
    result.standing = found(std::move(reply->list[1].text));
  co_return result;
}

// Finding servers -----------------------------------------------------------------------------------

Task<void> RedisStore::watch(std::shared_ptr<Watcher> watcher) {
  constexpr std::chrono::milliseconds calm{5000}, worried{500}, at_first{50}, least{100};
  EventFlags& wake = watcher->wake;
  int tries = 0;
  while (watcher->store != nullptr) {
    RedisStore& store = *watcher->store;
    if (store.settings_.redis_mode == config::RedisMode::sentinel)
      co_await store.ask_sentinels(wake);
    else
      co_await store.read_slots(wake);
    if (watcher->store == nullptr) break;
    const Clock& clock = store.around_->clock;
    const bool fine = store.settings_.redis_mode == config::RedisMode::sentinel
                          ? store.available()
                          : !store.nodes_.empty() && std::all_of(store.nodes_.begin(), store.nodes_.end(),
                                                                 [](const auto& c) { return c->up(); });
    const auto pause = fine ? calm : tries++ < 20 ? at_first : worried;
    const Clock::Steady now = clock.steady_now();
    wake.until(now + pause);
    for (bool again = false; watcher->store != nullptr && !again;) {
      unsigned bits = wake.take();
      if (bits == 0) bits = co_await wake.any();
      // A request to look again waits `least` at least.
      if (bits & EventFlags::granted) wake.until(std::min(now + pause, clock.steady_now() + least));
      again = (bits & EventFlags::deadline) != 0;
    }
  }
  wake.no_deadline();
}

Task<void> RedisStore::ask_sentinels(EventFlags& wake) {
  const auto watcher = watcher_;
  const std::string question = resp({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", settings_.redis_master});
  const auto sentinels = sentinels_;
  for (const auto& [name, sentinel] : sentinels) {
    const StoreCall call{wake, around_->clock.steady_now() + std::chrono::milliseconds(500)};
    Result<Reply> reply = co_await sentinel->ask(question, call);
    if (watcher->store == nullptr) co_return;
    if (!reply || reply->list.size() != 2) continue;
    const auto port = parse_decimal(reply->list[1].text);
    if (!port || *port == 0 || *port > 65535) continue;
    const config::Address address{config::Address::Kind::tcp, reply->list[0].text,
                                  static_cast<std::uint16_t>(*port)};
    if (master_ && master_->node().address == address) co_return;
    if (master_) {
      master_->stop();
      connections_.erase(master_->node().address.text());
    }
    master_ = connection(address);
    co_return;
  }
}

Task<void> RedisStore::read_slots(EventFlags& wake) {
  const auto watcher = watcher_;
  std::vector<Connection> known;
  for (const auto& [name, connection] : connections_)
    if (connection->available()) known.push_back(connection);
  for (const auto& connection : known) {
    const StoreCall call{wake, around_->clock.steady_now() + std::chrono::milliseconds(500)};
    std::string question = resp({"CLUSTER", "SLOTS"});
    Result<Reply> reply = co_await connection->ask(std::move(question), call);
    if (watcher->store == nullptr) co_return;
    if (reply && adopt_slots(*reply, connection->node().address)) co_return;
  }
}

bool RedisStore::adopt_slots(const Reply& reply, const config::Address& said_by) {
  std::vector<Connection> nodes;
  std::array<std::uint16_t, slot_count> slots{};
  for (const Reply& range : reply.list) {
    if (range.list.size() < 3 || range.list[2].list.size() < 2) return false;
    const std::int64_t from = range.list[0].number, to = range.list[1].number;
    const std::int64_t port = range.list[2].list[1].number;
    if (from < 0 || to >= static_cast<std::int64_t>(slot_count) || from > to || port < 1 || port > 65535)
      return false;
    const std::string& host = range.list[2].list[0].text;  // empty: the host of the node that answers
    const Connection c = connection(
        {config::Address::Kind::tcp, host.empty() ? said_by.host : host, static_cast<std::uint16_t>(port)});
    auto at = std::find(nodes.begin(), nodes.end(), c);
    if (at == nodes.end()) at = nodes.insert(nodes.end(), c);
    const auto number = static_cast<std::uint16_t>(at - nodes.begin() + 1);
    std::fill(slots.begin() + from, slots.begin() + to + 1, number);
  }
  if (nodes.empty()) return false;
  nodes_ = std::move(nodes);
  slots_ = slots;
  forget_former_nodes();
  return true;
}

/// Drops connections to servers that have left the cluster: addresses of containers are not used twice, so
/// they would be tried forever, and reported. Servers that still answer may own a slot that is moving.
void RedisStore::forget_former_nodes() {
  std::erase_if(connections_, [&](const auto& entry) {
    const Connection& c = entry.second;
    const bool configured = std::any_of(settings_.nodes.begin(), settings_.nodes.end(),
                                        [&](const auto& node) { return node.address == c->node().address; });
    if (configured || c->available() || std::find(nodes_.begin(), nodes_.end(), c) != nodes_.end())
      return false;
    c->stop();
    return true;
  });
}

}  // namespace remora
