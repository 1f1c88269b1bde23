// How long it takes to notice that a backend died, hangs, is slow or answers errors, and that it is back; and
// what probes cost when there are many.

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/demo_app.h"
#include "support/events.h"
#include "support/remora.h"

namespace remora::test {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds interval{600}, timeout{300};
constexpr int rise = 2, fall = 3;
constexpr milliseconds detection_bound = fall * interval + timeout, recovery_bound = rise * interval;

std::string config(const std::string& address) {
  return simple_config(
      {"{id: a, address: " + address + "}", "{id: z, address: " + address + ", admin: maint}"},
      "health: {probe: {path: /healthz, interval: 600ms, timeout: 300ms, rise: 2, fall: 3, jitter: 20%}}\n");
}

milliseconds until(const Remora& remora, const std::string& health,
                   std::chrono::steady_clock::time_point from) {
  EXPECT_TRUE(remora.goes("a", health)) << health;
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - from);
}

/// Breaks and mends it a few times: a machine that stands still for a moment spoils one round, not three.
void measure(const char* name, const Remora& remora, const std::function<void()>& break_it,
             const std::function<void()>& mend_it) {
  ASSERT_TRUE(remora.goes("a", "up"));
  bool detected = false, recovered = false;
  for (int round = 1; round <= 3 && !(detected && recovered); ++round) {
    auto from = std::chrono::steady_clock::now();
    break_it();
    const milliseconds detection = until(remora, "down", from);
    mend_it();
    from = std::chrono::steady_clock::now();
    const milliseconds recovery = until(remora, "up", from);
    std::printf("%-8s detected in %5lld ms (bound %lld), back in %5lld ms (bound %lld)\n", name,
                static_cast<long long>(detection.count()), static_cast<long long>(detection_bound.count()),
                static_cast<long long>(recovery.count()), static_cast<long long>(recovery_bound.count()));
    detected = detected || detection <= detection_bound;
    recovered = recovered || recovery <= recovery_bound;
  }
  EXPECT_TRUE(detected) << name;
  EXPECT_TRUE(recovered) << name;
}

/// A backend that does what it is told.
struct Moody {
  std::atomic<int> status{200};
  std::atomic<int> delay_ms{0};
  Origin origin{answering([this](const std::string&, const std::string&) {
    std::this_thread::sleep_for(milliseconds(delay_ms));
    return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  })};
};

TEST(Detection, OfAKilledProcess) {
  DemoApp app("a");
  Remora remora(config(app.address()));
  measure("kill -9", remora, [&] { app.kill(); }, [&] { app.start(); });
}

TEST(Detection, OfAStoppedProcess) {
  DemoApp app("a");
  Remora remora(config(app.address()));
  measure("SIGSTOP", remora, [&] { app.signal(SIGSTOP); }, [&] { app.signal(SIGCONT); });
}

TEST(Detection, OfASlowBackend) {
  Moody moody;
  Remora remora(config(moody.origin.address()));
  measure("slow", remora, [&] { moody.delay_ms = 450; }, [&] { moody.delay_ms = 0; });
}

TEST(Detection, OfErrors) {
  Moody moody;
  Remora remora(config(moody.origin.address()));
  measure("503", remora, [&] { moody.status = 503; }, [&] { moody.status = 200; });
}

TEST(Detection, AFlappingBackendStaysUp) {
  std::atomic<int> probes{0};
  Origin flapping(answering([&](const std::string&, const std::string&) {
    return std::string(++probes % 3 == 0 ? "HTTP/1.1 503 X" : "HTTP/1.1 200 OK") +
           "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  }));
  Remora remora(simple_config({"{id: a, address: " + flapping.address() + "}"},
                              "health: {probe: {path: /, interval: 40ms, timeout: 2s, rise: 2, fall: 3}}\n"));
  Events events(remora);
  ASSERT_TRUE(eventually([&] { return probes > 30; }));
  remora.wish("a", "drain");  // comes after whatever the probes have changed
  EXPECT_EQ(events.all_until("backend", {"\"admin\":\"drain\""}).find("\"health\":\"down\""),
            std::string::npos);
}

TEST(Answers, ThatAreGarbageEndlessOrNeverComeAreFailures) {
  Origin garbage([](Socket& s) {
    s.receive_head();
    s.send(bytes("\0\xff garbage\r\n\r\n"));
  });
  Origin endless([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 100000; ++i)
      if (!s.send("X-Filler: " + std::string(1000, 'x') + "\r\n")) return;
  });
  Origin silent([](Socket& s) { s.receive_all(); });
  Origin huge([](Socket& s) {  // gigabytes of body: only the head counts
    s.receive_head();
    s.send("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n");
    for (int i = 0; i < 100000; ++i)
      if (!s.send(std::string(65536, 'x'))) return;
  });
  Remora remora(simple_config(
      {"{id: garbage, address: " + garbage.address() + "}",
       "{id: endless, address: " + endless.address() + "}", "{id: silent, address: " + silent.address() + "}",
       "{id: huge, address: " + huge.address() + "}"},
      "health: {probe: {path: /, interval: 100ms, timeout: 300ms}}\n"));
  for (const char* bad : {"garbage", "endless", "silent"}) EXPECT_TRUE(remora.goes(bad, "down")) << bad;
  EXPECT_TRUE(remora.goes("huge", "up"));
}

TEST(AllDown, IsAnswered503AtOnceAndTheFirstGoodProbeIsEnough) {
  Moody moody;
  moody.status = 503;
  Remora remora(
      simple_config({"{id: a, address: " + moody.origin.address() + "}"},
                    "health: {probe: {path: /, interval: 100ms, timeout: 2s, rise: 100, fall: 1}}\n"));
  ASSERT_TRUE(remora.goes("a", "down"));
  Reply r;
  ASSERT_TRUE(eventually(
      [&] { return (r = remora.ask(get("/"))).status == 503 && !r.field("Retry-After").empty(); }));
  moody.status = 200;
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
}

/// CPU time of the threads with this name, in milliseconds.
long cpu_of(pid_t pid, const std::string& name) {
  long ticks = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream comm(task.path() / "comm"), stat(task.path() / "stat");
    std::string own;
    std::getline(comm, own);
    if (own.rfind(name, 0) != 0) continue;
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    std::istringstream rest(text.substr(text.rfind(')') + 2));
    std::string field;
    for (int i = 0; i < 11; ++i) rest >> field;
    long user = 0, system = 0;
    rest >> user >> system;
    ticks += user + system;
  }
  return ticks * 1000 / ::sysconf(_SC_CLK_TCK);
}

TEST(ManyBackends, AreProbedWithoutTheWorkers) {
  std::atomic<int> asked{0};
  Origin healthy(answering([&](const std::string&, const std::string&) {
    ++asked;
    return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  }));
  std::vector<std::string> backends;
  for (int i = 0; i < 500; ++i)
    backends.push_back("{id: b" + std::to_string(i) + ", address: " + healthy.address() + "}");
  Remora remora(simple_config(backends, "health: {probe: {path: /, interval: 2s, timeout: 5s}}\n"));
  ASSERT_TRUE(eventually([&] { return asked >= 500; }, within(30s)));
  std::this_thread::sleep_for(500ms);  // the first flips are published
  const long workers = cpu_of(remora.pid(), "worker-"), control = cpu_of(remora.pid(), "remora");
  const int before = asked;
  ASSERT_TRUE(eventually([&] { return asked - before >= 500; }, within(30s)));
  const long spent = cpu_of(remora.pid(), "worker-") - workers;
  std::printf("%d probes: control thread %ld ms, workers %ld ms of CPU\n", asked - before,
              cpu_of(remora.pid(), "remora") - control, spent);
  EXPECT_LE(spent, 20);
}

}  // namespace
}  // namespace remora::test
