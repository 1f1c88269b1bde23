#include "session/session_store.h"

#include <algorithm>

#include "session/revocation.h"
#include "util/text.h"

namespace remora {

using std::chrono::milliseconds;

milliseconds time_to_live(const Record& r, const config::Session& s, Clock::Wall now) noexcept {
  const auto end = std::chrono::duration_cast<milliseconds>(r.binding.created + s.max_lifetime - now);
  milliseconds idle = s.idle_timeout ? *s.idle_timeout * 5 / 4 : s.max_lifetime;
  // A mark must outlive every token and every local copy of the session it ends.
  if (r.ended) return std::max(idle, milliseconds(1000));
  return std::max(std::min(end, idle), milliseconds(1000));
}

std::string SessionStore::name(const SessionKey& key) const {
  std::string out = prefix_ + ":s:";
  base64url_append(out, key.mac.data(), key.mac.size());
  return out;
}

Task<Result<std::optional<Record>>> SessionStore::find(SessionKey key, StoreCall call) {
  Result<std::optional<Store::Found>> found = co_await store_.get(name(key), call);
  if (!found) co_return found.error();
  if (!*found) co_return std::optional<Record>();
  co_return decode((*found)->value);
}

Task<Result<SessionStore::Outcome>> SessionStore::change(SessionKey key, Rule rule, config::Session lifetimes,
                                                         bool fresh, StoreCall call) {
  const std::string at = name(key);
  std::optional<Store::Found> found;
  if (!fresh) {
    Result<std::optional<Store::Found>> got = co_await store_.get(at, call);
    if (!got) co_return got.error();
    found = std::move(*got);
  }
  constexpr int max_rounds = 16;
  for (int round = 0; round < max_rounds; ++round) {
    std::optional<Record> standing;
    if (found) standing = decode(found->value);
    std::optional<Record> wanted = rule(standing);
    if (!wanted) {
      Outcome result;
      result.record = std::move(standing);
      co_return result;
    }
    const milliseconds ttl = time_to_live(*wanted, lifetimes, clock_.wall_now());
    const std::uint64_t expected = found ? found->token : 0;
    std::string bytes = encode(*wanted);
    Result<Store::Swapped> swapped = co_await store_.swap(at, expected, std::move(bytes), ttl, call);
    if (!swapped) co_return swapped.error();
    if (swapped->done) {
      Outcome result;
      result.record = std::move(wanted);
      result.changed = true;
      co_return result;
    }
    found = std::move(swapped->standing);
  }
  co_return error_code(StoreErrc::refused);
}

Task<Result<bool>> SessionStore::revoked(std::string value, StoreCall call) {
  constexpr std::size_t max_raw_bytes = 4096;
  std::string key = revocation_key(prefix_, value);
  std::string raw = prefix_ + ":revoked:" + value;
  const bool two = raw != key && raw.size() <= max_raw_bytes && store_.may_hold(raw);
  Result<std::optional<Store::Found>> found = co_await store_.get(std::move(key), call);
  if (two && found && !found->has_value()) {
    found = co_await store_.get(std::move(raw), call);
  }
  if (!found) co_return Result<bool>(boost::system::in_place_error, found.error());
  co_return Result<bool>(boost::system::in_place_value, found->has_value());
}

}  // namespace remora
