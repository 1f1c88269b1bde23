#include "session/memcached_store.h"

#include <algorithm>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "util/text.h"

namespace remora {

namespace {
/// Whole seconds, rounded up, at most 30 days: Memcached reads a larger number as a date.
std::uint64_t seconds_of(std::chrono::milliseconds ttl) {
  constexpr std::int64_t most = 30LL * 24 * 3600;
  return static_cast<std::uint64_t>(std::clamp<std::int64_t>((ttl.count() + 999) / 1000, 1, most));
}
}  // namespace

MemcachedStore::MemcachedStore(std::shared_ptr<StoreSurroundings> around) : around_(std::move(around)) {
  for (const config::StoreNode& node : around_->settings.nodes) {
    StoreConnection::Greeting greeting;
    greeting.text = "mn\r\n";
    greeting.replies = 1;
    greeting.check = [](std::span<const Reply> replies) {
      return replies.front().text == "MN" ? "" : "it knows no meta commands (Memcached 1.6 does)";
    };
    nodes_.push_back(std::make_shared<StoreConnection>(around_, node, std::move(greeting), make_meta_reader));
    nodes_.back()->start();
  }
}

MemcachedStore::~MemcachedStore() {
  stop();
}

void MemcachedStore::stop() noexcept {
  around_->stopping = true;
  for (const auto& node : nodes_) node->stop();
  around_->resolver.reset();
}

bool MemcachedStore::available() const noexcept {
  return !around_->stopping &&
         std::any_of(nodes_.begin(), nodes_.end(), [](const auto& n) { return n->available(); });
}

std::string MemcachedStore::problem() const {
  std::string all;
  for (const auto& node : nodes_)
    if (!node->up() && !node->problem().empty())
      all += (all.empty() ? "" : "; ") + node->node().address.text() + ": " + node->problem();
  return all;
}

Task<Result<Reply>> MemcachedStore::call(std::string key, std::string command, StoreCall call) {
  const std::uint64_t hash = XXH3_64bits(key.data(), key.size());
  std::shared_ptr<StoreConnection> to;
  std::uint64_t best = 0;
  for (const auto& node : nodes_) {
    const std::string name = node->node().address.text();
    const std::uint64_t score = XXH3_64bits_withSeed(name.data(), name.size(), hash);
    if (to && score <= best) continue;
    to = node;
    best = score;
  }
  Result<Reply> reply = co_await to->ask(std::move(command), call);
  if (reply && reply->is(Reply::Kind::error)) {
    const bool full = reply->text.starts_with("SERVER_ERROR out of memory") ||
                      reply->text.starts_with("SERVER_ERROR object too large");
    co_return error_code(full ? StoreErrc::full : StoreErrc::refused);
  }
  co_return reply;
}

Task<Result<std::optional<Store::Found>>> MemcachedStore::get(std::string key, StoreCall call) {
  std::string command = "mg " + key + " v c\r\n";
  Result<Reply> reply = co_await this->call(key, std::move(command), call);
  if (!reply) co_return reply.error();
  if (reply->text == "EN") co_return std::optional<Found>();
  const std::size_t cas = reply->text.find(" c");
  if (reply->list.empty() || cas == std::string::npos) co_return error_code(StoreErrc::refused);
  const std::string_view rest = std::string_view(reply->text).substr(cas + 2);
  const auto token = parse_decimal(rest.substr(0, rest.find(' ')));
  if (!token) co_return error_code(StoreErrc::refused);
  Found f;
  f.value = std::move(reply->list.front().text);
  f.token = *token;
  co_return std::optional<Found>(std::move(f));
}

Task<Result<Store::Swapped>> MemcachedStore::swap(std::string key, std::uint64_t expected, std::string value,
                                                  std::chrono::milliseconds ttl, StoreCall call) {
  std::string command = "ms " + key + " ";
  append_decimal(command, value.size());
  command += " T";
  append_decimal(command, seconds_of(ttl));
  if (expected == 0) {
    command += " ME";
  } else {
    command += " C";
    append_decimal(command, expected);
  }
  command.append("\r\n").append(value).append("\r\n");
  Result<Reply> reply = co_await this->call(key, std::move(command), call);
  if (!reply) co_return reply.error();
  Swapped result;
  result.done = reply->text.starts_with("HD");
  if (result.done || reply->text.starts_with("NF")) co_return result;
  if (!reply->text.starts_with("EX") && !reply->text.starts_with("NS"))
    co_return error_code(StoreErrc::refused);
  Result<std::optional<Found>> standing = co_await get(std::move(key), call);
  if (!standing) co_return standing.error();
  result.standing = std::move(*standing);
  co_return result;
}

}  // namespace remora
