// A request waits: is the page slow, or is the server hung? And who gets a new session while nobody knows.

#include <gtest/gtest.h>

#include <atomic>

#include "support/events.h"
#include "support/remora.h"

namespace remora::test {
namespace {

/// Answers at once; under /slow after a while; not at all, probes included, while it hangs.
struct Server {
  explicit Server(const std::string& name, std::chrono::milliseconds slow = 600ms)
      : origin([this, name, slow](Socket& s) {
          for (std::string head; !(head = s.receive_head()).empty();) {
            const bool probe = head.find("/healthz") != std::string::npos;
            const bool is_slow = head.find("/slow") != std::string::npos;
            if (probe) ++probes;
            if (is_slow) ++begun;
            if (const std::string length = field_of(head, "Content-Length"); !length.empty())
              s.receive_exactly(std::stoul(length));
            if (!probe && (hangs || (is_slow && hangs_on_slow))) ++hanging;
            while ((hangs || (probe && probes_hang)) && !over) std::this_thread::sleep_for(2ms);
            if (is_slow && hangs_on_slow) {
              hangs = true;  // as a server with one thread
              while (!over) std::this_thread::sleep_for(2ms);
            }
            const auto until = std::chrono::steady_clock::now() + slow;
            while (is_slow && !over && std::chrono::steady_clock::now() < until)
              std::this_thread::sleep_for(2ms);
            if (over || !s.send(ok(name, "X-Backend: " + name +
                                             "\r\nX-Session: " + field_of(head, "Remora-Session") + "\r\n")))
              return;
          }
        }) {}
  ~Server() {
    over = true;
    origin.stop();
  }
  std::string entry(const std::string& id) const {
    return "{id: " + id + ", address: " + origin.address() + "}";
  }
  std::atomic<bool> hangs{false}, probes_hang{false}, hangs_on_slow{false}, over{false};
  std::atomic<int> probes{0}, begun{0}, hanging{0};
  Origin origin;
};

/// The schedule finds out too late: only requests that wait can.
std::string pool(const std::string& failover, const std::string& timeout) {
  return "affinity: cookie\ntimeouts: {response: 30s}\nfailover: {" + failover +
         "}\nhealth: {probe: {path: /healthz, interval: 1h, timeout: " + timeout + "}, eject: off}\n";
}
const std::string hung_pool = pool("suspect_after: 150ms", "500ms");

std::string cookie_of(const Reply& r) {
  return r.field("Set-Cookie").substr(0, r.field("Set-Cookie").find(';'));
}

/// The cookie of a session at the backend of that name.
std::string session_at(const Remora& remora, const std::string& name) {
  std::string cookie;
  const bool found = eventually([&] {
    const Reply r = remora.ask(get("/"));
    cookie = cookie_of(r);
    return r.field("X-Backend") == name;
  });
  EXPECT_TRUE(found) << "no session began at " << name;
  return cookie;
}

void wait_until_up(const Remora& remora, const std::vector<std::string>& names) {
  for (const std::string& name : names) ASSERT_TRUE(remora.goes(name, "up"));
}

TEST(HungServer, ItsSessionsMoveInsteadOfEndingIn504) {
  Server a("a"), b("b"), c("c");
  Remora remora(simple_config({a.entry("a"), b.entry("b"), c.entry("c")}, hung_pool));
  wait_until_up(remora, {"a", "b", "c"});
  const std::string cookie = session_at(remora, "a");
  a.hangs = true;
  const Reply r = remora.ask(get("/", "Cookie: " + cookie + "\r\n"));
  EXPECT_EQ(r.status, 200);
  EXPECT_NE(r.field("X-Backend"), "a");
  EXPECT_NE(r.field("X-Session").find("epoch=2;reason=failover"), std::string::npos) << r.head;
  EXPECT_TRUE(remora.goes("a", "down"));
  EXPECT_EQ(b.hanging + c.hanging, 0);
  for (int i = 0; i < 10; ++i) EXPECT_NE(remora.ask(get("/")).field("X-Backend"), "a");
}

TEST(HungServer, AllWhoWaitForItAreServedWhateverTheBudget) {
  Server a("a"), b("b"), c("c");
  Remora remora(simple_config({a.entry("a"), b.entry("b"), c.entry("c")},
                              pool("suspect_after: 150ms, budget: 0%", "500ms")));
  wait_until_up(remora, {"a", "b", "c"});
  const std::string cookie = session_at(remora, "a");
  a.hangs = true;
  std::atomic<int> served{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 40; ++i)
    clients.emplace_back([&] { served += remora.ask(get("/", "Cookie: " + cookie + "\r\n")).status == 200; });
  for (auto& t : clients) t.join();
  EXPECT_EQ(served.load(), 40);
}

TEST(HungServer, ItsDefaultFitsAShortResponseTimeout) {
  Server a("a"), b("b");
  Remora remora(simple_config({a.entry("a"), b.entry("b")},
                              "affinity: cookie\ntimeouts: {response: 3s}\n"
                              "health: {probe: {path: /healthz, interval: 1h, timeout: 5s}, eject: off}\n"));
  wait_until_up(remora, {"a", "b"});
  const std::string cookie = session_at(remora, "a");
  a.hangs = true;
  EXPECT_EQ(remora.ask(get("/", "Cookie: " + cookie + "\r\n")).status, 200);
}

TEST(HungServer, ARequestThatHangsWhoeverServesItTakesOutOneServerOnly) {
  Server a("a"), b("b"), c("c");
  Remora remora(
      simple_config({a.entry("a"), b.entry("b"), c.entry("c")},
                    "timeouts: {response: 2s}\nfailover: {suspect_after: 150ms}\n"
                    "health: {probe: {path: /healthz, interval: 1h, timeout: 300ms}, eject: off}\n"));
  wait_until_up(remora, {"a", "b", "c"});
  a.hangs_on_slow = b.hangs_on_slow = c.hangs_on_slow = true;
  EXPECT_EQ(remora.ask(get("/slow")).status, 504);
  EXPECT_EQ(a.begun + b.begun + c.begun, 2);
  int down = 0;
  for (const char* id : {"a", "b", "c"}) down += remora.backend(id, "health") == "\"down\"" ? 1 : 0;
  EXPECT_EQ(down, 1);
}

TEST(SlowPage, IsWaitedForAndBegunOnce) {
  Server a("a"), b("b");
  Remora remora(simple_config({a.entry("a"), b.entry("b")}, pool("suspect_after: 50ms", "10s")));
  wait_until_up(remora, {"a", "b"});
  Events events(remora);
  EXPECT_EQ(remora.ask(get("/slow")).status, 200);
  EXPECT_EQ(a.begun + b.begun, 1);
  EXPECT_GE(a.probes + b.probes, 3);  // the first of each, and one that the wait asked for
  remora.wish("a", "drain");          // comes after whatever the probes have changed
  EXPECT_EQ(events.all_until("backend", {"\"admin\":\"drain\""}).find("\"health\":\"down\""),
            std::string::npos);
}

TEST(SlowPage, ManyWhoWaitShareTheirProbes) {
  Server a("a");
  Server b("b");
  Remora remora(simple_config({a.entry("a"), b.entry("b")}, pool("suspect_after: 200ms", "10s")));
  wait_until_up(remora, {"a", "b"});
  const std::string cookie = session_at(remora, "a");
  const int before = a.probes;
  std::atomic<int> served{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 60; ++i)
    clients.emplace_back(
        [&] { served += remora.ask(get("/slow", "Cookie: " + cookie + "\r\n")).status == 200; });
  for (auto& t : clients) t.join();
  EXPECT_EQ(served.load(), 60);
  EXPECT_EQ(a.begun.load(), 60);
  EXPECT_LT(a.probes - before, 30);
}

// Not probed yet ------------------------------------------------------------------------------------

TEST(NotProbedYet, NewSessionsGoToThoseThatAreKnown) {
  Server a("a"), b("b");
  b.probes_hang = true;
  Remora remora(
      simple_config({a.entry("a"), b.entry("b")},
                    "affinity: cookie\nhealth: {probe: {path: /healthz, interval: 1h, timeout: 1h}}\n"));
  wait_until_up(remora, {"a"});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(remora.ask(get("/")).field("X-Backend"), "a");
  b.probes_hang = false;
  wait_until_up(remora, {"b"});
  session_at(remora, "b");
}

TEST(NotProbedYet, WithNobodyKnownAllAreUsed) {
  Server a("a"), b("b");
  a.probes_hang = b.probes_hang = true;
  Remora remora(
      simple_config({a.entry("a"), b.entry("b")},
                    "affinity: cookie\nhealth: {probe: {path: /healthz, interval: 1h, timeout: 1h}}\n"));
  session_at(remora, "a");
  session_at(remora, "b");
}

// What balancers learn ------------------------------------------------------------------------------

TEST(PeakEwma, ASlowUploadSaysNothingOfTheBackend) {
  std::mutex mutex;
  std::string uploader;
  std::atomic<int> at_uploader{0};
  const auto script = [&](const std::string& name) {
    return answering([&, name](const std::string& head, const std::string&) {
      if (head.starts_with("POST")) {
        const std::lock_guard lock(mutex);
        uploader = name;
        return ok(name);
      }
      const bool slow = [&] {
        const std::lock_guard lock(mutex);
        return name != uploader;
      }();
      if (slow) std::this_thread::sleep_for(60ms);
      if (!slow) ++at_uploader;
      return ok(name);
    });
  };
  Origin a(script("a")), b(script("b"));
  std::string config =
      simple_config({a.address(), b.address()}, "balance: peak_ewma\nhealth: {probe: off}\n");
  config.replace(config.find("workers: 2"), 10, "workers: 1");
  Remora remora(config);
  Socket s = remora.connect();
  s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh");
  std::this_thread::sleep_for(700ms);
  s.send("i");
  ASSERT_EQ(s.receive_reply().status, 200);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
  EXPECT_GT(at_uploader.load(), 10);  // it is the quicker one; its client was slow
}

}  // namespace
}  // namespace remora::test
