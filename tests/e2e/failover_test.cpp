// Backends that die, hang, lie and come back; sessions that stay where they are; nothing executed twice.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "support/demo_app.h"
#include "support/remora.h"

namespace remora::test {
namespace {

std::string cookie_of(const Reply& r) {
  return r.field("Set-Cookie").substr(0, r.field("Set-Cookie").find(';'));
}
std::string with_cookie(const std::string& cookie) {
  return cookie.empty() ? "" : "Cookie: " + cookie + "\r\n";
}

/// Names itself, and echoes Remora-Session and Cookie.
Origin::Script named(const std::string& name) {
  return answering([name](const std::string& head, const std::string&) {
    return ok(name, "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") +
                        "\r\nX-Cookie: " + field_of(head, "Cookie") + "\r\n");
  });
}

/// The token of a session on that backend: new ones are begun until one is.
std::string cookie_at(const Remora& remora, const std::string& backend) {
  std::string cookie;
  const bool found = eventually([&] {
    const Reply r = remora.ask(get("/"));
    cookie = cookie_of(r);
    return r.field("X-Backend") == backend;
  });
  EXPECT_TRUE(found) << "no session begins on " << backend;
  return cookie;
}

// Sessions ------------------------------------------------------------------------------------------

TEST(CookieSession, StaysOnItsBackendAndIsHiddenFromTheApp) {
  Origin a(named("a")), b(named("b")), c(named("c"));
  Remora remora(simple_config({a.address(), b.address(), c.address()}, "affinity: cookie\n"));
  std::set<std::string> used;
  for (int user = 0; user < 30; ++user) {
    const Reply first = remora.ask(get("/"));
    const std::string cookie = cookie_of(first), backend = first.field("X-Backend");
    EXPECT_TRUE(first.field("Set-Cookie").ends_with("; Path=/; HttpOnly")) << first.field("Set-Cookie");
    EXPECT_NE(first.field("X-Session").find(";epoch=1;reason=new"), std::string::npos);
    used.insert(backend);
    for (int i = 0; i < 5; ++i) {
      const Reply r = remora.ask(get("/", "Cookie: x=1; " + cookie + "; y=2\r\n"));
      EXPECT_EQ(r.field("X-Backend"), backend);
      EXPECT_EQ(r.field("X-Cookie"), "x=1; y=2");
      EXPECT_EQ(r.field("Set-Cookie"), "");  // sent again only when it must change
      EXPECT_NE(r.field("X-Session").find(";epoch=1;reason=sticky"), std::string::npos);
    }
  }
  EXPECT_EQ(used.size(), 3U);
}

TEST(CookieSession, ForgedForeignAndCutTokensAreNoSession) {
  Origin a(named("a"));
  Remora remora(simple_config({a.address()}, "affinity: cookie\n"));
  const std::string good = cookie_of(remora.ask(get("/")));
  std::vector<std::string> bad{good.substr(0, good.size() - 1),
                               good + "A",
                               "remora-app=",
                               "remora-app=" + std::string(8192, 'A'),
                               "remora-app=%00%01",
                               good.substr(0, 11) + std::string(128, 'A')};
  std::string flipped = good;
  flipped[60] = flipped[60] == 'A' ? 'B' : 'A';
  bad.push_back(flipped);
  for (const auto& token : bad) {
    const Reply r = remora.ask(get("/", with_cookie(token)));
    EXPECT_EQ(r.status, 200);
    EXPECT_NE(r.field("X-Session").find("reason=new"), std::string::npos) << token.substr(0, 40);
  }
}

TEST(CookieSession, SharedCachesNeverKeepAToken) {
  Origin a(answering([](const std::string&, const std::string&) {
    return ok("x", "Cache-Control: public, max-age=60\r\n");
  }));
  Remora remora(simple_config({a.address()}, "affinity: cookie\n"));
  const Reply r = remora.ask(get("/"));
  EXPECT_EQ(r.field("Set-Cookie"), "");
  EXPECT_EQ(r.field("Cache-Control"), "public, max-age=60");
}

TEST(CookieSession, APreflightBeginsNone) {
  Origin a(named("a"));
  Remora remora(simple_config({a.address()}, "affinity: cookie\n"));
  EXPECT_EQ(remora
                .ask("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nAccess-Control-Request-Method: "
                     "PUT\r\n\r\n")
                .field("Set-Cookie"),
            "");
}

TEST(CookieSession, MovesOnceWhenItsBackendDiesAndDoesNotReturn) {
  auto a = std::make_unique<Origin>(named("a"));
  auto b = std::make_unique<Origin>(named("b"));
  Origin c(named("c"));
  Remora remora(simple_config({a->address(), b->address(), c.address()}, "affinity: cookie\n"));
  const std::string cookie = cookie_at(remora, "a");
  const int port = a->port();
  a->stop();
  const Reply moved = remora.ask(get("/", with_cookie(cookie)));
  EXPECT_EQ(moved.status, 200);
  EXPECT_NE(moved.field("X-Backend"), "a");
  EXPECT_NE(moved.field("X-Session").find(";epoch=2;reason=failover"), std::string::npos) << moved.head;
  const std::string new_cookie = cookie_of(moved);
  ASSERT_NE(new_cookie, "");
  // Parallel requests with the old token go to the same place.
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(remora.ask(get("/", with_cookie(cookie))).field("X-Backend"), moved.field("X-Backend"));
  Origin back(named("a"), port);
  for (int i = 0; i < 10; ++i) {
    const Reply r = remora.ask(get("/", with_cookie(new_cookie)));
    EXPECT_EQ(r.field("X-Backend"), moved.field("X-Backend"));
    EXPECT_NE(r.field("X-Session").find(";epoch=2;reason=sticky"), std::string::npos);
  }
}

TEST(CookieSession, OnLostRejectAnswersAndClears) {
  auto a = std::make_unique<Origin>(named("a"));
  Origin b(named("b"));
  Remora remora(
      simple_config({a->address(), b.address()},
                    "affinity: cookie\nsession: {on_lost: reject, reject: {status: 404, body: gone}}\n"));
  const std::string cookie = cookie_at(remora, "a");
  a->stop();
  const Reply r = remora.ask(get("/", with_cookie(cookie)));
  EXPECT_EQ(r.status, 404);
  EXPECT_EQ(r.body, "gone");
  EXPECT_NE(r.field("Set-Cookie").find("Max-Age=0"), std::string::npos);
}

TEST(CookieSession, TwoInstancesWithTheSameKeysAgree) {
  Origin a(named("a")), b(named("b")), c(named("c"));
  const std::string config = simple_config({a.address(), b.address(), c.address()}, "affinity: cookie\n");
  Remora one(config), two(config);
  for (int i = 0; i < 20; ++i) {
    const Reply first = one.ask(get("/"));
    EXPECT_EQ(two.ask(get("/", with_cookie(cookie_of(first)))).field("X-Backend"), first.field("X-Backend"));
  }
}

TEST(CookieSession, DrainAndWeightZeroKeepBoundSessionsMaintMovesThem) {
  Origin a(named("a")), b(named("b"));
  const auto config = [&](const std::string& more) {
    return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nlisteners: [127.0.0.1:0]\npools:\n  "
           "app:\n    affinity: cookie\n    backends:\n"
           "      - {id: a, address: " +
           a.address() + more + "}\n      - {id: b, address: " + b.address() + "}\n";
  };
  Remora remora(config(""));
  const std::string cookie = cookie_at(remora, "a");
  for (const std::string wish : {", admin: drain", ", weight: 0"}) {
    Remora other(config(wish));
    EXPECT_EQ(other.ask(get("/", with_cookie(cookie))).field("X-Backend"), "a");
    for (int i = 0; i < 10; ++i) EXPECT_EQ(other.ask(get("/")).field("X-Backend"), "b");
  }
  Remora other(config(", admin: maint"));
  const Reply moved = other.ask(get("/", with_cookie(cookie)));
  EXPECT_EQ(moved.field("X-Backend"), "b");
  EXPECT_NE(moved.field("X-Session").find("reason=maint"), std::string::npos);
}

TEST(IpHash, OneAddressOneBackend) {
  Origin a(named("a")), b(named("b")), c(named("c"));
  Remora remora(simple_config({a.address(), b.address(), c.address()},
                              "affinity: {kind: ip_hash, ipv4_prefix: 24}\n",
                              "trusted_proxies: [127.0.0.1]\n"));
  std::set<std::string> used;
  for (int i = 0; i < 40; ++i) {
    const std::string net = "10.0." + std::to_string(i) + ".";
    const std::string first = remora.ask(get("/", "X-Forwarded-For: " + net + "1\r\n")).field("X-Backend");
    EXPECT_EQ(remora.ask(get("/", "X-Forwarded-For: " + net + "200\r\n")).field("X-Backend"), first);
    used.insert(first);
  }
  EXPECT_EQ(used.size(), 3U);
}

// Retries -------------------------------------------------------------------------------------------

TEST(Retry, ARefusedConnectionGoesElsewhereForAnyMethod) {
  Origin a(named("a"));
  const std::string dead = "127.0.0.1:" + std::to_string(free_port());
  Remora remora(simple_config({dead, a.address()}));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(remora.ask(get("/")).status, 200);
    EXPECT_EQ(remora.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").status, 200);
  }
}

TEST(Retry, AResetBeforeTheResponseIsRepeatedForGetOnly) {
  std::atomic<int> gets{0}, posts{0};
  Origin bad([&](Socket& s) {
    const std::string head = s.receive_head();
    (head.substr(0, 4) == "POST" ? posts : gets)++;
    s.close_with_reset();
  });
  Origin a(named("a"));
  Remora remora(simple_config({bad.address(), a.address()}, "balance: round_robin\n"));
  int failed_posts = 0;
  for (int i = 0; i < 20; ++i) {
    // Two in a row: if one of each came, all of one method could come to the same backend.
    EXPECT_EQ(remora.ask(get("/")).status, 200);
    EXPECT_EQ(remora.ask(get("/")).status, 200);
    const int status = remora.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").status;
    failed_posts += status == 502 ? 1 : 0;
  }
  EXPECT_GT(gets.load(), 0);
  EXPECT_EQ(posts.load(), failed_posts);  // each POST that was lost there was lost: none was sent again
}

TEST(Retry, ADeadIdleConnectionOfTheOnlyBackendIsNoFailure) {
  // The backend closes after each answer without saying so; its end may come together with the answer.
  Origin silent([](Socket& s) {
    const std::string head = s.receive_head();
    if (!head.empty()) s.send(ok("x"));
  });
  Remora remora(simple_config({silent.address()}));
  Socket s = remora.connect();
  for (int i = 0; i < 50; ++i) {
    s.send(get("/"));
    ASSERT_EQ(s.receive_reply().status, 200) << i;
    std::this_thread::sleep_for(5ms);  // its end has come by now; a POST could not be repeated
    s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    ASSERT_EQ(s.receive_reply().status, 200) << i;
  }
}

/// How many of these did not end in 200, so many at a time.
int failed_of(const Remora& remora, int requests, int at_a_time) {
  std::atomic<int> next{0}, failed{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < at_a_time; ++i)
    clients.emplace_back([&] {
      while (next++ < requests) failed += remora.ask(get("/")).status == 200 ? 0 : 1;
    });
  for (auto& t : clients) t.join();
  return failed;
}

TEST(Retry, AServerThatIsDeadFromTheStartCostsNobodyAnything) {
  Origin a(named("a")), b(named("b"));
  const std::string dead = "127.0.0.1:" + std::to_string(free_port());
  for (const std::string pool : {"", "affinity: cookie\n", "failover: {budget: 0%}\nhealth: {eject: off}\n",
                                 "health: {probe: {path: /, interval: 100ms}}\n"}) {
    Remora remora(simple_config({a.address(), dead, b.address()}, pool));
    EXPECT_EQ(failed_of(remora, 100, 10), 0) << pool;
  }
}

TEST(Retry, AServerThatResetsCostsNoGet) {
  Origin a(named("a")), b(named("b")), bad([](Socket& s) {
    s.receive_head();
    s.close_with_reset();
  });
  for (const std::string pool : {"", "affinity: cookie\n", "balance: round_robin\n"}) {
    Remora remora(simple_config({a.address(), bad.address(), b.address()}, pool));
    EXPECT_EQ(failed_of(remora, 60, 10), 0) << pool;
  }
}

/// As when a server is killed: all its idle connections break in one moment. Its clients were promised
/// nothing less for that, so these are no part of a storm.
TEST(Retry, IdleConnectionsThatBreakTogetherCostNoBudget) {
  std::atomic<int> connected{0};
  Origin dies([&](Socket& s) {
    ++connected;
    for (int i = 0; !s.receive_head().empty(); ++i) {
      if (i > 0) return s.close_with_reset();
      std::this_thread::sleep_for(100ms);
      s.send(ok("x"));
    }
  });
  Remora remora(simple_config({dies.address()}, "failover: {budget: 0%}\nhealth: {eject: off}\n"));
  EXPECT_EQ(failed_of(remora, 40, 40), 0);
  const int idle = connected;
  EXPECT_GT(idle, 30);
  EXPECT_EQ(failed_of(remora, 40, 40), 0);
}

// Timeouts ------------------------------------------------------------------------------------------

/// A reset says so. A mere end may be a half-close, whose client waits for the answer (RFC 9112 9.6).
TEST(Timeouts, AClientThatGoesAwayReleasesItsBackendConnectionAtOnce) {
  std::atomic<bool> released{false};
  Origin slow([&](Socket& s) {
    s.receive_head();
    released = s.closed_by_peer();
  });
  Remora remora(simple_config({slow.address()}));
  Socket s = remora.connect();
  s.send(get("/"));
  ASSERT_TRUE(remora.backend_is(slow.address(), "in_flight", "1"));
  s.close_with_reset();
  EXPECT_TRUE(eventually([&] { return released.load(); }));
}

// Full backends -------------------------------------------------------------------------------------

TEST(MaxInFlight, OthersWaitInLineAndAreServed) {
  std::atomic<int> now{0}, most{0};
  Origin a([&](Socket& s) {
    while (!s.receive_head().empty()) {
      const int n = ++now;
      int seen = most;
      while (n > seen && !most.compare_exchange_weak(seen, n)) {
      }
      std::this_thread::sleep_for(20ms);
      --now;
      s.send(ok("a"));
    }
  });
  Remora remora(simple_config({"{address: " + a.address() + ", max_in_flight: 2}"}));
  std::atomic<int> served{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 20; ++i)
    clients.emplace_back([&] { served += remora.ask(get("/")).status == 200 ? 1 : 0; });
  for (auto& t : clients) t.join();
  EXPECT_EQ(served.load(), 20);
  EXPECT_LE(most.load(), 2);
}

// Probes --------------------------------------------------------------------------------------------

TEST(Probes, ADeadBackendLeavesServiceAndReturns) {
  std::atomic<bool> well{true};
  Origin a(answering([&](const std::string& head, const std::string&) {
    if (head.find("/healthz") != std::string::npos && !well)
      return std::string("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n");
    return ok("a", "X-Backend: a\r\n");
  }));
  Origin b(named("b"));
  Remora remora(simple_config({a.address(), b.address()},
                              "affinity: cookie\nhealth: {probe: {path: /healthz, interval: 50ms, timeout: "
                              "500ms, rise: 2, fall: 2}}\n"));
  ASSERT_TRUE(remora.goes(a.address(), "up"));
  const std::string cookie = cookie_at(remora, "a");
  well = false;
  ASSERT_TRUE(remora.goes(a.address(), "down"));
  const Reply moved = remora.ask(get("/", with_cookie(cookie)));
  EXPECT_EQ(moved.field("X-Backend"), "b");
  EXPECT_NE(moved.field("X-Session").find("epoch=2;reason=failover"), std::string::npos);
  well = true;
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).field("X-Backend") == "a"; }))
      << "a did not return";
}

TEST(Probes, AllDownIs503AtOnceWithRetryAfter) {
  const std::string dead = "127.0.0.1:" + std::to_string(free_port());
  Remora remora(simple_config({dead}, "health: {probe: {path: /, interval: 50ms}}\n"));
  ASSERT_TRUE(remora.goes(dead, "down"));
  const Reply r = remora.ask(get("/"));
  EXPECT_EQ(r.status, 503);
  EXPECT_EQ(r.field("Retry-After"), "1");
}

// Under load ----------------------------------------------------------------------------------------

/// A load of GETs and POSTs with sessions while one backend of three misbehaves; see the list.
struct Load {
  std::atomic<int> gets{0}, posts{0}, failed_gets{0}, broken_bodies{0}, moved_healthy{0};
  std::atomic<int> slowest_ms{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::map<std::string, int> executed;  // POST id -> times; guarded by mutex

  Origin::Script backend(const std::string& name, std::atomic<bool>& bad,
                         std::function<bool(Socket&)> misbehave) {
    return [this, name, &bad, misbehave](Socket& s) {
      for (std::string head; !(head = s.receive_head()).empty();) {
        if (const std::string id = field_of(head, "X-Id"); !id.empty()) {
          s.receive_exactly(2);
          const std::lock_guard lock(mutex);
          ++executed[id];
        }
        if (bad && misbehave && !misbehave(s)) return;
        if (!s.send(ok(name, "X-Backend: " + name + "\r\n"))) return;
      }
    };
  }

  void client(int port, int number, const std::string& bad_name) {
    std::string cookie, home;
    Socket s;
    for (int i = 0; !stop; ++i) {
      const bool post = i % 5 == 4;
      const std::string id = std::to_string(number) + "-" + std::to_string(i);
      if (s.fd() < 0) s = Socket::connect(port);
      const auto begin = std::chrono::steady_clock::now();
      s.send(post ? "POST / HTTP/1.1\r\nHost: a\r\nX-Id: " + id + "\r\n" + with_cookie(cookie) +
                        "Content-Length: 2\r\n\r\nhi"
                  : get("/", with_cookie(cookie)));
      const Reply r = s.receive_reply();
      const int took = static_cast<int>(
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin)
              .count());
      int seen = slowest_ms;
      while (took > seen && !slowest_ms.compare_exchange_weak(seen, took)) {
      }
      (post ? posts : gets)++;
      if (r.status == 200 && !r.complete) ++broken_bodies;
      if (!post && r.status != 200) ++failed_gets;
      if (const std::string fresh = cookie_of(r); !fresh.empty()) cookie = fresh;
      const std::string backend = r.field("X-Backend");
      if (r.status == 200 && r.complete) {
        if (!home.empty() && home != bad_name && backend != home) ++moved_healthy;
        home = backend;
      }
      if (r.field("Connection") == "close" || !r.complete) s.close();
      std::this_thread::sleep_for(1ms);  // leaves the processors to the tests beside this one
    }
  }

  void run(int port, const std::string& bad_name, const std::function<void()>& events) {
    std::vector<std::thread> clients;
    for (int i = 0; i < 12; ++i) clients.emplace_back([=, this] { client(port, i, bad_name); });
    events();
    stop = true;
    for (auto& t : clients) t.join();
    const std::lock_guard lock(mutex);
    for (const auto& [id, times] : executed) EXPECT_EQ(times, 1) << "POST " << id << " was executed twice";
    EXPECT_GT(gets.load(), 100);
    EXPECT_EQ(moved_healthy.load(), 0);
  }
};

const char* load_pool =
    "affinity: cookie\ntimeouts: {connect: 1s, response: 2s}\nfailover: {budget: 100%}\n"
    "health: {probe: {path: /healthz, interval: 100ms, timeout: 500ms}}\n";

TEST(UnderLoad, KilledAndRefusing) {
  Load load;
  std::atomic<bool> never{false};
  auto bad = std::make_unique<Origin>(load.backend("bad", never, nullptr));
  Origin b(load.backend("b", never, nullptr)), c(load.backend("c", never, nullptr));
  Remora remora(simple_config({bad->address(), b.address(), c.address()}, load_pool));
  load.run(remora.port(), "bad", [&] {
    std::this_thread::sleep_for(700ms);
    const int port = bad->port();
    bad->stop();  // open connections end, new ones are refused
    std::this_thread::sleep_for(1s);
    Origin back(load.backend("bad", never, nullptr), port);
    std::this_thread::sleep_for(700ms);
    load.stop = true;
    std::this_thread::sleep_for(300ms);
  });
  EXPECT_EQ(load.failed_gets.load(), 0);
  EXPECT_EQ(load.broken_bodies.load(), 0);
}

TEST(UnderLoad, ResetBeforeTheResponse) {
  Load load;
  std::atomic<bool> bad{false}, never{false};
  Origin a(load.backend("bad", bad, [](Socket& s) {
    s.close_with_reset();
    return false;
  }));
  Origin b(load.backend("b", never, nullptr)), c(load.backend("c", never, nullptr));
  Remora remora(simple_config({a.address(), b.address(), c.address()}, load_pool));
  load.run(remora.port(), "bad", [&] {
    std::this_thread::sleep_for(500ms);
    bad = true;
    std::this_thread::sleep_for(1s);
    bad = false;
    std::this_thread::sleep_for(300ms);
  });
  EXPECT_EQ(load.failed_gets.load(), 0);
}

TEST(UnderLoad, ResetInMidBodyAndLyingHeadsAreVisible) {
  for (const std::string lie : {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
                                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"}) {
    Load load;
    std::atomic<bool> bad{false}, never{false};
    std::atomic<int> lies{0};
    Origin a(load.backend("bad", bad, [&](Socket& s) {
      ++lies;
      s.send(lie);
      return false;
    }));
    Origin b(load.backend("b", never, nullptr)), c(load.backend("c", never, nullptr));
    Remora remora(simple_config({a.address(), b.address(), c.address()}, "affinity: cookie\n"));
    load.run(remora.port(), "bad", [&] {
      std::this_thread::sleep_for(300ms);
      bad = true;
      std::this_thread::sleep_for(500ms);
      bad = false;
      std::this_thread::sleep_for(200ms);
    });
    EXPECT_GT(lies.load(), 0);
    EXPECT_GT(load.broken_bodies.load() + load.failed_gets.load(), 0);
  }
}

TEST(UnderLoad, AStoppedBackendCostsNoMoreThanTheTimeouts) {
  Load load;
  std::atomic<bool> bad{false}, never{false};
  Origin a(load.backend("bad", bad, [&](Socket& s) {
    while (bad)
      std::this_thread::sleep_for(5ms);  // as SIGSTOP: connections are accepted, nothing is answered
    s.close();
    return false;
  }));
  Origin b(load.backend("b", never, nullptr)), c(load.backend("c", never, nullptr));
  Remora remora(simple_config({a.address(), b.address(), c.address()}, load_pool));
  load.run(remora.port(), "bad", [&] {
    std::this_thread::sleep_for(500ms);
    bad = true;
    std::this_thread::sleep_for(3s);
    bad = false;
    std::this_thread::sleep_for(300ms);
  });
  EXPECT_LT(load.slowest_ms.load(), within(6s).count());
  EXPECT_EQ(load.failed_gets.load(),
            0);  // probes tell who hangs before the time is up; only POSTs are told 504
}

// Real processes ------------------------------------------------------------------------------------

TEST(RealProcesses, KillNineAndSigstopCostNoGet) {
  for (const int how : {SIGKILL, SIGSTOP}) {
    DemoApp a("app1"), b("app2"), c("app3");
    Remora remora(simple_config({a.address(), b.address(), c.address()}, load_pool));
    std::atomic<bool> stop{false};
    std::atomic<int> asked{0}, failed{0}, moved_healthy{0}, slowest_ms{0};
    const auto app_of = [](const std::string& body) {
      return body.substr(std::min(body.size(), body.find("<title>") + 7), 4);
    };
    std::vector<std::thread> clients;
    for (int i = 0; i < 12; ++i)
      clients.emplace_back([&] {
        Socket s;
        std::string cookie, home;
        while (!stop) {
          if (s.fd() < 0) s = remora.connect();
          const auto begin = std::chrono::steady_clock::now();
          s.send(get("/", with_cookie(cookie)));
          const Reply r = s.receive_reply();
          const auto took =
              std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
          int seen = slowest_ms;
          while (took.count() > seen &&
                 !slowest_ms.compare_exchange_weak(seen, static_cast<int>(took.count()))) {
          }
          ++asked;
          if (r.status != 200) ++failed;
          const std::string cookies = r.field("Set-Cookie");
          if (const std::size_t at = cookies.find("remora-app="); at != std::string::npos)
            cookie = cookies.substr(at, cookies.find(';', at) - at);
          if (r.status == 200) {
            if (!home.empty() && home != "app1" && app_of(r.body) != home) ++moved_healthy;
            home = app_of(r.body);
          }
          if (!r.complete || r.field("Connection") == "close") s.close();
          std::this_thread::sleep_for(1ms);
        }
      });
    std::this_thread::sleep_for(500ms);
    a.signal(how);
    std::this_thread::sleep_for(how == SIGSTOP ? 3500ms : 1000ms);
    stop = true;
    a.signal(SIGCONT);
    for (auto& t : clients) t.join();
    EXPECT_GT(asked.load(), 200);
    EXPECT_EQ(moved_healthy.load(), 0);
    EXPECT_EQ(failed.load(), 0);
    EXPECT_LT(slowest_ms.load(), within(6s).count());
  }
}

}  // namespace
}  // namespace remora::test
