// Events: what changed, as it changes, for whoever listens on /api/v1/events (server-sent events).
//
// The last ones are kept, so that a listener who comes back with Last-Event-ID misses nothing recent. A
// listener that does not read loses its place, not ours: its queue is bounded.
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
  static constexpr std::size_t most_kept = 256;

  /// One listener's queue; `filled` is cancelled when something comes.
  struct Listener {
    explicit Listener(const Executor& executor) : filled(executor) {}
    std::deque<std::string> pending;  // each a whole event in its wire form
    Timer filled;
    bool overrun = false, closed = false;
  };

  explicit EventHub(Executor executor) : executor_(std::move(executor)) {}

  /// `type`: backend | reload | drain | upgrade | discovery. `data` gets the time.
  void emit(std::string_view type, boost::json::object data, Clock::Wall now);
  /// `after`: the last event that the listener has seen; 0: only new ones.
  std::shared_ptr<Listener> listen(std::uint64_t after);
  /// The server stops.
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
