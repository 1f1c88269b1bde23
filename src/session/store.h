// Store: values under keys outside this process, with compare-and-set. The contract of memory, Redis and
// Memcached; what sessions make of it is in session_store.h.
//
// A value is opaque. Each write of a key has a token; a swap succeeds only if the key still has the token
// that the caller saw (0: the key must not exist), in one atomic step at the store. So every rule about
// sessions (first writer wins, epochs) is decided by one pure function here and is the same for every store.
//
// Failures are values: `unavailable` (nobody there: costs nothing, because connections know it), `timeout`,
// `refused` (the store answered, but not what was asked for). The caller goes on without the store.
// Threading: one object per worker, used by its thread only. Lifetime: outlives the calls.
#pragma once

#include <algorithm>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/wake.h"
#include "remora/clock.h"
#include "remora/result.h"
#include "remora/task.h"

namespace remora {

enum class StoreErrc { unavailable = 1, timeout, refused, full };
error_code make_error_code(StoreErrc) noexcept;

/// How one operation waits: on the caller's wake, which it alone waits on meanwhile; other bits are kept.
struct StoreCall {
  Wake& wake;
  Clock::Steady deadline;
  std::uint16_t pool = 0;  // whose session it is; pools share what is bounded
  bool returning = false;  // of a client who came back with the session: worth more than a first visit
};

class Store {
 public:
  struct Found {
    std::string value;
    std::uint64_t token = 0;
  };
  struct Swapped {
    bool done = false;
    std::optional<Found> standing;  // when not done: what stands there instead; nothing: no such key
  };
  virtual ~Store() = default;
  /// Keys: at most 200 characters without white space and controls.
  virtual Task<Result<std::optional<Found>>> get(std::string key, StoreCall call) = 0;
  /// `ttl`: more than zero, rounded up to what the store can keep.
  virtual Task<Result<Swapped>> swap(std::string key, std::uint64_t expected, std::string value,
                                     std::chrono::milliseconds ttl, StoreCall call) = 0;
  /// Whether the store can have such a key, and so somebody else may have written it. Memcached's rule here.
  virtual bool may_hold(std::string_view key) const noexcept {
    return key.size() <= 250 && std::all_of(key.begin(), key.end(), [](char c) {
             const auto byte = static_cast<unsigned char>(c);
             return byte > 0x20 && byte != 0x7f;
           });
  }
  /// An operation that begins now would not fail at once.
  virtual bool available() const noexcept = 0;
  /// For people: what is wrong; empty: nothing.
  virtual std::string trouble() const = 0;
  /// Ends what runs in the background; calls fail from now on.
  virtual void stop() noexcept = 0;
};

}  // namespace remora

namespace boost::system {
template <>
struct is_error_code_enum<remora::StoreErrc> : std::true_type {};
}  // namespace boost::system
