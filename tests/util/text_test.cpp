// Percent coding and dates.

#include "util/text.h"

#include <gtest/gtest.h>

#include "util/utc_text.h"

namespace remora {
namespace {

/// RFC 3986 2.3, byte by byte.
std::string encoded(unsigned char byte) {
  static constexpr std::string_view unreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  static constexpr char digits[] = "0123456789ABCDEF";
  if (unreserved.find(static_cast<char>(byte)) != std::string_view::npos)
    return std::string(1, static_cast<char>(byte));
  return {'%', digits[byte >> 4], digits[byte & 15]};
}

TEST(PercentCoding, EscapesEveryByteButTheUnreservedOnes) {
  std::string all, wanted;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(percent_encoded(one), encoded(static_cast<unsigned char>(byte))) << byte;
    all += one;
    wanted += encoded(static_cast<unsigned char>(byte));
  }
  EXPECT_EQ(percent_encoded(all), wanted);
  EXPECT_EQ(percent_decoded(wanted), all);
  EXPECT_EQ(percent_encoded(""), "");
}

TEST(PercentCoding, ABrokenEscapeStaysAsItIs) {
  for (const char* text : {"%", "%4", "%zz", "a%4gb", "100%"}) EXPECT_EQ(percent_decoded(text), text);
  EXPECT_EQ(percent_decoded("%41%zz%2f+"), "A%zz/+");
}

TEST(UtcText, IsInUtcAndEnglish) {
  std::string out = "old";
  format_utc(out, 784111777, "%a, %d %b %Y %H:%M:%S GMT");  // RFC 9110 5.6.7
  EXPECT_EQ(out, "Sun, 06 Nov 1994 08:49:37 GMT");
  format_utc(out, 0, "%d/%b/%Y:%H:%M:%S +0000");
  EXPECT_EQ(out, "01/Jan/1970:00:00:00 +0000");
}

}  // namespace
}  // namespace remora
