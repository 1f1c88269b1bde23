// Store: values under keys, with compare-and-set. The contract of the memory, Redis and Memcached stores;
// session_store.h builds sessions on it.
//
// A value is opaque. Each write of a key has a token. A swap succeeds only if the key still has the token
// that the caller saw (0: the key must not exist), in one atomic step at the store. So every rule about
// sessions (first writer wins, epochs) is one pure function here, the same for every store.
//
// Failures are values: `unavailable` (no connection; costs nothing, because connections know their state),
// `timeout`, `refused` (the store answered, but not as expected), `full`. The caller continues without the
// store.
// Threading: one object per worker, used by its thread only. Lifetime: outlives the calls.
#pragma once

#include <algorithm>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/event_flags.h"
#include "remora/clock.h"
#include "remora/result.h"
#include "remora/task.h"

namespace remora {

enum class StoreErrc { unavailable = 1, timeout, refused, full };
error_code make_error_code(StoreErrc) noexcept;

/// How one operation waits: on the caller's `wake`, on which nothing else may wait meanwhile. Other event
/// bits are kept.
struct StoreCall {
  EventFlags& wake;
  Clock::Steady deadline;
  std::uint16_t pool = 0;  // pool of the session; pools share what is bounded
  bool returning = false;  // the client came back with the session: worth more than a first visit
};

class Store {
 public:
  struct Found {
    std::string value;
    std::uint64_t token = 0;
  };
  struct Swapped {
    bool done = false;
    std::optional<Found> standing;  // if not done: the current value; nothing: no such key
  };
  virtual ~Store() = default;
  /// `key`: one that may_hold() accepts.
  virtual Task<Result<std::optional<Found>>> get(std::string key, StoreCall call) = 0;
  /// `ttl`: more than zero; adjusted to what the store supports.
  virtual Task<Result<Swapped>> swap(std::string key, std::uint64_t expected, std::string value,
                                     std::chrono::milliseconds ttl, StoreCall call) = 0;
  /// Whether the store accepts such a key, so that somebody else may have written it. Default: Memcached's
  /// rule.
  virtual bool may_hold(std::string_view key) const noexcept {
    return key.size() <= 250 && std::all_of(key.begin(), key.end(), [](char c) {
             const auto byte = static_cast<unsigned char>(c);
             return byte > 0x20 && byte != 0x7f;
           });
  }
  /// An operation started now would not fail at once.
  virtual bool available() const noexcept = 0;
  /// For people: the current problem; empty: none.
  virtual std::string problem() const = 0;
  /// Stops background work. Calls fail from now on.
  virtual void stop() noexcept = 0;
};

}  // namespace remora

namespace boost::system {
template <>
struct is_error_code_enum<remora::StoreErrc> : std::true_type {};
}  // namespace boost::system
