// Holds by reading the sources what a reviewer would have to hold by hand: the direction of includes, where
// the time comes from, and that no statement with co_await has a shape that GCC 12.2 compiles into a double
// destruction.

#include <gtest/gtest.h>

#include <algorithm>

#include "layering_rule.h"

namespace {

using namespace remora::test;

TEST(Layering, IncludesPointOneWay) {
  int edges = 0;
  for (const auto& path : sources()) {
    const std::string module = module_of(path);
    if (module == "src") continue;  // main
    ASSERT_TRUE(allowed_modules().contains(module)) << path;
    for (const std::string& to : included_modules(read(path))) {
      ++edges;
      EXPECT_TRUE(to == module || allowed_modules().at(module).contains(to)) << path << " includes " << to;
    }
  }
  EXPECT_GT(edges, 100);
}

TEST(Layering, YamlStaysInConfigAndBeastInFewFiles) {
  std::set<std::string> beast;
  for (const auto& path : sources()) {
    const std::string text = read(path);
    if (text.find("yaml-cpp") != std::string::npos) {
      EXPECT_EQ(path.parent_path().filename(), "config") << path;
    }
    if (text.find("#include <boost/beast") != std::string::npos) beast.insert(path.filename());
    if (path.extension() == ".h") {
      EXPECT_EQ(text.find("#include <boost/beast"), std::string::npos) << path;
    }
  }
  EXPECT_LE(beast.size(), 7U);
}

/// Nobody else depends on nghttp2, and only one header of http/h2 includes it.
TEST(Layering, Nghttp2StaysBehindHttp2) {
  int users = 0;
  for (const auto& path : sources()) {
    if (read(path).find("#include <nghttp2/") == std::string::npos) continue;
    ++users;
    EXPECT_EQ(path.parent_path().filename(), "h2") << path;
    EXPECT_TRUE(path.extension() == ".cpp" || path.filename() == "callbacks.h") << path;
  }
  EXPECT_GT(users, 0);
}

/// The exchange and its phases know no version of HTTP. Only where a connection's codec is chosen may name
/// one.
TEST(Layering, OnlyTheChoiceOfACodecNamesAProtocol) {
  const std::set<std::string> choose{"active.h",
                                     "workspace.h",
                                     "http2_connection.h",
                                     "http2_connection.cpp",
                                     "shared_connection.h",
                                     "shared_connection.cpp",
                                     "shared_connections.h"};
  for (const auto& path : sources()) {
    if (path.parent_path().filename() != "proxy" || choose.contains(path.filename())) continue;
    const std::string text = read(path);
    for (const char* protocol : {"http/h1/", "http/h2/", "Http1", "Http2Server", "Http2Client"})
      EXPECT_EQ(text.find(protocol), std::string::npos) << path;
  }
}

/// A test moves the time by hand; whoever asks the machine for it does not notice.
TEST(Layering, TheTimeComesFromAClock) {
  const std::regex asks_the_machine(R"(clock::now\()");
  for (const auto& path : sources()) {
    if (path.filename() == "clock.h" || path.parent_path().filename() == "cli") continue;
    EXPECT_FALSE(std::regex_search(read(path), asks_the_machine)) << path << ": take it from a remora::Clock";
  }
}

TEST(Layering, FilesStayReadable) {
  for (const auto& path : sources()) {
    const std::string text = read(path);
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 500) << path << " is two things by now";
    if (path.extension() == ".h") {
      EXPECT_EQ(text.substr(0, 2), "//") << path << " does not open with what it is for";
    }
  }
}

/// style.md's habit 10, by tokens: a statement with co_await holds no braced temporary, no capturing lambda,
/// no `?:`, and not more than one `&&` or `||`: of `(a() || co_await b()) && c()` GCC 12.2 awaited b()
/// always.
std::vector<std::string> bad_awaits(const std::string& text) {
  std::vector<std::string> bad;
  for (std::size_t at = text.find("co_await"); at != std::string::npos; at = text.find("co_await", at + 1)) {
    std::size_t begin = text.find_last_of(";{}", at);
    begin = begin == std::string::npos ? 0 : begin + 1;
    std::size_t end = at;
    int depth = 0, around = 0;  // parentheses that open before the co_await close behind it
    for (std::size_t i = begin; i < at; ++i) around += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    for (; end < text.size(); ++end) {
      const char c = text[end];
      if (c == '(') ++depth;
      if (c == ')' && --depth <= -around && depth < 0) break;
      if (depth <= 0 && (c == ';' || c == '{')) break;
      if (depth > 0 && c == '{') break;  // a braced temporary or a lambda inside the call
    }
    const std::string statement = text.substr(begin, end - begin + 1);
    const bool comment =
        text.rfind("//", at) != std::string::npos && text.find('\n', text.rfind("//", at)) > at;
    if (comment) continue;
    const bool braced = depth > 0;
    const bool conditional = statement.find('?') != std::string::npos;
    int logical = 0;
    for (const char* op : {"&&", "||"})
      for (std::size_t i = statement.find(op); i != std::string::npos; i = statement.find(op, i + 2))
        ++logical;
    if (braced || conditional || logical > 1) bad.push_back(statement);
  }
  return bad;
}

TEST(Coroutines, NoStatementThatGccDestroysTwice) {
  EXPECT_EQ(bad_awaits("int n = co_await f(Agg{1});").size(), 1U);
  EXPECT_EQ(bad_awaits("x = c ? co_await f() : 0;").size(), 1U);
  EXPECT_EQ(bad_awaits("co_await g([x] { return x; });").size(), 1U);
  EXPECT_EQ(bad_awaits("if ((a() || co_await b()) && c()) d();").size(), 1U);
  EXPECT_EQ(bad_awaits("if (a && !co_await b()) break;").size(), 0U);
  EXPECT_EQ(bad_awaits("if (co_await f(a)) { g(); } co_await h();").size(), 0U);
  int seen = 0;
  for (const auto& path : sources()) {
    const std::string text = read(path);
    seen += text.find("co_await") != std::string::npos ? 1 : 0;
    for (const auto& statement : bad_awaits(text)) ADD_FAILURE() << path << ": " << statement;
  }
  EXPECT_GT(seen, 4);
}

}  // namespace
