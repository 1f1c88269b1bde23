#include "util/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <set>
#include <vector>

namespace remora {
namespace {

struct Thing {
  char bytes[200];
};

std::size_t mapped_pages() {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages;
  return pages;
}

TEST(Slab, PlacesAreDistinctAndUsedAgain) {
  std::set<void*> places;
  for (int i = 0; i < 2000; ++i) {
    void* const place = Slab<Thing>::take();
    std::memset(place, i, sizeof(Thing));
    EXPECT_TRUE(places.insert(place).second);
  }
  void* const one = *places.begin();
  Slab<Thing>::give_back(one);
  EXPECT_EQ(Slab<Thing>::take(), one);
  for (void* place : places) Slab<Thing>::give_back(place);
}

TEST(Slab, WhatAPeakTookGoesBackToTheKernel) {
  constexpr std::size_t many = 100'000;
  Slab<Thing>::give_back(Slab<Thing>::take());  // one chunk is always kept
  std::vector<void*> peak(many);
  const std::size_t before = mapped_pages();
  for (void*& place : peak) place = Slab<Thing>::take();
  EXPECT_GT(mapped_pages(), before + many * sizeof(Thing) / 4096 / 2);
  for (void* place : peak) Slab<Thing>::give_back(place);
  EXPECT_LT(mapped_pages(), before + 64);
}

}  // namespace
}  // namespace remora
