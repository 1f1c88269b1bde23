// Change events for the clients of /api/v1/events (server-sent events).
//
// The most recent events are kept, so that a client that reconnects with Last-Event-ID misses nothing recent.
// Queues are bounded: a client that does not read is disconnected.
// Threading: control thread.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "remora/clock.h"
#include "remora/task.h"

namespace remora {

class EventHub {
 public:
  using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                           asio::wait_traits<std::chrono::steady_clock>, Executor>;
  static constexpr std::size_t max_kept = 256;

  /// One client's queue. `filled` is canceled when an event arrives.
  struct Listener {
    explicit Listener(const Executor& executor) : filled(executor) {}
    std::deque<std::string> pending;  // each one a complete event in wire format
    Timer filled;
    bool overrun = false, closed = false;
  };

  explicit EventHub(Executor executor) : executor_(std::move(executor)) {}

  /// `type`: backend | reload | discovery | upgrade | store. Adds the time to `data`.
  void emit(std::string_view type, boost::json::object data, Clock::Wall now);
  /// `after`: the last event the client has seen; 0: only new ones.
  std::shared_ptr<Listener> listen(std::uint64_t after);
  /// Ends all streams; the server is stopping.
  void close();

 private:
  struct Kept {
    std::uint64_t id;
    std::string wire;
  };
  Executor executor_;
  std::uint64_t last_id_ = 0;
  std::deque<Kept> kept_;
  std::vector<std::weak_ptr<Listener>> listeners_;
};

}  // namespace remora
