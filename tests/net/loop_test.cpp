// A loop outlives what its handlers throw, and so do the deadlines of everybody else.

#include "net/loop.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <new>
#include <stdexcept>
#include <vector>

namespace remora {
namespace {

TEST(Loop, GoesOnAfterWhatAHandlerThrows) {
  Loop loop;
  int ran = 0, on_exception = 0;
  for (int i = 0; i < 3; ++i) {
    asio::post(loop.ctx, [&] { ++ran; });
    asio::post(loop.ctx, [] { throw std::bad_alloc(); });
    asio::post(loop.ctx, [] { throw std::runtime_error("x"); });
    asio::post(loop.ctx, [] { throw 1; });
  }
  asio::post(loop.ctx, [&] { ++ran; });
  run_to_end(loop, "test", [&] { ++on_exception; });
  EXPECT_EQ(ran, 4);
  EXPECT_EQ(on_exception, 9);
}

class Entry final : public DeadlineEntry {
 public:
  Entry(DeadlineWheel& wheel, int& left, int& expired, bool throws)
      : wheel_(wheel), left_(left), expired_(expired), throws_(throws) {}

 private:
  void expired() override {
    ++expired_;
    if (--left_ == 0) wheel_.stop();
    if (throws_) throw std::bad_alloc();
  }
  DeadlineWheel& wheel_;
  int &left_, &expired_;
  const bool throws_;
};

TEST(Loop, ADeadlineThatThrowsCostsNobodyElseTheirs) {
  Loop loop;
  constexpr int count = 20;
  int left = count, expired = 0;
  std::vector<std::unique_ptr<Entry>> entries;
  const auto now = loop.clock.steady_now();
  for (int i = 0; i < count; ++i) {
    entries.push_back(std::make_unique<Entry>(loop.wheel, left, expired, i % 2 == 0));
    entries.back()->arm(loop.wheel, now + std::chrono::milliseconds(i % 5 * 20));
  }
  run_to_end(loop, "test");
  EXPECT_EQ(expired, count);
}

}  // namespace
}  // namespace remora
