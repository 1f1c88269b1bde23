#include "server/alarm.h"

#include <boost/asio/basic_waitable_timer.hpp>

#include "remora/task.h"

namespace remora {

namespace {

class LoopAlarm final : public Alarm {
 public:
  explicit LoopAlarm(Loop& loop) : timer_(loop.ctx.get_executor()) {}

  void set(Clock::Steady at, std::function<void()> ring) override {
    timer_.expires_at(at);
    timer_.async_wait(
        [this, setting = ++setting_, ring = std::move(ring)](const boost::system::error_code& ec) {
          if (!ec && setting == setting_) ring();
        });
  }
  void cancel() override {
    ++setting_;
    timer_.cancel();
  }

 private:
  asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                             Executor>
      timer_;
  unsigned setting_ = 0;  // so that set() also replaces an alarm that has expired but not run yet
};

}  // namespace

std::unique_ptr<Alarm> make_alarm(Loop& loop) {
  return std::make_unique<LoopAlarm>(loop);
}

}  // namespace remora
