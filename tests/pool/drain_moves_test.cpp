// Moves after a drain's deadline: at a rate, and of those whose stream was ended. By a manual clock.

#include <gtest/gtest.h>

#include "pool/pool_view.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

int allowed(DrainMoves& moves, std::chrono::steady_clock::time_point now, int of) {
  int n = 0;
  for (int i = 0; i < of; ++i) n += moves.allow(now) ? 1 : 0;
  return n;
}

TEST(DrainMoves, AreAHundredASecondWithoutBursts) {
  DrainMoves moves;
  std::chrono::steady_clock::time_point now{1000h};
  EXPECT_EQ(allowed(moves, now, 10), 1);
  int n = 0;
  for (int i = 0; i < 1000; ++i) n += allowed(moves, now += 1ms, 3);
  EXPECT_EQ(n, 100);
}

TEST(DrainMoves, WhoseStreamWasEndedMoveBesides) {
  DrainMoves moves;
  std::chrono::steady_clock::time_point now{1000h};
  for (int i = 0; i < 20; ++i) moves.stream_ended(now);
  EXPECT_TRUE(moves.would_allow(now));
  EXPECT_EQ(allowed(moves, now, 100), 21);
  EXPECT_FALSE(moves.would_allow(now));
}

TEST(DrainMoves, WhoDoesNotComeBackSoonLeavesNoRoomForOthers) {
  DrainMoves moves;
  std::chrono::steady_clock::time_point now{1000h};
  for (int i = 0; i < 20; ++i) moves.stream_ended(now);
  EXPECT_EQ(allowed(moves, now += 29s, 5), 5);
  EXPECT_EQ(allowed(moves, now += 1s, 100), 1);
  moves.stream_ended(now);
  EXPECT_EQ(allowed(moves, now, 100), 1);
}

}  // namespace
}  // namespace remora
