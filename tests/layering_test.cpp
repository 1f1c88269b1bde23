// Holds by reading the sources what a reviewer would have to hold by hand: the direction of includes, where
// the time comes from, and that no statement with co_await has a shape that GCC 12.2 compiles into a double
// destruction.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

namespace {

namespace fs = std::filesystem;
const fs::path source = fs::path(REMORA_SOURCE_DIR) / "src";

std::string read(const fs::path& p) {
  std::ifstream in(p);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<fs::path> sources() {
  std::vector<fs::path> out;
  for (const auto& root : {source, fs::path(REMORA_SOURCE_DIR) / "include"})
    for (const auto& e : fs::recursive_directory_iterator(root))
      if (e.path().extension() == ".h" || e.path().extension() == ".cpp") out.push_back(e.path());
  return out;
}

TEST(Layering, IncludesPointOneWay) {
  // Who may include whom. `remora` is include/remora. Modules of one layer meet through contracts only.
  const std::map<std::string, std::set<std::string>> allowed{
      {"util", {}},
      {"remora", {"util"}},
      {"net", {"remora", "util"}},
      {"http", {"net", "remora", "util"}},
      {"affinity", {"net", "remora", "util"}},
      {"auth", {"remora", "util"}},
      {"session", {"net", "remora", "util"}},
      {"balance", {"net", "remora", "util"}},
      {"pool", {"net", "remora", "util"}},
      {"health", {"pool", "net", "remora", "util"}},  // what is probed is a pool's view
      {"observe", {"net", "remora", "util"}},
      {"proxy",
       {"http", "affinity", "auth", "session", "balance", "pool", "health", "observe", "net", "remora",
        "util"}},
      {"config", {"net", "remora", "util"}},
      {"admin", {"proxy", "auth", "session", "pool", "net", "remora", "util"}},
      {"cli", {"admin", "remora", "util"}},
      {"server",
       {"config", "admin", "proxy", "http", "affinity", "auth", "session", "balance", "pool", "health",
        "observe", "net", "remora", "util"}},
  };
  const std::regex include(R"(#include "([a-z_0-9]+)/)");
  int edges = 0;
  for (const auto& path : sources()) {
    const std::string module = path.parent_path().filename();
    if (module == "src") continue;  // main
    ASSERT_TRUE(allowed.contains(module)) << path;
    const std::string text = read(path);
    for (std::sregex_iterator it(text.begin(), text.end(), include), end; it != end; ++it) {
      const std::string to = (*it)[1];
      ++edges;
      EXPECT_TRUE(to == module || allowed.at(module).contains(to)) << path << " includes " << to;
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
/// no `?:`.
std::vector<std::string> bad_awaits(const std::string& text) {
  std::vector<std::string> bad;
  for (std::size_t at = text.find("co_await"); at != std::string::npos; at = text.find("co_await", at + 1)) {
    std::size_t begin = text.find_last_of(";{}", at);
    begin = begin == std::string::npos ? 0 : begin + 1;
    std::size_t end = at;
    int depth = 0;
    for (; end < text.size(); ++end) {
      const char c = text[end];
      if (c == '(') ++depth;
      if (c == ')' && --depth < 0) break;
      if (depth == 0 && (c == ';' || c == '{')) break;
      if (depth > 0 && c == '{') break;  // a braced temporary or a lambda inside the call
    }
    const std::string statement = text.substr(begin, end - begin + 1);
    const bool comment =
        text.rfind("//", at) != std::string::npos && text.find('\n', text.rfind("//", at)) > at;
    if (comment) continue;
    const bool braced = depth > 0;
    const bool conditional = statement.find('?') != std::string::npos;
    if (braced || conditional) bad.push_back(statement);
  }
  return bad;
}

TEST(Coroutines, NoStatementThatGccDestroysTwice) {
  EXPECT_EQ(bad_awaits("int n = co_await f(Agg{1});").size(), 1U);
  EXPECT_EQ(bad_awaits("x = c ? co_await f() : 0;").size(), 1U);
  EXPECT_EQ(bad_awaits("co_await g([x] { return x; });").size(), 1U);
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
