#include "util/escape.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

std::string with(void (*append)(std::string&, std::string_view), std::string_view text) {
  std::string out;
  append(out, text);
  return out;
}

TEST(Escape, MessagesKeepWholeCharactersAndNothingThatATerminalObeys) {
  struct Row {
    std::string_view text, plain, json;
  };
  for (const Row& row : std::vector<Row>{
           {"said \"no\" \\ why", "said \"no\" \\ why", "said \\\"no\\\" \\\\ why"},
           {"a\nb\r\tc", "a\\x0ab\\x0d\\x09c", "a\\u000ab\\u000d\\u0009c"},
           {"\x1b[31m\x7f", "\\x1b[31m\\x7f", "\\u001b[31m\\u007f"},
           {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
            "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
           {"\xc2\x9b"
            "31m",
            "\\xc2\\x9b"
            "31m",
            "\\u00c2\\u009b"
            "31m"},  // C1
           {"\x9b", "\\x9b", "\\u009b"},
           {"\xc3", "\\xc3", "\\u00c3"},                  // cut short
           {"\xc0\xaf", "\\xc0\\xaf", "\\u00c0\\u00af"},  // too long
           {"\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\\u00e0\\u0080\\u00af"},
           {"\xed\xa0\x80", "\\xed\\xa0\\x80", "\\u00ed\\u00a0\\u0080"},  // a surrogate
           {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\u00f4\\u0090\\u0080\\u0080"},
           {"\xe2\x80\xae", "\\xe2\\x80\\xae", "\\u00e2\\u0080\\u00ae"},     // right to left
           {"\xe2\x80\xa8", "\\xe2\\x80\\xa8", "\\u00e2\\u0080\\u00a8"}}) {  // a line separator
    EXPECT_EQ(with(append_printable, row.text), row.plain);
    EXPECT_EQ(with(append_json_printable, row.text), row.json);
  }
}

TEST(Escape, AWordIsOneWord) {
  EXPECT_EQ(with(append_word, "a-b.c:d/1"), "a-b.c:d/1");
  EXPECT_EQ(with(append_word, ""), "-");
  EXPECT_EQ(with(append_word, "-"), "\"\\x2d\"");
  EXPECT_EQ(with(append_word, "a b"), "\"a b\"");
  EXPECT_EQ(with(append_word, "a=b"), "\"a=b\"");
  EXPECT_EQ(with(append_word, "a\"b"), "\"a\\\"b\"");
}

}  // namespace
}  // namespace remora
