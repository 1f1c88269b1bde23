// config/reference.yaml against the program: every key stands there at its own place, and what it calls a
// default is what the program takes when the key is not given.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "config/key_table.h"

#ifdef __clang__  // GCC 12 ends with an internal error in Boost.PFR, so it compiles the test of the places
                  // alone
#include "config/dump.h"
#endif

namespace remora::config {
namespace {

std::vector<std::string> reference_lines() {
  std::ifstream in(REMORA_SOURCE_DIR "/config/reference.yaml");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

/// One key of the file as it stands there, uncommented.
struct Active {
  std::string path;    // as in the table of keys: `pools.*.backends.id`
  std::string full;    // with the names that the file gives: `pools.app.backends.id`
  std::size_t line;    // of the key
  std::size_t indent;  // its column
  YAML::Node map;      // that it stands in
  std::string name;    // in that map
  bool is_leaf;        // no map below it
};

bool has_free_names(const std::string& path) {
  return path == "jwt" || path == "pools" || path == "routes.split" || path.ends_with("headers.set") ||
         path == "jwt.*.required_claims" || path == "jwt.*.forward_claims";
}

bool holds_maps(const YAML::Node& node) {
  if (node.IsMap()) return node.size() > 0;
  for (const auto& item : node)
    if (item.IsMap()) return true;
  return false;
}

void collect(const YAML::Node& node, const std::string& path, const std::string& full,
             std::vector<Active>& out) {
  if (node.IsSequence())
    for (const auto& item : node) collect(item, path, full, out);
  if (!node.IsMap()) return;
  const bool conditions = path == "routes.headers" && !node["set"] && !node["remove"];
  for (const auto& entry : node) {
    const std::string name = entry.first.Scalar();
    const std::string word = has_free_names(path) || conditions ? "*" : name;
    const std::string inner = path.empty() ? word : path + "." + word,
                      inner_full = full.empty() ? name : full + "." + name;
    const YAML::Mark mark = entry.first.Mark();
    out.push_back({inner, inner_full, static_cast<std::size_t>(mark.line),
                   static_cast<std::size_t>(mark.column), node, name, !holds_maps(entry.second)});
    collect(entry.second, inner, inner_full, out);
  }
}

/// The lines that speak of a key: from its own to the next that begins a key as far to the left.
std::string region(const std::vector<std::string>& lines, const Active& of) {
  std::string out = lines[of.line].substr(of.indent) + "\n";
  for (std::size_t i = of.line + 1; i < lines.size(); ++i) {
    const std::size_t indent = lines[i].find_first_not_of(" -");
    if (indent != std::string::npos && lines[i][indent] != '#' && indent <= of.indent) break;
    out += lines[i] + "\n";
  }
  return out;
}

struct Reference : ::testing::Test {
  Reference() {
    ::setenv("REMORA_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1);
    ::setenv("JWT_SECRET", "of tests, and of nothing else, 32 bytes", 1);
    ::setenv("REMORA_INDEX_KEY", "an index key of tests", 1);
    document = YAML::Load(joined(lines));
    collect(document, "", "", active);
  }
  const std::vector<std::string> lines = reference_lines();
  YAML::Node document;
  std::vector<Active> active;
};

TEST_F(Reference, EachKeyStandsAtItsOwnPlaceInIt) {
  std::size_t keys = 0;
  for (const auto& part : {of_process(), of_store(), of_listeners(), of_routes(), of_verifiers(), of_pools(),
                           of_sessions(), of_affinity()})
    for (const Row& row : part) {
      if (row.key == "session_api.tls") continue;  // refused with its reason, so not advertised
      ++keys;
      std::string path = row.key;
      const auto stands = [&](const Active& a) { return a.path == path; };
      if (std::any_of(active.begin(), active.end(), stands)) continue;
      // In a comment, then, beside the nearest key above it that is not in one itself.
      const std::string name = path.substr(path.rfind('.') + 1);
      while (std::none_of(active.begin(), active.end(), stands) && path.find('.') != std::string::npos)
        path.erase(path.rfind('.'));
      bool found = false;
      for (const Active& a : active)
        found = found || (a.path == path && region(lines, a).find(name + ":") != std::string::npos);
      EXPECT_TRUE(found) << "config/reference.yaml does not mention '" << row.key << "' where it belongs";
    }
  EXPECT_GT(keys, 200U);
}

#ifdef __clang__

/// What the program makes of the text; one line that begins with "refused" where it takes none of it.
std::string made_of(const std::string& text) {
  const Loaded loaded = load_text(text, "f", affinity_kinds());
  if (const auto* e = std::get_if<LoadError>(&loaded)) return "refused: " + e->lines.front();
  Config config = std::get<Config>(loaded);
  config.text = config.hash = config.shown = "";
  std::string out;
  dump(config, "", out);
  return out;
}
std::string difference(const std::string& a, const std::string& b) {
  std::istringstream left(a), right(b);
  std::string one, other;
  while (std::getline(left, one) && std::getline(right, other))
    if (one != other) return one + " without it: " + other;
  return "";
}

/// Keys whose value in the file is an example: a name, an address, a condition.
bool is_example(const Active& key) {
  for (const char* whole :
       {"routes", "jwt.main.algorithms", "jwt.main.keys", "jwt.main.required_claims",
        "jwt.main.forward_claims", "listeners.bind", "listeners.name", "pools.app.backends.id",
        "pools.app.backends.address", "pools.app.backends.dns", "pools.mcp.session"})
    if (key.full == whole || key.full.starts_with(std::string(whole) + ".")) return true;
  return false;
}

/// Keys that have no default: without one of them the file is refused.
bool is_required(const std::string& path) {
  for (const char* whole :
       {"pools.*.backends", "pools.*.backends.dns_srv", "pools.*.affinity.kind", "pools.*.affinity.name",
        "pools.*.affinity.learn", "pools.*.affinity.verifier", "pools.*.health.probe.path"})
    if (path == whole) return true;
  return false;
}

TEST_F(Reference, TheValueOfEachKeyIsItsDefault) {
  const std::string whole = made_of(joined(lines));
  ASSERT_FALSE(whole.starts_with("refused")) << whole;
  std::size_t compared = 0;
  for (Active& key : active) {
    if (!key.is_leaf || is_example(key)) continue;
    YAML::Node map = key.map;  // shares the tree
    const YAML::Node value = YAML::Clone(map[key.name]);
    map.remove(key.name);
    YAML::Emitter out;
    out << document;
    const std::string without = made_of(out.c_str());
    map[key.name] = value;
    ++compared;
    if (is_required(key.path) && without.starts_with("refused")) continue;
    if (without != whole)
      ADD_FAILURE() << "line " << key.line + 1 << ", " << key.path << ": "
                    << (without.starts_with("refused") ? without : difference(whole, without));
  }
  EXPECT_GT(compared, 100U);
}

/// Defaults that the file tells in comments: a smallest file with `@` where they are put in.
struct Commented {
  std::string path, smallest;
  std::vector<std::string> defaults;
};

std::vector<Commented> commented() {
  const std::string shared = "index_key: {env: REMORA_INDEX_KEY}",
                    pair = "{cert: " + file + ", key: " + file + "}";
  return {
      {"admin", top("admin: {bind: unix:/x@}"), {"mode: \"0660\""}},
      {"session_api",
       whole("session_api: {bind: unix:/x@}", "", "", "", "affinity: cookie\n    session: {state: on}"),
       {"mode: \"0660\""}},
      {"store", top("store: {kind: redis, " + shared + "@}"), {"cache_ttl: 2s", "timeout: 50ms"}},
      {"store",
       top("store: {kind: redis, " + shared + ", redis: {nodes: [\"redis://r:1\"]@}}"),
       {"mode: single", "prefix: remora"}},
      {"store",
       top("store: {kind: redis, " + shared + ", redis: {mode: sentinel, nodes: [\"redis://r:1\"]@}}"),
       {"master: mymaster"}},
      {"store",
       top("store: {kind: redis, " + shared +
           ", redis: {nodes: [\"rediss://r:1\"], tls: {server_name: n@}}}"),
       {"verify: on"}},
      {"store",
       top("store: {kind: memcached, " + shared + ", memcached: {nodes: [\"r:1\"]@}}"),
       {"prefix: remora"}},
      {"listeners.tls",
       listener("tls: {certificates: [" + pair + "]@}"),
       {"min_version: \"1.2\"", "alpn: [h2, http/1.1]", "tickets: on"}},
      {"jwt.*.keys",
       top("jwt: {v: {algorithms: [RS256], keys: {jwks_url: \"https://x/\"@}}}"),
       {"refresh: 10m"}},
      {"jwt.*.revocation",
       whole("store: {kind: redis, " + shared + "}\njwt: {v: {algorithms: [HS256], keys: {secret: {env: " +
                 "KEYS_TEST_TEXT}}, revocation: {claims: [jti]@}}}",
             "", "{path: /, pool: a, auth: v}", "", ""),
       {"on_error: allow"}},
      {"pools.*.tls", pool("tls: {server_name: n@}"), {"verify: on"}},
      {"pools.*.session.state",
       session("state: {max_bytes: 4KiB@}"),
       {"replay: on_move", "save: async", "fetch_timeout: 50ms", "on_missing: continue"}},
      {"pools.*.session.state", session("state: {save: async@}"), {"max_bytes: 4KiB"}},
      {"pools.*.session.rebalance",
       session("state: on, rebalance: {threshold: 1.25@}"),
       {"min_idle: 60s", "moves_per_second: 10", "without_state: off"}},
      {"pools.*.session.rebalance", session("state: on, rebalance: {min_idle: 60s@}"), {"threshold: 1.25"}},
      {"pools.*.fallback", pool("fallback: {body: x@}"), {"status: 503", "retry_after: none"}},
  };
}

TEST_F(Reference, WhatACommentCallsADefaultIsOne) {
  ::setenv("KEYS_TEST_TEXT", "a secret of tests that is long enough", 1);
  for (const Commented& c : commented()) {
    const auto at = c.smallest.find('@');
    const auto with = [&](const std::string& more) {
      return made_of(std::string(c.smallest).replace(at, 1, more));
    };
    const std::string smallest = with("");
    ASSERT_FALSE(smallest.starts_with("refused")) << c.smallest << "\n" << smallest;
    for (const std::string& value : c.defaults) {
      const bool told = std::any_of(active.begin(), active.end(), [&](const Active& a) {
        std::string text = region(lines, a);  // a pair may be broken into two lines
        for (std::size_t line = text.find('\n'); line != std::string::npos; line = text.find('\n', line))
          text.replace(line, text.find_first_not_of("\n #", line) - line, " ");
        return a.path == c.path && text.find(value) != std::string::npos;
      });
      EXPECT_TRUE(told) << c.path << ": " << value;
      EXPECT_EQ(with(", " + value), smallest) << c.path << ": " << value;
    }
  }
}

#endif

}  // namespace
}  // namespace remora::config
