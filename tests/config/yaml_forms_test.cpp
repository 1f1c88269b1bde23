// YAML as tools and people write it: merge keys, anchors, defaults of variables, switches in any spelling,
// addresses as URLs; and errors that stand at the mistake.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "affinity/registry.h"
#include "config/address_text.h"
#include "config/loader.h"
#include "config/reach.h"
#include "config/substitute.h"

namespace remora::config {
namespace {

std::string errors(const std::string& text) {
  const Loaded loaded = load_text(text, "f", affinity_kinds());
  std::string all;
  if (const auto* e = std::get_if<LoadError>(&loaded))
    for (const auto& line : e->lines) all += line + "\n";
  return all;
}

Config good(const std::string& text) {
  Loaded loaded = load_text(text, "f", affinity_kinds());
  if (const auto* e = std::get_if<LoadError>(&loaded)) {
    for (const auto& line : e->lines) ADD_FAILURE() << line << "\n" << text;
    return {};
  }
  return std::get<Config>(loaded);
}

const std::string rest = "listeners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:1]}}\n";

// Merge keys: jbeder/yaml-cpp #41 and #353, ClickHouse/ClickHouse PR #62685 ----------------------------

TEST(Merge, APoolTakesWhatItDoesNotSayItself) {
  const Config c = good(
      "x-defaults: &defaults\n  balance: first\n  idle_connections: 7\n  timeouts: {connect: 1s, response: "
      "9s}\n"
      "listeners: [127.0.0.1:80]\nroutes: [{path: /, pool: a}, {path: /b, pool: b}]\n"
      "pools:\n  a:\n    <<: *defaults\n    backends: [127.0.0.1:1]\n"
      "  b:\n    backends: [127.0.0.1:2]\n    timeouts: {connect: 3s}\n    <<: *defaults\n");
  ASSERT_EQ(c.pools.size(), 2U);
  EXPECT_EQ(c.pools[0].balance, Balance::first);
  EXPECT_EQ(c.pools[0].timeouts.response, seconds(9));
  EXPECT_EQ(c.pools[1].idle_connections, 7U);
  EXPECT_EQ(c.pools[1].timeouts.connect, seconds(3)) << "its own entry wins, wherever it stands";
  EXPECT_EQ(c.pools[1].timeouts.response, seconds(60)) << "entries are merged, not what is in them";
}

TEST(Merge, OfAListTheEarlierMapWinsAndMergesNest) {
  const Config c = good(
      "x-one: &one {idle_connections: 1}\nx-two: &two\n  <<: *one\n  balance: first\n"
      "x-three: &three {idle_connections: 3, balance: round_robin}\nlisteners: [127.0.0.1:80]\n"
      "pools: {a: {<<: [*two, *three], backends: [127.0.0.1:1]}}\n");
  EXPECT_EQ(c.pools.at(0).idle_connections, 1U);
  EXPECT_EQ(c.pools.at(0).balance, Balance::first);
}

TEST(Merge, WorksWhereverAMapStands) {
  const Config c = good(
      "x-h: &h {set: {X-A: '1'}}\nx-k: &k {kind: cookie, name: c}\nx-p: &p {path: /hz, interval: 3s}\n"
      "x-l: &l {limits: {headers: 50}}\nlisteners: [{<<: *l, bind: 127.0.0.1:80}]\nkeys: [{env: "
      "REMORA_KEY}]\n"
      "pools:\n  a:\n    backends: [127.0.0.1:1]\n    affinity: {<<: *k, path: /x}\n"
      "    health: {probe: {<<: *p, fall: 9}}\nroutes: [{path: /, pool: a, headers: {<<: *h}}]\n");
  EXPECT_EQ(c.listeners.at(0).limits.headers, 50U);
  EXPECT_EQ(c.pools.at(0).affinity.at(0).settings->own_cookie, "c");
  EXPECT_EQ(c.pools.at(0).probe.path, "/hz");
  EXPECT_EQ(c.pools.at(0).probe.fall, 9U);
  ASSERT_EQ(c.routes.at(0).request_headers.set.size(), 1U) << "edits, not a condition";
}

TEST(Merge, MistakesHaveTheirPlace) {
  EXPECT_EQ(errors("x-d: &d 7\npools: {a: {<<: *d, backends: [127.0.0.1:1]}}\nlisteners: [127.0.0.1:80]\n"),
            "f:2:13: '<<' takes a map or a list of maps (<<: *defaults)\n");
  EXPECT_NE(errors("x-d: &d {wrong: 1}\n" + std::string("pools: {a: {<<: *d, backends: [127.0.0.1:1]}}\n"
                                                        "listeners: [127.0.0.1:80]\n"))
                .find("f:1:10: pools.a.wrong: unknown key"),
            std::string::npos)
      << "at the anchor, where it is to be mended";
  EXPECT_NE(errors("pools: {a: {<<: {}, <<: {}}}\n" + rest.substr(0, 27)).find("'<<' is given twice"),
            std::string::npos);
  EXPECT_NE(errors("pools: &p {a: {<<: *p}}\nlisteners: [127.0.0.1:80]\n"), "");
  EXPECT_NE(errors("pools: {a: &a {<<: *a}}\nlisteners: [127.0.0.1:80]\n"), "");
  std::string bomb = "x-0: &a0 {k: 1}\n";
  for (int i = 1; i < 40; ++i)
    bomb += "x-" + std::to_string(i) + ": &a" + std::to_string(i) + " {l: *a" + std::to_string(i - 1) +
            ", r: *a" + std::to_string(i - 1) + "}\n";
  EXPECT_NE(errors(bomb + rest).find("aliases"), std::string::npos);
}

TEST(Merge, TheTopHasRoomForAnchors) {
  EXPECT_EQ(errors("x-anything: {at: [all]}\n" + rest), "");
  EXPECT_NE(
      errors("defaults: &d {balance: first}\n" + rest).find("f:1:1: defaults: unknown key (keys that begin"),
      std::string::npos);
  EXPECT_NE(errors("pools: {a: {x-mine: 1, backends: [127.0.0.1:1]}}\nlisteners: [127.0.0.1:80]\n")
                .find("unknown key"),
            std::string::npos)
      << "only there: elsewhere a misspelled key is an error";
  const Config c = good("x-secret: {note: visible-nowhere}\n" + rest);
  EXPECT_EQ(c.shown.find("visible-nowhere"), std::string::npos);
}

// Variables: oddur/yoink PR #45 ----------------------------------------------------------------------

std::string replaced(const std::string& text) {
  const Variables variables = [](const std::string& name) -> const char* {
    return name == "SET" ? "value" : name == "EMPTY" ? "" : nullptr;
  };
  std::string error;
  const auto out = substitute(text, variables, error);
  return out ? *out : "error: " + error;
}

TEST(Variables, FormsOfComposeAndTheShell) {
  for (const auto& [text, wanted] : std::vector<std::pair<std::string, std::string>>{
           {"${SET}", "value"},
           {"a${SET}b${SET}", "avaluebvalue"},
           {"${SET:-x}", "value"},
           {"${UNSET:-8080}", "8080"},
           {"${UNSET-8080}", "8080"},
           {"${EMPTY:-x}", "x"},
           {"${EMPTY-x}", ""},
           {"${UNSET:-}", ""},
           {"${UNSET:-${SET}}", "value"},
           {"${UNSET:-${OTHER:-{}}}", "{}"},
           {"${UNSET:-a:b-c?d+e}", "a:b-c?d+e"},
           {"${SET:+x}", "x"},
           {"${EMPTY:+x}", ""},
           {"${EMPTY+x}", "x"},
           {"${UNSET+x}", ""},
           {"${SET:?why}", "value"},
           {"$$", "$"},
           {"$${SET}", "${SET}"},
           {"$SET", "$SET"},
           {"^a$", "^a$"},
       })
    EXPECT_EQ(replaced(text), wanted) << text;
}

TEST(Variables, MistakesAreSaidWithoutValues) {
  EXPECT_EQ(replaced("${UNSET}"), "error: the environment has no 'UNSET'");
  EXPECT_EQ(replaced("${UNSET:?give a port}"), "error: the environment has no 'UNSET': give a port");
  EXPECT_EQ(replaced("${EMPTY:?}"), "error: the environment has no 'EMPTY'");
  EXPECT_EQ(replaced("${SET"), "error: '${' without '}'");
  for (const char* text : {"${}", "${9}", "${a b}", "${:-x}", "${SET:x}", "${SET:}", "${-x}"})
    EXPECT_EQ(replaced(text).substr(0, 6), "error:") << text;
  std::string deep;
  for (int i = 0; i < 50; ++i) deep += "${U:-";
  EXPECT_EQ(replaced(deep + std::string(50, '}')).substr(0, 6), "error:");
}

TEST(Variables, DefaultsWorkInTheFile) {
  EXPECT_EQ(
      good("listeners: [\"127.0.0.1:${REMORA_NO_PORT:-8080}\"]\npools: {a: {backends: [127.0.0.1:1]}}\n")
          .listeners.at(0)
          .bind.port,
      8080);
  EXPECT_FALSE(good("admin: ${REMORA_NO_ADMIN:-off}\n" + rest).admin.bind.has_value());
}

// Switches: Jinja writes True, Ruby and Ansible yes; PyYAML and Helm make `off` into false ----------------

TEST(Switches, InAnySpelling) {
  for (const char* off : {"off", "Off", "false", "False", "FALSE", "no", "No", "'off'"}) {
    const std::string o = off;
    const Config c = good("admin: " + o + "\nlog: {access: " + o + "}\nsession_api: " + o +
                          "\nlisteners: [{bind: 127.0.0.1:80, request_id: " + o + ", proxy_protocol: " + o +
                          "}]\nkeys: [{env: REMORA_KEY}]\npools: {a: {backends: [127.0.0.1:1], tls: " + o +
                          ", forwarded: " + o + ", health: {probe: " + o + ", eject: " + o +
                          "}, affinity: {kind: cookie, secure: " + o + ", http_only: " + o +
                          "}, session: {state: " + o + ", rebalance: " + o + "}}}\n");
    ASSERT_EQ(c.pools.size(), 1U) << off;
    EXPECT_FALSE(c.admin.bind.has_value()) << off;
    EXPECT_EQ(c.log.access_format, AccessFormat::off) << off;
    EXPECT_EQ(c.listeners[0].request_id, "") << off;
    EXPECT_EQ(c.pools[0].forwarded, Forwarded::off) << off;
    EXPECT_EQ(c.pools[0].probe.kind, ProbeKind::off) << off;
    EXPECT_EQ(c.pools[0].eject.consecutive_failures, 0U) << off;
    EXPECT_FALSE(c.pools[0].tls.has_value()) << off;
  }
  for (const char* on : {"on", "True", "yes", "ON"}) {
    const std::string o = on;
    const Config c = good(
        "listeners: [127.0.0.1:80]\nkeys: [{env: REMORA_KEY}]\npools: {a: {backends: [127.0.0.1:1], tls: " +
        o + ", affinity: {kind: cookie, secure: " + o + ", same_site: None}, session: {state: " + o +
        "}}}\n");
    ASSERT_EQ(c.pools.size(), 1U) << on;
    EXPECT_TRUE(c.pools[0].tls.has_value()) << on;
    EXPECT_TRUE(c.pools[0].session.state.has_value()) << on;
  }
  EXPECT_EQ(errors("admin: {read_only: perhaps}\n" + rest),
            "f:1:20: admin.read_only: 'perhaps' is neither on nor off\n");
}

// Addresses ------------------------------------------------------------------------------------------

TEST(Addresses, OfUrlsAreUnderstoodWhereTheyMeanTheSame) {
  const auto backend = [](const std::string& address) {
    const Config c = good("listeners: [127.0.0.1:80]\npools: {a: {backends: [\"" + address + "\"]}}\n");
    return c.pools.empty() ? "" : c.pools[0].backends.at(0).address.text();
  };
  EXPECT_EQ(backend("http://127.0.0.1:8080"), "127.0.0.1:8080");
  EXPECT_EQ(backend("http://127.0.0.1:8080/"), "127.0.0.1:8080");
  EXPECT_EQ(backend("HTTP://127.0.0.1"), "127.0.0.1:80");
  EXPECT_EQ(backend("http://[::1]"), "[::1]:80");
  EXPECT_EQ(backend("http://[::1]:81"), "[::1]:81");
  EXPECT_EQ(backend("tcp://127.0.0.1:8080"), "127.0.0.1:8080");
  EXPECT_EQ(backend("unix:///run/app.sock"), "unix:/run/app.sock");
}

TEST(Addresses, OthersAreCorrectedWithAHint) {
  for (const auto& [address, hint] : std::vector<std::pair<std::string, std::string>>{
           {"https://app:8443/x", "write app:8443 and `tls: on` in the pool"},
           {"https://app", "write app:443 and `tls: on`"},
           {"http://app:81/base", "write app:81; an address has no path"},
           {"http://u:secret@app:81", "holds no user"},
           {"ftp://app:21", "has no scheme"},
           {":8080", "a host is missing: 127.0.0.1:8080, or 0.0.0.0:8080"},
           {"8080", "a host is missing: 127.0.0.1:8080"},
           {"*:8080", "0.0.0.0:8080, every IPv6 one [::]:8080"},
           {"localhost", "a port is missing: localhost:8080"},
           {"127.0.0.1", "a port is missing: 127.0.0.1:8080"},
           {"[::]", "a port is missing: [::]:8080"},
           {"::", "a port is missing: [::]:8080"},
           {"[::1]", "a port is missing: [::1]:8080"},
           {"fe80:1:2:3:4:5:6:7:8080", "in brackets: \"[fe80:1:2:3:4:5:6:7]:8080\""},
           {"app:80/path", "has no path: write app:80"},
           {"/run/app.sock", "is written unix:/run/app.sock"},
           {"app:http", "the port must be"},
           {"app:99999", "the port must be"},
       }) {
    const std::string said =
        errors("listeners: [127.0.0.1:80]\npools: {a: {backends: [\"" + address + "\"]}}\n");
    EXPECT_EQ(said.substr(0, 8), "f:2:24: ") << address << ": " << said;
    EXPECT_NE(said.find(hint), std::string::npos) << address << ": " << said;
    EXPECT_EQ(said.find("secret"), std::string::npos) << said;
  }
}

// What `run` would refuse, `check` refuses: one reading for both ----------------------------------------

TEST(Check, RefusesWhatCannotStart) {
  EXPECT_NE(errors("state_dir: none\nlisteners: [127.0.0.1:80]\npools: {a: {affinity: cookie, backends: "
                   "[127.0.0.1:1]}}\n")
                .find("f:1:12: state_dir: none, and no `keys`: pool 'a' seals tokens"),
            std::string::npos);
  EXPECT_EQ(errors("state_dir: none\n" + rest), "") << "nothing is sealed";
  for (const char* pools : {"pools:\n", "pools: {}\n", "pools: []\n", "pools: x\n"})
    EXPECT_NE(errors("listeners: [127.0.0.1:80]\n" + std::string(pools)), "") << pools;
  for (const char* listeners : {"listeners:\n", "listeners: []\n", "listeners: {}\n"})
    EXPECT_NE(errors(listeners + std::string("pools: {a: {backends: [127.0.0.1:1]}}\n")), "") << listeners;
  EXPECT_NE(errors("listeners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:0]}}\n").find("port 0"),
            std::string::npos);
  EXPECT_NE(errors("listeners: [127.0.0.1:80]\npools: {a: {backends: [{dns: \"app:0\"}]}}\n").find("port 0"),
            std::string::npos);
}

// Syntax: the parser meets many mistakes a line late ----------------------------------------------------

TEST(Syntax, StandsAtTheMistake) {
  for (const auto& [text, wanted] : std::vector<std::pair<std::string, std::string>>{
           {"log: level: info\n", "f:1:11: syntax: a value cannot hold ': ' without quotes"},
           {"workers: 1\nlisteners [127.0.0.1:80]\npools: x\n",
            "f:2:1: syntax: a colon is missing behind the key"},
           {"listeners\n  - a\npools:\n  a: 1\n", "f:2:3: syntax: a colon is missing"},
           {"workers:1\nlog: x\n", "f:1:1: syntax: a blank is missing behind the colon"},
           {"workers: 1\n  log: x\n", "f:2:3: syntax: indented deeper than the line before"},
           {"log:\n\tlevel: info\n", "f:2:1: syntax: a tab"},
           {"listeners: [127.0.0.1:80\npools:\n  a: 1\n", "f:1:12: syntax: this '[' is not closed"},
           {"pools: {a: {backends: [127.0.0.1:1]}\nlog: {}\n", "f:1:8: syntax: this '{' is not closed"},
           {"log: {level: info}}\n", "f:1:19: syntax: a closing bracket that closes nothing"},
           {"log: - x\n", "f:1:6: syntax: a list with dashes begins on a line of its own"},
           {"listeners:\n  - [::]:8080\n", "quote it: \"[::1]:80\""},
           {"listeners: [::]:8080\n", "quote it: \"[::1]:80\""},
           {"routes:\n  - host: *.example.com\n", "quote it: \"*.example.com\""},
           {"state_dir: *nothing\n", "f:1:12: syntax: there is no such anchor before"},
           {"state_dir: @x\n", "f:1:12: syntax: a plain value cannot begin with this; quote it"},
           {"listeners: [{{ bind }}:80]\n", "a template's braces?"},
           {"state_dir: \"/x\nworkers: 1\n", "f:1:12: syntax: this quote is not closed"},
           {"state_dir: 'it''s\nworkers: 1\n", "f:1:12: syntax: this quote is not closed"},
           {"  workers: 1\nlog: {}\n", "f:2:1: syntax: outside of what stands above"},
           {"{workers: 1}\nlog: {}\n", "f:2:1: syntax: outside of what stands above"},
           {"workers: 1\n---\nworkers: 2\n", "a second document begins here"},
           {"just text\n", "f:1:1: a file of keys is wanted"},
           {"workers:1\n", "f:1:1: a file of keys is wanted"},
           {"- a\n- b\n", "f:1:1: a file of keys is wanted"},
       }) {
    const std::string said = errors(text);
    EXPECT_NE(said.find(wanted), std::string::npos) << text << "\n" << said;
    EXPECT_EQ(said.find("operator[]"), std::string::npos) << said;
    EXPECT_EQ(said.find("illegal map"), std::string::npos) << said;
  }
}

TEST(Syntax, JsonCrlfAndAByteOrderMarkAreYaml) {
  EXPECT_EQ(errors(R"({"listeners": ["127.0.0.1:80"], "pools": {"a": {"backends": ["127.0.0.1:1"]}}})"), "");
  EXPECT_EQ(errors("\xef\xbb\xbf" + rest), "");
  EXPECT_EQ(errors("listeners: [127.0.0.1:80]\r\npools:\r\n  a:\r\n    backends: ['127.0.0.1:1']\r\n"), "");
  EXPECT_EQ(errors("---\n" + rest + "...\n"), "");
}

// Where commands find a daemon by its file: searxng/searxng #4906, tchiotludo/akhq #1288 -------------------

TEST(Reach, SaysWhereTheDaemonCanBeAsked) {
  const auto admin = [](const std::string& text) {
    const Reach r = reach_of(text, "f");
    EXPECT_EQ(r.error, "");
    return r.admin ? r.admin->text() : "off";
  };
  EXPECT_EQ(admin(rest), "127.0.0.1:9900");
  EXPECT_EQ(admin("admin: 127.0.0.1:9901\n" + rest), "127.0.0.1:9901");
  EXPECT_EQ(admin("admin: {bind: unix:/run/a.sock}\n" + rest), "unix:/run/a.sock");
  EXPECT_EQ(admin("admin: off\n" + rest), "off");
  EXPECT_EQ(admin("admin: {bind: false}\n" + rest), "off");
  EXPECT_EQ(admin("admin: {bind: 0.0.0.0:9900, token: {file: /nobody/can/read}}\n" + rest), "127.0.0.1:9900");
  EXPECT_EQ(admin("admin: {bind: '[::]:9900', token: {env: REMORA_NOT_HERE}}\n" + rest), "[::1]:9900");
  EXPECT_EQ(admin("x-a: &a {bind: 127.0.0.1:9905}\nadmin: {<<: *a}\n" + rest), "127.0.0.1:9905");
}

TEST(Reach, ReadsNothingElse) {
  const Reach r = reach_of(
      "admin: off\nkeys: [{file: /nobody/can/read}]\nmisspelt: 1\n"
      "listeners: [0.0.0.0:8080, {bind: unix:/s, tls: {certificates: []}}, 127.0.0.1:0]\n",
      "f");
  EXPECT_EQ(r.error, "");
  ASSERT_EQ(r.listeners.size(), 2U) << "port 0 says nothing";
  EXPECT_EQ(r.listeners[0].text(), "127.0.0.1:8080");
  EXPECT_EQ(r.listeners[1].text(), "unix:/s");
  EXPECT_NE(reach_of("just text", "f").error, "");
  EXPECT_NE(reach_of("a: [", "f").error, "");
  EXPECT_NE(load_reach("/nonexistent").error, "");
}

class Environment : public testing::Environment {
  void SetUp() override { ::setenv("REMORA_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1); }
};
[[maybe_unused]] const auto* const environment = testing::AddGlobalTestEnvironment(new Environment);

}  // namespace
}  // namespace remora::config
