// Memory that a thread keeps: what is freed is used again, and no more than the bound is kept.

#include "util/block_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace remora::test {
namespace {

TEST(BlockCache, ABlockIsUsedAgainForItsSize) {
  if (!BlockCache::keeps()) GTEST_SKIP();
  for (const std::size_t size : {1U, 8U, 24U, 25U, 40U, 100U, 1000U}) {
    void* const first = BlockCache::take(size);
    std::memset(first, 1, size);
    BlockCache::give_back(first);
    const std::size_t kept = BlockCache::kept();
    EXPECT_GE(kept, size);
    EXPECT_EQ(BlockCache::take(size), first) << size;
    EXPECT_LT(BlockCache::kept(), kept) << size;
    BlockCache::give_back(first);
    EXPECT_EQ(BlockCache::take(size), first) << size;
    BlockCache::give_back(first, size);
    EXPECT_EQ(BlockCache::kept(), kept) << size;
    void* const larger = BlockCache::take(size + 32);
    EXPECT_NE(larger, first) << size;
    BlockCache::give_back(larger);
  }
}

TEST(BlockCache, IsBounded) {
  std::vector<void*> blocks;
  for (std::size_t bytes = 0; bytes < 2 * BlockCache::max_kept; bytes += 100)
    blocks.push_back(BlockCache::take(100));
  for (void* b : blocks) BlockCache::give_back(b);
  EXPECT_LE(BlockCache::kept(), BlockCache::max_kept);
  const std::size_t kept = BlockCache::kept();
  BlockCache::give_back(BlockCache::take(BlockCache::max_block + 1));
  EXPECT_EQ(BlockCache::kept(), kept) << "large blocks are not kept";
  BlockCache::give_back(nullptr);
}

TEST(BlockCache, MayBeFreedByAnotherThread) {
  void* const block = BlockCache::take(100);
  const std::size_t kept = BlockCache::kept();
  std::thread([block] {
    BlockCache::give_back(block);
    EXPECT_EQ(BlockCache::kept() > 0, BlockCache::keeps());
  }).join();
  EXPECT_EQ(BlockCache::kept(), kept);
}

}  // namespace
}  // namespace remora::test
