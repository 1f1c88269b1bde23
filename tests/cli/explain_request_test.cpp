// What `remora explain` understands: curl's words, and lines of the access log.

#include "cli/explain_request.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <stdexcept>

#include "cli/table.h"

namespace remora {
namespace {

std::string from_curl(const std::vector<std::string>& words) {
  try {
    return boost::json::serialize(explain_from_curl(words));
  } catch (const std::invalid_argument& e) {
    return std::string("refused: ") + e.what();
  }
}

std::string from_log(const std::string& line) {
  try {
    return boost::json::serialize(explain_from_log(line));
  } catch (const std::invalid_argument& e) {
    return std::string("refused: ") + e.what();
  }
}

TEST(Curl, WordsBecomeARequest) {
  EXPECT_EQ(from_curl({"/cart?x=1"}), R"({"target":"/cart?x=1","headers":{}})");
  EXPECT_EQ(from_curl({"curl", "-s", "https://shop.test:8443/a#b"}),
            R"({"secure":true,"target":"/a","headers":{"Host":"shop.test:8443"}})");
  EXPECT_EQ(
      from_curl({"-X", "PUT", "-H", "X-A:  1 ", "-b", "SID=7", "http://shop.test"}),
      R"({"method":"PUT","secure":false,"target":"/","headers":{"X-A":"1","Cookie":"SID=7","Host":"shop.test"}})");
  // As curl sends it.
  EXPECT_EQ(
      from_curl({"-d", "body", "/"}),
      R"({"method":"POST","target":"/","headers":{"Content-Type":"application/x-www-form-urlencoded"}})");
  EXPECT_EQ(from_curl({"http://shop.test?x=1"}),
            R"({"secure":false,"target":"/?x=1","headers":{"Host":"shop.test"}})");
}

TEST(Curl, WhatIsNotUnderstoodIsSaid) {
  EXPECT_NE(from_curl({}).find("a URL or a path is missing"), std::string::npos);
  EXPECT_NE(from_curl({"--fancy", "/"}).find("'--fancy' is not understood"), std::string::npos);
  EXPECT_NE(from_curl({"-H"}).find("-H wants a value"), std::string::npos);
  EXPECT_NE(from_curl({"-H", "nonsense", "/"}).find("-H wants 'Name: value'"), std::string::npos);
  EXPECT_NE(from_curl({"/a", "/b"}).find("one URL, not also '/b'"), std::string::npos);
  EXPECT_NE(from_curl({"ftp://x/"}).find("a URL of http or https"), std::string::npos);
}

TEST(Log, LinesOfBothFormatsBecomeARequest) {
  EXPECT_EQ(
      from_log(
          R"(10.1.2.3 - - [23/Nov/2026:22:30:42 +0000] "GET /a?q=\"x\" HTTP/1.1" 200 1 "-" "-" host="test" id=e4)"),
      R"({"method":"GET","target":"/a?q=\"x\"","client":"10.1.2.3","headers":{"Host":"test"}})");
  EXPECT_EQ(from_log(R"({"client":"10.1.2.3","method":"GET","target":"/a","host":"shop.test"})"),
            R"({"target":"/a","method":"GET","client":"10.1.2.3","headers":{"Host":"shop.test"}})");
  EXPECT_NE(from_log("nonsense").find("this is no line of the access log"), std::string::npos);
  EXPECT_NE(from_log("{\"x\":1}").find("names no target"), std::string::npos);
  EXPECT_NE(from_log("{").find("JSON access log"), std::string::npos);
}

TEST(Table, AlignsItsColumns) {
  TextTable table({"A", "LONGER"});
  table.add({"wide cell", "x"});
  table.add({"", ""});
  EXPECT_EQ(table.text(), "A          LONGER\nwide cell  x\n\n");
}

}  // namespace
}  // namespace remora
