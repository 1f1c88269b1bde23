// nghttp2's memory, in pages of the session and elsewhere.

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "http/h2/callbacks.h"
#include "http/h2/pages.h"

namespace remora::test {
namespace {

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

}  // namespace
}  // namespace remora::test
