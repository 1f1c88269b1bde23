// Which failure is retried, where and how often: each way in which an attempt fails, with each method, each
// binding, each list, and any number of failures in a row. The expectation is computed from the contract
// (RFC 9110 9.2.2, config/reference.yaml), not from the code.

#include <gtest/gtest.h>

#include <algorithm>

#include "support/trunk.h"

namespace remora::test {
namespace {

using Connect = BackendScript::Connect;
using When = BackendScript::When;
using Fails = BackendScript::Fails;
using Strings = std::vector<std::string>;

/// One way in which an attempt fails.
struct Event {
  std::string name;
  std::string flag;      // in `retry_on`; empty: never retried
  bool acted;            // bytes of the request were sent
  std::size_t taken;     // bytes of a body of five that were taken from the client
  std::uint16_t status;  // that the client gets if nothing is retried
  BackendScript script;
  bool needs_body = false;
  bool stale() const { return script.idle; }
  bool unreached() const { return flag == "refused" || flag == "connect"; }
};

std::vector<Event> events() {
  return {
      {"refused", "refused", false, 0, 502, {.connect = Connect::refuses}},
      {"connect timeout", "connect", false, 0, 504, {.connect = Connect::silent}},
      {"unreachable", "connect", false, 0, 504, {.connect = Connect::unreachable}},
      {"new connection broke at once", "reset", false, 0, 502, {.dead = true}},
      {"idle connection was dead", "reset", false, 0, 502, {.idle = true, .dead = true}},
      {"closed without a response", "reset", true, 5, 502, {.fails = Fails::closes}},
      {"idle one closed without a response", "reset", true, 5, 502, {.idle = true, .fails = Fails::closes}},
      {"reset in the request's body",
       "reset",
       true,
       0,  // a send that fails takes nothing
       502,
       {.when = When::at_once, .resets_after = 2, .fails = Fails::closes},
       true},
      {"malformed head", "", true, 5, 502, {.fails = Fails::malformed}},
      {"silent", "timeout", true, 5, 504, {.when = When::never}},
      {"502", "502", true, 5, 502, {.head = "502 Bad Gateway\r\nContent-Length: 4\r\n", .body = "busy"}},
      {"503", "503", true, 5, 503, {.head = "503 Busy\r\nContent-Length: 4\r\n", .body = "busy"}},
      {"504", "504", true, 5, 504, {.head = "504 Late\r\nContent-Length: 4\r\n", .body = "busy"}},
      {"500", "", true, 5, 500, {.head = "500 Oops\r\nContent-Length: 4\r\n", .body = "busy"}},
      {"broken after the head",
       "",
       true,
       5,
       200,
       {.head = "200 OK\r\nContent-Length: 9\r\n", .body = "123456789", .breaks_after = 0}},
      {"broken in the response's body",
       "",
       true,
       5,
       200,
       {.head = "200 OK\r\nContent-Length: 9\r\n", .body = "123456789", .breaks_after = 4}},
  };
}

enum class Binding { none, session, keyed };

struct Lists {
  std::string name;
  Strings on, bound_on;
};

std::vector<Lists> lists() {
  const Strings all = {"connect", "refused", "reset", "timeout", "502", "503", "504"};
  return {{"default", {"connect", "refused", "reset", "502", "503"}, {"connect", "refused", "reset"}},
          {"all", all, all},
          {"all, bound none", all, {}},
          {"none, bound all", {}, all}};
}

struct Way {
  std::string method;
  bool body;
  bool idempotent;
};
const std::vector<Way> ways = {{"GET", false, true},   {"HEAD", false, true},  {"DELETE", false, true},
                               {"POST", false, false}, {"POST", true, false},  {"PUT", true, true},
                               {"PATCH", true, false}, {"OPTIONS", true, true}};

struct Case {
  const Event& event;
  const Way& way;
  Binding binding;
  const Lists& lists;
  bool always;         // each attempt fails so, not only the first
  unsigned attempts;   // failover.attempts
  std::size_t replay;  // failover.replay_body
};

struct Expected {
  Strings at;  // backends that are connected to, in order
  std::uint16_t status;
};

bool contains(const Strings& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// The contract. There are two backends, a and b, and the request's first choice is a.
Expected oracle(const Case& c) {
  Expected out{{"a"}, 200};
  bool bound = c.binding == Binding::session;
  const bool keyed = c.binding == Binding::keyed;
  unsigned once_more = 1;  // bound.same_backend
  Strings tried;
  bool stale = false, first = true;
  for (;;) {
    const bool fails = c.always || first;
    if (!fails) return out;
    out.status = c.event.status;
    const bool over_idle = c.event.stale() && first;  // later attempts use new connections
    first = false;
    const std::size_t taken = c.way.body ? c.event.taken : 0;
    const bool listed = contains(bound || keyed ? c.lists.bound_on : c.lists.on, c.event.flag);
    const bool unsafe = c.event.acted && !c.way.idempotent;
    if (!listed || unsafe || taken > c.replay || out.at.size() >= c.attempts) return out;
    if (over_idle) stale = true;
    const std::string here = out.at.back();
    const bool stays = (bound || (keyed && !c.event.unreached())) && once_more > 0;
    if (stays) {
      --once_more;
      out.at.push_back(here);
    } else {
      tried.push_back(here);
      const std::string other = here == "a" ? "b" : "a";
      if (!contains(tried, other)) {
        out.at.push_back(other);
        bound = false;  // the session has moved
      } else if (std::exchange(stale, false)) {
        tried.clear();  // only an idle connection was dead, perhaps not its backend
        out.at.push_back("a");
      } else {
        return out;
      }
    }
    out.status = 200;
  }
}

std::string yaml_list(const Strings& words) {
  std::string out = "[";
  for (const std::string& word : words) out += (out.size() > 1 ? ", " : "") + word;
  return out + "]";
}

std::string yaml(const Case& c) {
  std::string out = "pools:\n  app:\n    balance: first\n";
  if (c.binding == Binding::session) out += "    affinity: cookie\n";
  if (c.binding == Binding::keyed) out += "    affinity: {kind: header, name: X-Tenant}\n";
  out += "    timeouts: {connect: 100ms, response: 1s, read: 1s}\n    failover: {attempts: " +
         std::to_string(c.attempts) + ", retry_on: " + yaml_list(c.lists.on);
  if (c.binding != Binding::none)
    out += ", bound: {same_backend: 1, retry_on: " + yaml_list(c.lists.bound_on) + "}";
  out += ", replay_body: " + std::to_string(c.replay) + "B}\n";
  return out + "    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]\n";
}

/// A tenant whose hash leads to a.
const std::string& tenant_of_a() {
  static const std::string found = [] {
    const Lists none;
    const Event event{};
    Trunk trunk(yaml({event, ways[0], Binding::keyed, none, false, 1, 0}));
    for (int i = 0; i < 100; ++i) {
      trunk.get("/", {{"X-Tenant", std::to_string(i)}});
      if (trunk.connector.connected.back() == "a") return std::to_string(i);
    }
    throw std::logic_error("all tenants are at b");
  }();
  return found;
}

std::string describe(const Case& c) {
  return c.event.name + ", " + c.way.method + (c.way.body ? " with a body" : "") +
         (c.binding == Binding::none      ? ", unbound"
          : c.binding == Binding::session ? ", bound"
                                          : ", keyed") +
         ", lists: " + c.lists.name + (c.always ? ", always" : ", once") + ", " + std::to_string(c.attempts) +
         " attempts, replay " + std::to_string(c.replay);
}

void check(const Case& c) {
  SCOPED_TRACE(describe(c));
  Trunk trunk(yaml(c));
  Fields fields;
  if (c.binding == Binding::keyed) fields.emplace_back("X-Tenant", tenant_of_a());
  if (c.binding == Binding::session) {
    trunk.get("/");
    fields.emplace_back("Cookie", trunk.cookie());
    trunk.connector.requests.clear();
    trunk.connector.connected.clear();
  }
  if (c.way.body) fields.emplace_back("Content-Length", "5");
  if (c.always) {
    for (const char* id : {"a", "b"}) trunk.connector.always(id, c.event.script);
  } else {
    trunk.connector.script("a", c.event.script);
  }
  const Delivered& got = trunk.request(c.way.method, "/", fields, c.way.body ? "hello" : "");
  const Expected expected = oracle(c);
  EXPECT_EQ(trunk.connector.connected, expected.at);
  EXPECT_EQ(got.head.status, expected.status);
  EXPECT_TRUE(trunk.holds_nothing());
  const bool breaks = c.event.name.starts_with("broken") && c.way.method != "HEAD";
  EXPECT_EQ(got.aborted, breaks);
  EXPECT_EQ(got.complete, !breaks);
  if (c.event.script.body == "busy" && got.head.status != 200 && c.way.method != "HEAD") {
    EXPECT_EQ(got.body, "busy") << "not the app's own words";
  }
  std::size_t acted = 0;
  for (const SentRequest& sent : trunk.connector.requests) {
    EXPECT_EQ(sent.head.method, c.way.method);
    EXPECT_TRUE(std::string("hello").starts_with(sent.body));
    acted += sent.complete || !sent.body.empty() ? 1 : 0;
  }
  if (!c.way.idempotent) {
    EXPECT_LE(acted, 1U) << "RFC 9110 9.2.2";
  }
  if (got.head.status == 200 && !breaks && !trunk.connector.requests.empty()) {
    EXPECT_EQ(trunk.connector.requests.back().body, c.way.body ? "hello" : "");
    EXPECT_TRUE(trunk.connector.requests.back().complete);
  }
}

class RetryMatrix : public testing::TestWithParam<std::size_t> {};

TEST_P(RetryMatrix, EachFailureIsRetriedAsTheContractSays) {
  const Event event = events()[GetParam()];
  const std::vector<Lists> all_lists = lists();
  for (const Way& way : ways)
    for (const Binding binding : {Binding::none, Binding::session, Binding::keyed})
      for (const Lists& list : all_lists)
        for (const bool always : {false, true})
          for (const unsigned attempts : {1U, 2U, 3U}) {
            if (event.needs_body && !way.body) continue;
            check({event, way, binding, list, always, attempts, 65536});
            if (HasFailure()) return;  // one is enough to see it
          }
}

TEST_P(RetryMatrix, ABodyThatWasNotKeptIsNotSentAgain) {
  const Event event = events()[GetParam()];
  const std::vector<Lists> all_lists = lists();
  const Way put{"PUT", true, true};
  for (const Binding binding : {Binding::none, Binding::session, Binding::keyed})
    for (const std::size_t replay : {1U, 2U, 4U, 5U})
      check({event, put, binding, all_lists[1], true, 3, replay});
}

INSTANTIATE_TEST_SUITE_P(Each, RetryMatrix, testing::Range(std::size_t{0}, events().size()),
                         [](const auto& info) {
                           std::string name = events()[info.param].name;
                           std::replace_if(
                               name.begin(), name.end(),
                               [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
                           return name;
                         });

TEST(RetryRules, NoListIsLongerThanTheNumberOfAttempts) {
  for (const unsigned attempts : {1U, 2U, 3U, 5U, 7U}) {
    std::string config =
        "pools: {app: {balance: round_robin, failover: {attempts: " + std::to_string(attempts) +
        "}, backends: [";
    for (int i = 1; i <= 9; ++i) config += "127.0.0.1:" + std::to_string(i) + ", ";
    Trunk trunk(config + "]}}");
    for (int i = 1; i <= 9; ++i)
      trunk.connector.always("127.0.0.1:" + std::to_string(i), {.fails = Fails::closes});
    EXPECT_EQ(trunk.get("/").head.status, 502);
    Strings at = trunk.connector.connected;
    EXPECT_EQ(at.size(), attempts);
    std::sort(at.begin(), at.end());
    EXPECT_EQ(std::unique(at.begin(), at.end()), at.end()) << "one backend was tried twice";
  }
}

TEST(RetryRules, TheDefaultsFitTheReference) {
  Trunk trunk("pools: {app: {affinity: cookie, backends: [127.0.0.1:1]}}");
  const config::Failover& rules = trunk.pool_config().failover;
  EXPECT_EQ(rules.attempts, 3);
  EXPECT_EQ(rules.bound_same_backend, 1);
  EXPECT_EQ(rules.replay_body, 65536U);
  EXPECT_FALSE(rules.retry_on.timeout);
  EXPECT_FALSE(rules.bound_retry_on.s503);
}

TEST(RetryRules, SameBackendZeroMovesASessionAtOnceAndTwoKeepsItTwice) {
  for (const unsigned kept : {0U, 2U}) {
    Trunk trunk(
        "pools: {app: {balance: first, affinity: cookie, failover: {attempts: 5, bound: {same_backend: " +
        std::to_string(kept) +
        "}}, backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}}");
    trunk.get("/");
    trunk.connector.connected.clear();
    trunk.connector.always("a", {.fails = Fails::closes});
    EXPECT_EQ(trunk.get("/", {{"Cookie", trunk.cookie()}}).head.status, 200);
    Strings expected(kept + 1, "a");
    expected.push_back("b");
    EXPECT_EQ(trunk.connector.connected, expected);
  }
}

TEST(RetryRules, ADeadIdleConnectionDoesNotEndASessionThatMustNotMove) {
  Trunk trunk(
      "pools: {app: {balance: first, affinity: cookie, session: {on_lost: reject}, failover: {bound: "
      "{same_backend: 0}}, backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]}}");
  trunk.get("/");
  trunk.connector.connected.clear();
  trunk.connector.script("a", {.idle = true, .dead = true});
  EXPECT_EQ(trunk.get("/", {{"Cookie", trunk.cookie()}}).head.status, 200);
  EXPECT_EQ(trunk.connector.connected, Strings(2, "a"));
}

}  // namespace
}  // namespace remora::test
