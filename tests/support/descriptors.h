// Open descriptors of the test's own process: how many there are, and how many there may be.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace remora::test {

inline int open_descriptors(int below = 1024) {
  int count = 0;
  for (int fd = 0; fd < below; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

/// While it lives, this many more descriptors can be opened.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(int spare) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit limit = before_;
    int end = 0;
    for (int left = spare; left > 0 || ::fcntl(end, F_GETFD) >= 0; ++end)
      left -= ::fcntl(end, F_GETFD) >= 0 ? 0 : 1;
    limit.rlim_cur = static_cast<rlim_t>(end);
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace remora::test
