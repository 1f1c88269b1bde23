// Sixteen bytes at a time say what one at a time does, on machines with the instruction for it and without.

#include "util/find_byte.h"

#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

TEST(FindByte, GathersTheSameBitsByEitherWay) {
  for (unsigned wanted = 0; wanted < 65536; ++wanted) {
    Sixteen mask{};
    for (unsigned i = 0; i < 16; ++i) mask[i] = (wanted >> i & 1) != 0 ? 255 : 0;
    ASSERT_EQ(bits_of(mask), wanted);
    ASSERT_EQ(bits_of_words(mask), wanted);
  }
}

TEST(FindByte, FindsTheFirstOneWhateverStandsBehindIt) {
  const auto is_x = [](auto c) { return c == 'x'; };
  for (std::size_t size = 0; size < 70; ++size) {
    const std::string without(size, '.');
    const char* const end = without.data() + size;
    ASSERT_EQ(find_byte(without.data(), end, is_x), end);
    for (std::size_t at = 0; at < size; ++at) {
      std::string text = without;
      text[at] = text.back() = 'x';
      ASSERT_EQ(find_byte(text.data(), text.data() + size, is_x), text.data() + at) << at << " of " << size;
    }
  }
}

}  // namespace
}  // namespace remora
