#include "session/lifecycle.h"

#include "util/text.h"

namespace remora {

Reason reason_to_move(const Member* member) noexcept {
  if (member == nullptr) return Reason::removed;
  if (member->accepts_bound()) return Reason::none;
  return member->admin == Admin::maint ? Reason::maint : Reason::failover;
}

std::uint64_t move_key(const Binding& b) noexcept {
  // Any fixed mixing will do, as long as every replica uses the same: this one is splitmix64's.
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
  b.generation = 0;  // of another process: unknown until it says so
  ++b.epoch;
  return b;
}

void append_announcement(const Binding& b, Reason reason, std::string& out) {
  static constexpr char digits[] = "0123456789abcdef";
  out += '"';
  for (const std::uint8_t byte : b.id.bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  out += "\";epoch=";
  append_decimal(out, b.epoch);
  out += ";reason=";
  out += to_string(reason);
}

}  // namespace remora
