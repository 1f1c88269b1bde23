// Every operation of a scenario fails once: each receive, send, connect and call to the store, one at a time.
// Whatever fails, nothing is held afterwards, no unsafe request reaches backends twice, and the client gets a
// whole response, a clean error or an abort: never a truncated response that looks complete.

#include <gtest/gtest.h>

#include "pool/permit.h"
#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using When = BackendScript::When;
using Fails = BackendScript::Fails;

struct Scenario {
  const char* name;
  std::string yaml;
  const char* method;
  Fields fields;
  std::string sent;  // the request's body
  /// Of a response 200: it must be this, or end so if `ends`.
  std::string expected;
  std::function<void(Trunk&)> prepare;
  /// Goes on with a request that waits; called again until the request is over.
  std::function<void(Trunk&)> go_on = [](Trunk&) {};
  bool ends = false;
};

const std::string two =
    "    balance: first\n"
    "    backends: [{id: a, address: 127.0.0.1:1}, {id: b, address: 127.0.0.1:2}]\n";
const std::string plain = "pools:\n  app:\n" + two;
const Fields five = {{"Content-Length", "5"}};

/// On any connection, of either backend.
void both(Trunk& trunk, const BackendScript& script) {
  for (const char* id : {"a", "b"}) trunk.connector.always(id, script);
}
void go(Trunk& trunk) {
  if (trunk.backend.has_connection()) trunk.backend.go();
  trunk.settle();
}

std::vector<Scenario> scenarios() {
  std::vector<Scenario> all;
  const auto add = [&](Scenario s) { all.push_back(std::move(s)); };
  const BackendScript text{.body = "0123456789"};
  add({"GET", plain, "GET", {}, "", "0123456789", [=](Trunk& t) { both(t, text); }});
  add({"POST", plain, "POST", five, "hello", "0123456789", [=](Trunk& t) { both(t, text); }});
  add({"PUT over idle connections", plain, "PUT", five, "hello", "0123456789",
       [](Trunk& t) { both(t, {.idle = true, .body = "0123456789"}); }});
  add({"POST over idle connections", plain, "POST", five, "hello", "0123456789",
       [](Trunk& t) { both(t, {.idle = true, .body = "0123456789"}); }});
  add({"PUT that is retried", plain, "PUT", five, "hello", "0123456789", [=](Trunk& t) {
         both(t, text);
         t.connector.script("a", {.fails = Fails::closes});
       }});
  add({"PUT after a 503", plain, "PUT", five, "hello", "0123456789", [=](Trunk& t) {
         both(t, text);
         t.connector.script("a", {.head = "503 Busy\r\nContent-Length: 4\r\n", .body = "busy"});
       }});
  add({"a bound session",
       "pools:\n  app:\n    affinity: cookie\n" + two,
       "GET",
       {},
       "",
       "0123456789",
       [=](Trunk& t) {
         both(t, text);
         t.connector.script("a", {.fails = Fails::closes});
       }});
  add({"interim responses", plain, "POST", five, "hello", "0123456789", [](Trunk& t) {
         both(t, {.interims = {"103 Early Hints\r\n", "102 Processing\r\n"}, .body = "0123456789"});
       }});
  add({"a slow chunked response with trailers",
       plain,
       "GET",
       {},
       "",
       "0123456789",
       [](Trunk& t) { both(t, {.body = "0123456789", .stalls_after = 4, .trailers = {{"X-Sum", "1"}}}); },
       go});
  add({"an early response",
       plain,
       "PUT",
       {{"Content-Length", "10"}},
       "hello",
       "0123456789",
       [](Trunk& t) { both(t, {.when = When::at_once, .body = "0123456789", .stalls_after = 4}); },
       [](Trunk& t) {
         t.client.arrive("", true);
         t.settle();
         go(t);
       }});
  add({"a client that reads slowly",
       plain,
       "GET",
       {},
       "",
       "0123456789",
       [=](Trunk& t) {
         both(t, text);
         t.client.shut_window(3);
       },
       [](Trunk& t) {
         t.client.open_window(3);
         t.settle();
       }});
  const std::string page = "<html><a href=\"/x\">x</a></html>";
  add({"a rewritten page",
       "pools:\n  app:\n    affinity: {kind: url_rewrite, style: path, name: rsid, rewrite: [html]}\n" + two,
       "GET",
       {},
       "",
       "\">x</a></html>",
       [=](Trunk& t) {
         both(t, {.head = "200 OK\r\nContent-Type: text/html\r\nContent-Length: " +
                          std::to_string(page.size()) + "\r\n",
                  .body = page,
                  .stalls_after = 12});
       },
       go,
       true});
  add({"a retried request whose body comes in pieces",
       plain,
       "PUT",
       {{"Content-Length", "10"}},
       "hello",
       "0123456789",
       [=](Trunk& t) {
         both(t, text);
         t.connector.script("a", {.when = When::at_once, .fails = Fails::closes});
       },
       [](Trunk& t) {
         t.client.arrive("", true);
         t.settle();
       }});
  add({"a local reply", plain, "POST", five, "hello", "",
       [](Trunk& t) { both(t, {.connect = BackendScript::Connect::refuses}); }});
  add({"a queue",
       "pools: {app: {balance: first, timeouts: {queue: 1s}, backends: [{id: a, address: 127.0.0.1:1, "
       "max_in_flight: 1}]}}\n",
       "POST", five, "hello", "0123456789",
       [=](Trunk& t) {
         both(t, text);
         Backend& a = t.backend_of("a");
         EXPECT_TRUE(a.queue->enter(a, 1));
       },
       [](Trunk& t) {
         if (t.backend_of("a").in_flight.load() == 1 && t.connector.connected.empty())
           t.backend_of("a").queue->leave(t.member("a").backend);
         t.settle();
       }});
  return all;
}

void check_backends(const Scenario& s, const Trunk& trunk) {
  const bool unsafe = std::string_view(s.method) == "POST";
  std::size_t acted = 0;
  for (const SentRequest& sent : trunk.connector.requests) {
    EXPECT_TRUE(s.sent.starts_with(sent.body)) << sent.body;
    acted += sent.complete || !sent.body.empty() ? 1 : 0;
  }
  if (unsafe) {
    EXPECT_LE(acted, 1U);
  }
}

void check_client(const Scenario& s, const Trunk& trunk) {
  const Delivered& got = trunk.delivered();
  EXPECT_TRUE(got.complete || got.aborted) << "neither a whole response nor an abort";
  EXPECT_FALSE(got.complete && got.aborted && trunk.end() == Exchange::End::keep);
  if (!got.complete) {
    EXPECT_EQ(trunk.end(), Exchange::End::close);
    return;
  }
  if (got.head.status == 200) {
    EXPECT_TRUE(s.ends ? got.body.ends_with(s.expected) : got.body == s.expected) << got.body;
  } else {
    EXPECT_EQ(field(got.head.fields, "Content-Length"), std::to_string(got.body.size()));
    EXPECT_TRUE(got.head.status == 502 || got.head.status == 503 || got.head.status == 504)
        << got.head.status;
  }
}

/// Runs the request to its end. False: it never ended.
bool run(const Scenario& s, Trunk& trunk, const Fields& fields) {
  const std::optional<std::string> length = field(fields, "Content-Length");
  const bool whole = !length || *length == std::to_string(s.sent.size());
  trunk.start(s.method, "/", fields, s.sent, whole);
  for (int round = 0; round < 100 && !trunk.done(); ++round) s.go_on(trunk);
  for (int seconds = 0; seconds < 300 && !trunk.done(); ++seconds) trunk.advance(1s);
  return trunk.done();
}

TEST(Faults, WhateverOperationFailsTheRequestEndsCleanly) {
  for (const Scenario& s : scenarios()) {
    unsigned nth = 0;
    for (bool happened = true; happened && nth < 500; ++nth) {
      SCOPED_TRACE(std::string(s.name) + ", operation " + std::to_string(nth));
      Faults faults(nth);
      Trunk trunk(s.yaml, &faults);
      s.prepare(trunk);
      ASSERT_TRUE(run(s, trunk, s.fields));
      check_client(s, trunk);
      check_backends(s, trunk);
      if (s.yaml.find("max_in_flight") != std::string::npos && trunk.connector.connected.empty())
        trunk.backend_of("a").queue->leave(trunk.member("a").backend);
      EXPECT_TRUE(trunk.holds_nothing());
      happened = nth == 0 || faults.happened();
      if (HasFailure()) return;
    }
    EXPECT_GT(nth, 2U) << s.name << ": no operation failed";
  }
}

TEST(Faults, ATunnelEndsWhateverFails) {
  for (unsigned nth = 1; nth < 200; ++nth) {
    SCOPED_TRACE(nth);
    Faults faults(nth);
    Trunk trunk(plain, &faults);
    both(trunk, {.head = "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"});
    trunk.client.keep_open();
    trunk.start("GET", "/", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}});
    if (!trunk.done()) trunk.client.arrive("ping", false);
    trunk.settle();
    if (!trunk.done() && trunk.backend.has_connection()) trunk.backend.send_raw("pong");
    trunk.settle();
    if (!trunk.done()) trunk.client.half_close();
    trunk.settle();
    if (!trunk.done() && trunk.backend.has_connection()) trunk.backend.send_raw("bye", true);
    trunk.settle();
    for (int minutes = 0; minutes < 70 && !trunk.done(); ++minutes) trunk.advance(1min);
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.end(), trunk.delivered().head.status == 101 || trunk.delivered().aborted
                               ? Exchange::End::close
                               : Exchange::End::keep);
    EXPECT_TRUE(trunk.connector.kept.empty());
    EXPECT_TRUE(trunk.holds_nothing());
    EXPECT_TRUE(std::string("pongbye").starts_with(trunk.delivered().body) ||
                trunk.delivered().head.status != 101);
    if (!faults.happened()) return;
  }
  FAIL() << "the scenario has no end";
}

TEST(Faults, NextRequestsOfTheConnectionGetTheirOwnResponses) {
  // A fault in the first request: the second one's response must be its own.
  for (const char* method : {"GET", "POST"})
    for (unsigned nth = 1; nth < 200; ++nth) {
      SCOPED_TRACE(nth);
      Faults faults(nth);
      Trunk trunk(plain, &faults);
      trunk.connector.always("a",
                             {.head = "200 OK\r\nContent-Length: 5\r\nX-Is: first\r\n", .body = "first"});
      trunk.connector.always("b",
                             {.head = "200 OK\r\nContent-Length: 5\r\nX-Is: first\r\n", .body = "first"});
      trunk.request(method, "/", five, "hello");
      if (trunk.end() != Exchange::End::keep) trunk.new_connection();
      both(trunk, {.head = "200 OK\r\nContent-Length: 6\r\n", .body = "second"});
      const Delivered& got = trunk.request(method, "/", five, "world");
      if (got.complete && got.head.status == 200) {
        EXPECT_EQ(got.body, "second");
        EXPECT_FALSE(field(got.head.fields, "X-Is"));
        EXPECT_EQ(trunk.connector.requests.back().body, "world");
      }
      EXPECT_TRUE(trunk.holds_nothing());
      if (!faults.happened()) break;
    }
}

}  // namespace
}  // namespace remora::test
