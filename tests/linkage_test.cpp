// The libraries' link graph follows the include rule, and each library's symbols are defined where it says.
//
// Static libraries hide a missing edge: the executable links all of them anyway. What CMake was told is in
// generated/modules.txt: a line for each module with its archive and what it links.

#include <cxxabi.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

#include <memory>
#include <sstream>

#include "layering_rule.h"

namespace remora::test {
namespace {

struct Module {
  std::string archive;
  std::set<std::string> linked;    // modules only, without libraries of others
  std::set<std::string> included;  // by its own files
};
using Modules = std::map<std::string, Module>;

Modules read_modules() {
  Modules out;
  std::ifstream in(REMORA_MODULES);
  for (std::string line, name, word; std::getline(in, line);) {
    std::istringstream words(line);
    words >> name;
    Module& module = out[name];
    words >> module.archive;
    const std::string prefix = "remora_";
    while (words >> word)
      if (word.starts_with(prefix)) module.linked.insert(word.substr(prefix.size()));
  }
  for (const auto& path : sources()) {
    const std::string name = module_of(path);
    if (name == "src") continue;  // main
    for (const std::string& to : included_modules(read(path)))
      if (to != name) out[name].included.insert(to);
  }
  return out;
}

/// All that a module links, directly or through another.
std::set<std::string> closure(const Modules& modules, const std::string& name) {
  std::set<std::string> out;
  std::vector<std::string> pending{name};
  while (!pending.empty()) {
    const std::string from = pending.back();
    pending.pop_back();
    const auto it = modules.find(from);
    if (it == modules.end()) continue;
    for (const std::string& to : it->second.linked)
      if (out.insert(to).second) pending.push_back(to);
  }
  return out;
}

struct Symbols {
  std::set<std::string> defined, needed;
};

Symbols read_symbols(const std::string& archive) {
  Symbols out;
  const std::string command = REMORA_NM " -P " + archive;  // POSIX format: name, type, value, size
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  if (pipe == nullptr) return out;
  std::string text;
  char piece[1 << 16];
  for (std::size_t n; (n = ::fread(piece, 1, sizeof piece, pipe.get())) > 0;) text.append(piece, n);
  std::istringstream lines(text);
  for (std::string line, name, type; std::getline(lines, line);) {
    std::istringstream words(line);
    if (!(words >> name >> type) || type.size() != 1) continue;  // the name of an object file
    if (type == "U") out.needed.insert(name);
    // Weak definitions are inline functions and templates: each user has its own.
    if (std::string("TDBRSG").find(type) != std::string::npos) out.defined.insert(name);
  }
  return out;
}

std::string readable(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), ::free);
  return status == 0 ? std::string(text.get()) : symbol;
}

TEST(Linkage, EachModuleIsALibraryOfTheRule) {
  const Modules modules = read_modules();
  EXPECT_EQ(modules.size(), allowed_modules().size());
  for (const auto& [name, module] : modules) {
    EXPECT_TRUE(allowed_modules().contains(name)) << name;
    EXPECT_FALSE(module.archive.empty()) << "src/" << name << " is no library";
  }
}

TEST(Linkage, ModulesLinkWhatTheyIncludeAndNothingElse) {
  const Modules modules = read_modules();
  for (const auto& [name, module] : modules) {
    const std::set<std::string> reached = closure(modules, name);
    for (const std::string& to : module.included)
      EXPECT_TRUE(reached.contains(to)) << name << " includes " << to << " and does not link it";
    for (const std::string& to : module.linked) {
      EXPECT_TRUE(allowed_modules().at(name).contains(to)) << name << " may not link " << to;
      EXPECT_TRUE(module.included.contains(to)) << name << " links " << to << " and includes nothing of it";
    }
  }
}

TEST(Linkage, NeededSymbolsAreDefinedInWhatAModuleLinks) {
  const Modules modules = read_modules();
  std::map<std::string, std::set<std::string>> defining;  // modules by symbol
  std::map<std::string, Symbols> symbols;
  for (const auto& [name, module] : modules) {
    symbols[name] = read_symbols(module.archive);
    for (const std::string& symbol : symbols[name].defined) defining[symbol].insert(name);
  }
  std::size_t crossing = 0;
  for (const auto& [name, module] : modules) {
    const std::set<std::string> reached = closure(modules, name);
    for (const std::string& symbol : symbols[name].needed) {
      const auto it = defining.find(symbol);
      if (it == defining.end() || it->second.contains(name)) continue;  // a system library's, or its own
      ++crossing;
      EXPECT_TRUE(reached.contains(*it->second.begin())) << name << " needs " << readable(symbol) << " of "
                                                         << *it->second.begin() << " and does not link it";
    }
  }
  EXPECT_GT(crossing, 100U) << "the archives have not been read";
}

}  // namespace
}  // namespace remora::test
