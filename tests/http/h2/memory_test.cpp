// nghttp2's memory: what is freed is used again, and no more than the bound is kept.

#include "http/h2/memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "http/h2/callbacks.h"

namespace remora::test {
namespace {

/// With AddressSanitizer nothing is kept.
bool keeps() {
  void* const block = Http2Memory::take(1000);
  const std::size_t before = Http2Memory::kept();
  Http2Memory::give_back(block);
  return Http2Memory::kept() > before;
}

TEST(Http2Memory, ABlockIsUsedAgainForItsSize) {
  if (!keeps()) GTEST_SKIP();
  for (const std::size_t size : {1U, 8U, 24U, 25U, 40U, 100U, 1000U}) {
    void* const first = Http2Memory::take(size);
    std::memset(first, 1, size);
    Http2Memory::give_back(first);
    const std::size_t kept = Http2Memory::kept();
    EXPECT_GE(kept, size);
    EXPECT_EQ(Http2Memory::take(size), first) << size;
    EXPECT_LT(Http2Memory::kept(), kept) << size;
    Http2Memory::give_back(first);
    void* const larger = Http2Memory::take(size + 32);
    EXPECT_NE(larger, first) << size;
    Http2Memory::give_back(larger);
  }
}

TEST(Http2Memory, IsBounded) {
  std::vector<void*> blocks;
  for (std::size_t bytes = 0; bytes < 2 * Http2Memory::max_kept; bytes += 100)
    blocks.push_back(Http2Memory::take(100));
  for (void* b : blocks) Http2Memory::give_back(b);
  EXPECT_LE(Http2Memory::kept(), Http2Memory::max_kept);
  const std::size_t kept = Http2Memory::kept();
  Http2Memory::give_back(Http2Memory::take(Http2Memory::max_block + 1));
  EXPECT_EQ(Http2Memory::kept(), kept) << "large blocks are not kept";
  Http2Memory::give_back(nullptr);
}

TEST(Http2Memory, KeepsItsContentWhenItGrowsAndShrinks) {
  Http2Pages pages;
  const nghttp2_mem memory = Http2Callbacks::memory(pages);
  auto* text = static_cast<char*>(memory.realloc(nullptr, 10, &pages));
  std::memcpy(text, "0123456789", 10);
  for (const std::size_t size : {20U, 500U, 4096U, 16'394U, 9000U, 90'000U, 9000U, 100U, 10U}) {
    text = static_cast<char*>(memory.realloc(text, size, &pages));
    EXPECT_EQ(std::string(text, 10), "0123456789") << size;
    text[size - 1] = '9';
  }
  memory.free(text, &pages);
  auto* zeros = static_cast<char*>(memory.calloc(5, 10, &pages));
  EXPECT_EQ(std::string(zeros, 50), std::string(50, '\0'));
  memory.free(zeros, &pages);
  EXPECT_EQ(memory.calloc(~std::size_t{0} / 2, 4, &pages), nullptr);
}

TEST(Http2Memory, MayBeFreedByAnotherThread) {
  void* const block = Http2Memory::take(100);
  const std::size_t kept = Http2Memory::kept();
  std::thread([block] {
    Http2Memory::give_back(block);
    EXPECT_EQ(Http2Memory::kept() > 0, keeps());
  }).join();
  EXPECT_EQ(Http2Memory::kept(), kept);
}

}  // namespace
}  // namespace remora::test
