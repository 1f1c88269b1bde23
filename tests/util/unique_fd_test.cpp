// Descriptors with an owner: closed exactly once, and never by an owner that has given them away.

#include "util/unique_fd.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <cerrno>

namespace remora {
namespace {

UniqueFd fresh() {
  return UniqueFd(::eventfd(0, EFD_CLOEXEC));
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(UniqueFd, ClosesWhatItOwns) {
  int fd = -1;
  {
    const UniqueFd owner = fresh();
    ASSERT_TRUE(owner);
    fd = owner.get();
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(UniqueFd, AFailedCallOwnsNothing) {
  EXPECT_FALSE(UniqueFd());
  EXPECT_FALSE(UniqueFd(-1));
  EXPECT_FALSE(UniqueFd(-1).duplicate());
}

TEST(UniqueFd, MovesGiveTheDescriptorAway) {
  UniqueFd a = fresh(), b = fresh();
  const int first = a.get(), second = b.get();
  b = std::move(a);
  EXPECT_EQ(b.get(), first);
  EXPECT_FALSE(is_open(second)) << "what it owned before is closed";
  UniqueFd& same = b;
  b = std::move(same);
  EXPECT_EQ(b.get(), first) << "a move to itself changes nothing";
  const int given = b.release();
  EXPECT_FALSE(b);
  b.reset();
  EXPECT_TRUE(is_open(given));
  ::close(given);
}

TEST(UniqueFd, ADuplicateIsAnotherDescriptor) {
  UniqueFd a = fresh();
  const UniqueFd copy = a.duplicate();
  ASSERT_TRUE(copy);
  EXPECT_NE(copy.get(), a.get());
  EXPECT_NE(::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC, 0);
  a.reset();
  EXPECT_TRUE(is_open(copy.get()));
}

TEST(UniqueFd, ClosingLeavesErrnoAlone) {
  UniqueFd not_open(fresh().get());  // closed already: close(2) fails
  errno = EADDRINUSE;
  not_open.reset();
  EXPECT_EQ(errno, EADDRINUSE);
}

}  // namespace
}  // namespace remora
