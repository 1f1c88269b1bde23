// Every key of the file does something: a table of all keys, what each changes in what is read, and the test
// that shows what it does. A key that reference.yaml or a reader has and the table has not fails here.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "config/key_table.h"

namespace remora::config {
namespace {

std::vector<Row> all_rows() {
  std::vector<Row> all;
  for (const auto& part : {of_process(), of_store(), of_listeners(), of_routes(), of_verifiers(), of_pools(),
                           of_sessions(), of_affinity()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

/// Maps whose keys are names that the operator chooses.
bool has_free_names(const std::string& key) {
  static const std::set<std::string> maps{
      "jwt", "pools", "routes.split", "routes.headers.set", "jwt.*.required_claims", "jwt.*.forward_claims"};
  return maps.contains(key);
}

void collect(const YAML::Node& node, const std::string& key, std::set<std::string>& out) {
  if (node.IsSequence())
    for (const auto& item : node) collect(item, key, out);
  if (!node.IsMap() || key == "pools.*.headers.set" || key == "routes.response_headers.set") return;
  const bool edits = key == "routes.headers" && (node["set"] || node["remove"]);
  for (const auto& entry : node) {
    const bool free = has_free_names(key) || (key == "routes.headers" && !edits);
    const std::string name = free ? "*" : entry.first.Scalar();
    const std::string inner = key.empty() ? name : key + "." + name;
    out.insert(inner);
    collect(entry.second, inner, out);
  }
}

class Keys : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ::setenv("KEYS_TEST_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1);
    ::setenv("KEYS_TEST_TEXT", "a secret of tests that is long enough", 1);
  }
  static void check(const std::vector<Row>& rows) {
    const Loaded plain = load_text(top(""), "f", affinity_kinds());
    ASSERT_TRUE(std::holds_alternative<Config>(plain));
    for (const Row& row : rows) {
      if (row.yaml.empty()) continue;
      const Loaded loaded = load_text(row.yaml, row.key, affinity_kinds());
      if (const auto* e = std::get_if<LoadError>(&loaded)) {
        for (const std::string& line : e->lines) ADD_FAILURE() << line << "\n" << row.yaml;
        continue;
      }
      if (!row.shows) continue;
      EXPECT_TRUE(row.shows(std::get<Config>(loaded))) << row.key << " changes nothing";
      EXPECT_FALSE(row.shows(std::get<Config>(plain))) << row.key << " is so without it";
    }
  }
};

TEST_F(Keys, OfTheProcess) {
  check(of_process());
}
TEST_F(Keys, OfTheStore) {
  check(of_store());
}
TEST_F(Keys, OfAListener) {
  check(of_listeners());
}
TEST_F(Keys, OfARoutesTimeouts) {
  check(of_routes());
}
TEST_F(Keys, OfAVerifier) {
  check(of_verifiers());
}
TEST_F(Keys, OfAPool) {
  check(of_pools());
}
TEST_F(Keys, OfASession) {
  check(of_sessions());
}
TEST_F(Keys, OfAnAffinity) {
  check(of_affinity());
}

TEST_F(Keys, EachOfTheReferenceAndOfTheReadersStandsInTheTable) {
  std::set<std::string> table, leaves;
  for (const Row& row : all_rows()) {
    EXPECT_TRUE(table.insert(row.key).second) << row.key << " stands there twice";
    leaves.insert(row.key.substr(row.key.rfind('.') + 1));
  }
  std::set<std::string> reference;
  const std::string text = text_of(REMORA_SOURCE_DIR "/config/reference.yaml");
  collect(YAML::Load(text), "", reference);
  EXPECT_GT(reference.size(), 150U);
  for (const std::string& key : reference)
    EXPECT_TRUE(table.contains(key)) << "'" << key
                                     << "' has no row: what does it do, and which test shows it?";
  // What stands in comments there is known by its last name only.
  for (const char* call : {".read(\"", ".read_with(\"", ".get(\"", " one(\"", "settings.text(\"",
                           "settings.texts(\"", "settings.flag(\"", "settings.number(\"",
                           "settings.choice(\"", "(settings, \"", "prefix(\"", "clean(\""})
    for (const char* folder : {"/src/config", "/src/affinity"})
      for (const auto& entry : std::filesystem::directory_iterator(std::string(REMORA_SOURCE_DIR) + folder)) {
        const std::string source = text_of(entry.path());
        for (std::size_t at = source.find(call); at != std::string::npos; at = source.find(call, at + 1)) {
          const std::size_t begin = at + std::string_view(call).size();
          const std::string key = source.substr(begin, source.find('"', begin) - begin);
          EXPECT_TRUE(leaves.contains(key)) << "'" << key << "' of " << entry.path() << " has no row";
        }
      }
}

TEST_F(Keys, EachRowNamesATestThatThereIs) {
  std::map<std::string, std::string> sources;
  for (const Row& row : all_rows()) {
    const std::size_t space = row.test.find(' '), dot = row.test.find('.', space);
    ASSERT_NE(space, std::string::npos) << row.key;
    std::string& source = sources[row.test.substr(0, space)];
    if (source.empty()) source = text_of(REMORA_SOURCE_DIR "/tests/" + row.test.substr(0, space));
    const std::string suite = row.test.substr(space + 1, dot - space - 1), name = row.test.substr(dot + 1);
    EXPECT_NE(source.find("(" + suite + ", " + name + ")"), std::string::npos) << row.key << ": " << row.test;
  }
}

// What does nothing where it stands -----------------------------------------------------------------

std::string said(const std::string& yaml) {
  const Loaded loaded = load_text(yaml, "f", affinity_kinds());
  std::string all;
  if (const auto* e = std::get_if<LoadError>(&loaded))
    for (const std::string& line : e->lines) all += line + "\n";
  else
    for (const std::string& line : warnings(std::get<Config>(loaded))) all += "warning: " + line + "\n";
  return all;
}

TEST_F(Keys, ThatDoNothingInTheirPlaceAreRefusedThere) {
  const auto refused = [](const std::string& yaml, const std::string& key) {
    const std::string all = said(yaml);
    EXPECT_NE(all.find(key + ":"), std::string::npos) << yaml << all;
    EXPECT_EQ(all.find("warning:"), std::string::npos) << all;
  };
  for (const char* key :
       {"idle_timeout: 1h", "max_lifetime: 24h", "on_lost: reject", "on_full: move", "reject: {status: 404}",
        "no_room: {status: 429}", "announce: false", "state: on"}) {
    const std::string name(key, std::string_view(key).find(':'));
    refused(pool("session: {" + std::string(key) + "}"), "pools.a.session." + name);
    refused(pool("affinity: ip_hash\n    session: {" + std::string(key) + "}"), "pools.a.session." + name);
    refused(pool("affinity: {kind: header, name: X}\n    session: {" + std::string(key) + "}"),
            "pools.a.session." + name);
    EXPECT_EQ(
        said(pool("affinity: {kind: header, name: X, carry: store}\n    session: {" + std::string(key) + "}"))
            .find("cannot be kept"),
        std::string::npos)
        << key;
  }
  refused(backend("max_sessions: 3"), "pools.a.backends[0].max_sessions");
  refused(whole("", "", "", "address: 127.0.0.1:1, max_sessions: 3", "affinity: ip_hash"),
          "pools.a.backends[0].max_sessions");
  EXPECT_EQ(said(whole("", "", "", "address: 127.0.0.1:1, max_sessions: 3",
                       "affinity: cookie\n    session: {no_room: {status: 429}}")),
            "");
  const auto redirect = [](const std::string& more) {
    return whole("", "", "{path: /x, redirect: /y, " + more + "}, {path: /, pool: a}", "", "");
  };
  refused(redirect("timeouts: {connect: 1s}"), "routes[0].timeouts");
  refused(redirect("affinity: off"), "routes[0].affinity");
  refused(redirect("upgrades: []"), "routes[0].upgrades");
  refused(redirect("strip_prefix: /x"), "routes[0].strip_prefix");
  refused(redirect("headers: {set: {X: \"1\"}}"), "routes[0].headers");
  EXPECT_EQ(said(redirect("headers: {X: \"1\"}, methods: [GET], response_headers: {remove: [Date]}")), "");
  refused(whole("", "", "{path: /api, pool: a, strip_prefix: /other}", "", ""), "routes[0].strip_prefix");
  EXPECT_EQ(said(whole("", "", "{path: /api/v1, pool: a, strip_prefix: /api}", "", "")), "");
  refused(tls(", client_ca: " + file), "listeners[0].tls");
  refused(tls(", client_auth: off, client_ca: " + file), "listeners[0].tls");
  refused(tls(", alpn: []"), "listeners[0].tls.alpn");
  refused(tls(", alpn: [h3]"), "listeners[0].tls.alpn[0]");
  refused(tls(", alpn: [h2, h2]"), "listeners[0].tls.alpn[1]");
  EXPECT_EQ(said(tls(", alpn: [http/1.1, h2]")), "");
  refused(whole("", "tls: {certificates: [{cert: " + file + ", key: " + file + "}]}, h2c: on", "", "", ""),
          "listeners[0].h2c");
  refused(listener("h2c: on, h2: {max_concurrent_streams: 0}"), "listeners[0].h2");
  refused(listener("h2c: on, h2: {max_concurrent_streams: 10001}"), "listeners[0].h2");
  refused(listener("h2c: on, h2: {stream_window: 1KiB}"), "listeners[0].h2");
  refused(listener("h2c: on, h2: {stream_window: 2MiB}"), "listeners[0].h2");
  refused(listener("h2c: on, h2: {connection_window: 32KiB}"), "listeners[0].h2");
  refused(listener("h2c: on, h2: {windows: 1MiB}"), "listeners[0].h2.windows");
  refused(top("admin: {bind: off, read_only: on}"), "admin.read_only");
  refused(top("log: {access: {format: off, output: /x}}"), "log.access.output");
  refused(pool("failover: {bound: {same_backend: 2}}"), "pools.a.failover.bound");
  refused(pool("health: {probe: {expect: 200}}"), "pools.a.health.probe.expect");
  refused(pool("health: {probe: {path: tcp, host: x}}"), "pools.a.health.probe.host");
  refused(pool("health: {probe: {grpc: s}}"), "pools.a.health");
  refused(pool("protocol: auto\n    health: {probe: {grpc: s}}"), "pools.a.health");
  refused(pool("protocol: h2\n    health: {probe: {grpc: s, path: /h}}"), "pools.a.health.probe.path");
  refused(pool("protocol: h2\n    health: {probe: {grpc: s, expect: 200}}"), "pools.a.health.probe.expect");
  refused(pool("protocol: h2\n    health: {probe: {grpc: a b}}"), "pools.a.health.probe.grpc");
  refused(whole("", "", "", "dns_srv: _h._tcp.n, weight: 3", ""), "pools.a.backends[0].weight");
  refused(redis("master: m"), "store.redis.master");
  refused(redis("sentinel: {password: {env: KEYS_TEST_TEXT}}"), "store.redis.sentinel");
}

TEST_F(Keys, ThatDoNothingBesideTheRestOfTheFileAreWarnedOf) {
  const auto warned = [](const std::string& yaml, const std::string& what) {
    const std::string all = said(yaml);
    EXPECT_NE(all.find("warning: "), std::string::npos) << yaml << all;
    EXPECT_NE(all.find(what), std::string::npos) << yaml << all;
  };
  warned(
      "listeners: [127.0.0.1:80]\nroutes: [{path: /, pool: a}]\npools: {a: {backends: [127.0.0.1:1]}, b: "
      "{backends: [127.0.0.1:1]}}\n",
      "pools.b: no route");
  EXPECT_EQ(
      said("listeners: [127.0.0.1:80]\nroutes: [{path: /, pool: a}]\npools: {a: {fallback: b, backends: "
           "[127.0.0.1:1]}, b: {backends: [127.0.0.1:2]}}\n"),
      "");
  warned(whole("", "", "{path: /, pool: a, affinity: off}", "", "affinity: cookie"), "pools.a.affinity");
  warned(route("affinity: off"), "routes[0].affinity");
  warned(
      "listeners: [127.0.0.1:80]\nroutes: [{path: /, split: {a: 1, b: 0}}]\npools: {a: {backends: "
      "[127.0.0.1:1]}, b: "
      "{backends: [127.0.0.1:1]}}\n",
      "routes[0].split.b");
  warned(route("timeouts: {queue: 1s}"), "routes[0].timeouts.queue");
  warned(pool("timeouts: {queue: 1s}"), "pools.a.timeouts.queue");
  warned(session("on_full: move"), "pools.a.session.on_full");
  warned(session("no_room: {status: 429}"), "pools.a.session.no_room");
  warned(session("reject: {status: 404}"), "pools.a.session.reject");
  warned(pool("affinity: ip_hash\n    balance: first"), "pools.a.balance");
  warned(pool("failover: {attempts: 1, budget: 5%}"), "pools.a.failover");
  warned(pool("tls: {verify: off, ca: " + file + "}"), "pools.a.tls.ca");
  warned(backend("backup: true"), "pools.a.backends");
  warned(listener("per_client: {new_sessions_per_second: 3}"), "new_sessions_per_second");
  warned(listener("h2: {max_concurrent_streams: 3}"), "h2 does nothing");
  warned(whole("",
               "tls: {certificates: [{cert: " + file + ", key: " + file +
                   "}], alpn: http/1.1}, h2: {stream_window: 64KiB}",
               "", "", ""),
         "h2 does nothing");
  warned(top("jwt: {v: {algorithms: [HS256], keys: {secret: {env: KEYS_TEST_TEXT}}}}"), "jwt.v:");
  warned(redis("prefix: x"), "store:");
  warned(top("store: {memory_bytes: 2MiB}"), "store.memory_bytes");
  warned(top("dns: {servers: [10.0.0.2]}"), "dns.servers");
  warned(
      "dns: {servers: [10.0.0.2]}\nlisteners: [127.0.0.1:80]\npools: {a: {backends: [\"[fd00::1]:80\"]}}\n",
      "dns.servers");
  // One key for two purposes.
  warned(whole("keys: [{env: KEYS_TEST_KEY}]\njwt: {v: {algorithms: [HS256], keys: {secret: {env: "
               "KEYS_TEST_KEY}}}}",
               "", "{path: /, pool: a, auth: v}", "", ""),
         "jwt.v.keys.secret");
  EXPECT_EQ(said(jwt("")), "");
}

// A sentinel and what it leads to each have a login (redis/redis-py #1256, predis/predis #391).
TEST_F(Keys, LoginsOfSentinelsAndOfWhatTheyLeadTo) {
  ::setenv("KEYS_TEST_M", "m", 1);
  ::setenv("KEYS_TEST_S", "s", 1);
  struct Logins {
    std::string sentinel, master;
    bool sentinel_shared, master_shared;
  };
  const auto logins = [](const std::string& more) -> Logins {
    const Loaded loaded = load_text(redis("mode: sentinel, " + more), "f", affinity_kinds());
    if (const auto* e = std::get_if<LoadError>(&loaded)) {
      for (const std::string& line : e->lines) ADD_FAILURE() << line;
      return {};
    }
    const Store& s = std::get<Config>(loaded).store;
    return {s.nodes.front().user + ":" + s.nodes.front().password,
            s.redis_master_user + ":" + s.redis_master_password, s.nodes.front().login_is_shared,
            s.redis_master_login_is_shared};
  };
  const auto are = [](const Logins& l2, const char* sentinel, const char* master, bool ss, bool ms) {
    EXPECT_EQ(l2.sentinel, sentinel);
    EXPECT_EQ(l2.master, master);
    EXPECT_EQ(l2.sentinel_shared, ss);
    EXPECT_EQ(l2.master_shared, ms);
  };
  are(logins("nodes: [\"redis://h:1\"]"), ":", ":", true, true);
  are(logins("nodes: [\"redis://h:1\"], password: {env: KEYS_TEST_M}"), ":m", ":m", true, false);
  are(logins(
          "nodes: [\"redis://h:1\"], password: {env: KEYS_TEST_M}, sentinel: {password: {env: KEYS_TEST_S}}"),
      ":s", ":m", false, false);
  are(logins("nodes: [\"redis://h:1\"], user: u, password: {env: KEYS_TEST_M}, sentinel: {user: v, password: "
             "{env: KEYS_TEST_S}}"),
      "v:s", "u:m", false, false);
  are(logins("nodes: [\"redis://:n@h:1\"], password: {env: KEYS_TEST_M}"), ":n", ":m", false, false);
  are(logins("nodes: [\"redis://:n@h:1\"]"), ":n", ":n", false, true);
  are(logins("nodes: [\"redis://h:1\"], sentinel: {password: {env: KEYS_TEST_S}}"), ":s", ":s", false, true);
}

}  // namespace
}  // namespace remora::config
