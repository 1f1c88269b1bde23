#include "pool/pool_view.h"

#include <algorithm>

#include "util/hash.h"

namespace remora {

bool RateLimit::allow(double per_second, std::chrono::steady_clock::time_point now) noexcept {
  const auto at = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  std::int64_t next = next_ns_.load(std::memory_order_relaxed);
  while (at >= next)
    if (next_ns_.compare_exchange_weak(next, at + static_cast<std::int64_t>(1e9 / per_second))) return true;
  return false;
}

bool RateLimit::would_allow(std::chrono::steady_clock::time_point now) const noexcept {
  const auto at = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  return at >= next_ns_.load(std::memory_order_relaxed);
}

namespace {
std::int64_t nanoseconds_of(std::chrono::steady_clock::time_point t) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}
}  // namespace

bool DrainMoves::expects(std::int64_t at_ns) const noexcept {
  return expected_.load(std::memory_order_relaxed) > 0 &&
         at_ns < expected_until_ns_.load(std::memory_order_relaxed);
}

bool DrainMoves::allow(std::chrono::steady_clock::time_point now) noexcept {
  if (rate_.allow(per_second, now)) return true;
  if (!expects(nanoseconds_of(now))) return false;
  std::uint32_t left = expected_.load(std::memory_order_relaxed);
  while (left > 0)
    if (expected_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
  return false;
}

bool DrainMoves::would_allow(std::chrono::steady_clock::time_point now) const noexcept {
  return rate_.would_allow(now) || expects(nanoseconds_of(now));
}

void DrainMoves::stream_ended(std::chrono::steady_clock::time_point now) noexcept {
  const std::int64_t at = nanoseconds_of(now);
  if (at >= expected_until_ns_.load(std::memory_order_relaxed)) expected_.store(0, std::memory_order_relaxed);
  expected_.fetch_add(1, std::memory_order_relaxed);
  expected_until_ns_.store(at + std::chrono::nanoseconds(expected_for).count(), std::memory_order_relaxed);
}

bool TokenBucket::take(std::chrono::steady_clock::time_point now) noexcept {
  const auto at = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  constexpr std::int64_t second = 1'000'000'000;
  std::int64_t full_at = full_at_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t next = std::max(full_at, std::int64_t{at}) + every_;
    if (next - at > second) return false;
    if (full_at_.compare_exchange_weak(full_at, next, std::memory_order_relaxed)) return true;
  }
}

std::uint64_t connection_key(const Endpoint& endpoint, const ClientTls* tls,
                             config::BackendProtocol protocol) noexcept {
  std::string made_of(reinterpret_cast<const char*>(&endpoint.storage), endpoint.size);
  const std::uint64_t number = tls != nullptr ? tls->number() : 0;
  made_of.append(reinterpret_cast<const char*>(&number), sizeof number);
  made_of += static_cast<char>(protocol);
  return hash_text(made_of);
}

bool within_budget(std::uint32_t retries, std::uint32_t requests, double share) noexcept {
  return retries < std::max<std::uint32_t>(3, static_cast<std::uint32_t>(share * requests));
}

}  // namespace remora
