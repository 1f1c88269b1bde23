// The pages of a session's two large blocks.

#include "http/h2/pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

namespace remora::test {
namespace {

constexpr std::size_t table = 4096, frames = 16 * 1024 + 10;

bool resident(void* page) {
  unsigned char state = 0;
  EXPECT_EQ(::mincore(page, 1, &state), 0);
  return (state & 1) != 0;
}

TEST(Http2Pages, ServeEachOfTheTwoBlocksOnce) {
  Http2Pages pages;
  void* const first = pages.take(frames);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(pages.take(frames), nullptr);
  EXPECT_EQ(pages.take(100), nullptr);
  EXPECT_GE(pages.room(first), frames);
  EXPECT_NE(pages.take(table), nullptr);
  EXPECT_TRUE(pages.give_back(first));
  EXPECT_FALSE(pages.give_back(first));
  EXPECT_EQ(pages.take(frames), first);
  int other = 0;
  EXPECT_FALSE(pages.give_back(&other));
  EXPECT_FALSE(pages.give_back(nullptr));
}

TEST(Http2Pages, AreNotResidentWhileDiscarded) {
  Http2Pages pages;
  void* const block = pages.take(frames);
  auto* const zeros = static_cast<char*>(pages.take(table));
  std::memset(block, 1, frames);
  std::memset(zeros, 0, table);
  pages.discard();
  EXPECT_FALSE(resident(block));
  EXPECT_FALSE(resident(zeros));
  EXPECT_EQ(zeros[4095], 0);
}

TEST(Http2Pages, KeepATableThatIsNotEmpty) {
  Http2Pages pages;
  void* const block = pages.take(frames);
  auto* const content = static_cast<char*>(pages.take(table));
  std::memset(block, 1, frames);
  std::memset(content, 0, table);
  content[4095] = 1;
  pages.discard();
  EXPECT_FALSE(resident(block));
  EXPECT_EQ(content[4095], 1);
}

}  // namespace
}  // namespace remora::test
