#include "session/lifecycle.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "util/text.h"

namespace remora {

Reason reason_to_move(const Member* member, const Binding& b) noexcept {
  if (member == nullptr) return Reason::removed;
  if (!member->accepts_bound()) return member->admin == Admin::maint ? Reason::maint : Reason::failover;
  // The backend announced a higher generation than the one the session was placed under: the process
  // restarted and lost its memory. A session placed before the first announcement adopts the number and
  // stays.
  if (b.generation != 0 && member->backend->generation.load(std::memory_order_relaxed) > b.generation)
    return Reason::restart;
  if (b.leave) return Reason::rebalance;  // the app asked for it
  return Reason::none;
}

std::uint64_t move_key(const Binding& b) noexcept {
  // Any fixed mixing function works, as long as every replica uses the same one. This is splitmix64's.
  std::uint64_t z = b.id.hash() + (static_cast<std::uint64_t>(b.epoch) + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

Binding born(const SessionId& id, const Backend& at, Clock::Wall now) noexcept {
  Binding b;
  b.id = id;
  b.backend = at.hash;
  b.epoch = 1;
  b.created = b.last_seen = now;
  return b;
}

Binding moved(const Binding& from, const Backend& to) noexcept {
  Binding b = from;
  b.backend = to.hash;
  b.generation = 0;  // learned from its first response
  b.leave = false;
  ++b.epoch;
  return b;
}

SessionId id_from_key(const SessionKey& key) noexcept {
  SessionId id;
  std::copy_n(key.mac.end() - static_cast<std::ptrdiff_t>(id.bytes.size()), id.bytes.size(),
              id.bytes.begin());
  return id;
}

namespace {

/// The id that follows from another one in the period of this number.
template <std::size_t Size>
SessionId id_in_period(const char (&purpose)[Size], const SessionId& from, std::int64_t number) noexcept {
  std::uint8_t text[Size + sizeof from.bytes + sizeof number], digest[SHA256_DIGEST_LENGTH];
  std::memcpy(text, purpose, Size);
  std::memcpy(text + Size, from.bytes.data(), sizeof from.bytes);
  for (std::size_t i = 0; i < sizeof number; ++i)
    text[Size + sizeof from.bytes + i] = static_cast<std::uint8_t>(number >> (8 * i));
  SHA256(text, sizeof text, digest);
  SessionId id;
  std::memcpy(id.bytes.data(), digest, id.bytes.size());
  return id;
}

}  // namespace

SessionId id_from_key(const SessionKey& key, const config::Session& lifetimes, Clock::Wall now) noexcept {
  // A session that ended or expired, and of which nothing is known any more, began in an earlier period.
  const Clock::Wall::duration life = lifetimes.max_lifetime;
  const Clock::Wall::duration idle = lifetimes.idle_timeout ? *lifetimes.idle_timeout : life;
  const auto period = std::max<Clock::Wall::duration>(std::min(life, idle), std::chrono::seconds(1));
  return id_in_period("remora derived", id_from_key(key), now.time_since_epoch() / period);
}

SessionId successor(const SessionId& expired, Clock::Wall now) noexcept {
  return id_in_period("remora successor", expired, now.time_since_epoch() / std::chrono::minutes(10));
}

namespace {

struct ControlValue {
  Control control = Control::none;
  std::string_view move_to;
  bool operator==(const ControlValue&) const = default;
};

/// The backend in `to=ID` or `to="ID"`. Empty: malformed.
std::string_view read_to(std::string_view parameter) noexcept {
  parameter = trim(parameter);
  constexpr std::string_view key = "to=";
  if (parameter.size() <= key.size() || !iequals(parameter.substr(0, key.size()), key)) return {};
  parameter.remove_prefix(key.size());
  if (parameter.front() == '"') {
    if (parameter.size() < 3 || parameter.back() != '"') return {};
    parameter = parameter.substr(1, parameter.size() - 2);
  }
  return parameter.find_first_of("\"\\;") == std::string_view::npos ? parameter : std::string_view();
}

/// `end`, `renew`, `pin`, `move` or `move; to="ID"` (RFC 8941 item with a parameter). Everything else means
/// nothing.
ControlValue read_control(std::string_view value) noexcept {
  const std::size_t semicolon = value.find(';');
  const std::string_view word = trim(value.substr(0, semicolon));
  ControlValue out;
  out.control = iequals(word, "end")     ? Control::end
                : iequals(word, "renew") ? Control::renew
                : iequals(word, "pin")   ? Control::pin
                : iequals(word, "move")  ? Control::move
                                         : Control::none;
  if (semicolon == std::string_view::npos) return out;
  out.move_to = read_to(value.substr(semicolon + 1));
  return out.control == Control::move && !out.move_to.empty() ? out : ControlValue();
}

}  // namespace

SessionFields read_session_fields(std::span<const Field> fields) noexcept {
  SessionFields out;
  bool control_seen = false, generation_seen = false;
  for (const Field& f : fields) {
    if (f.known != Known::remora) continue;
    const std::string_view name = f.name.substr(7);
    if (f.name[6] == '-' && iequals(name, "session-control")) {
      const ControlValue value = read_control(f.value);
      const bool agrees = !control_seen || value == ControlValue{out.control, out.move_to};
      out.control = agrees ? value.control : Control::none;
      out.move_to = agrees ? value.move_to : std::string_view();
      control_seen = true;
    } else if (f.name[6] == '-' && iequals(name, "generation")) {
      const std::uint64_t value = parse_decimal(f.value).value_or(0);
      out.generation = !generation_seen || out.generation == value ? value : 0;
      generation_seen = true;
    } else if (f.name[6] == '-' && iequals(name, "state")) {
      ++out.state_fields;
      out.state = f.value;
    } else if (f.name[6] == '-' && iequals(name, "state-version")) {
      out.state_version = parse_decimal(f.value).value_or(0);
    }
  }
  return out;
}

std::string_view read_replay(std::span<const Field> fields) noexcept {
  std::string_view found;
  bool seen = false;
  for (const Field& f : fields) {
    if (f.known != Known::remora || !iequals(f.name, "remora-replay")) continue;
    const std::string_view to = read_to(f.value);
    if (to.empty() || (seen && to != found)) return {};
    found = to;
    seen = true;
  }
  return found;
}

void append_announcement(const Binding& b, Reason reason, std::string& out) {
  out += '"';
  append_hex(out, b.id.bytes.data(), b.id.bytes.size());
  out += "\";epoch=";
  append_decimal(out, b.epoch);
  out += ";reason=";
  out += to_string(reason);
}

}  // namespace remora
