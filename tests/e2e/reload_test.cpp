// Another file, other listeners, another binary: what changes, and above all what does not.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "support/certificates.h"
#include "support/events.h"
#include "support/process.h"
#include "support/site.h"

namespace remora::test {
namespace {

/// A file with these listeners and backends, each a flow map.
std::string file_of(const std::vector<std::string>& listeners, const std::vector<std::string>& backends,
                    const std::string& pool = "", const std::string& top = "") {
  std::string text = "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: 127.0.0.1:0\nworkers: 2\n" +
                     top + "listeners:\n";
  for (const auto& l : listeners) text += "  - " + l + "\n";
  text += "pools:\n  app:\n    backends:\n";
  for (const auto& b : backends) text += "      - " + b + "\n";
  return text + pool;
}

// Listeners -----------------------------------------------------------------------------------------

TEST(Listeners, AreAddedAndRemovedWhileConnectionsLive) {
  std::atomic<int> asked{0};
  Origin a(answering([&](const std::string& head, const std::string&) {
    ++asked;
    if (head.find("/slow") != std::string::npos) std::this_thread::sleep_for(700ms);
    return ok("a");
  }));
  const std::string one = "{name: one, bind: \"127.0.0.1:0\"}", two = "{name: two, bind: \"127.0.0.1:0\"}";
  const std::string backend = a.address();
  Remora remora(file_of({one}, {backend}));
  Socket kept = remora.connect();
  kept.send(get("/"));
  EXPECT_EQ(kept.receive_reply().body, "a");
  ASSERT_TRUE(remora.reload(file_of({one, two}, {backend})));
  std::vector<int> ports = remora.listening_ports();
  std::erase_if(ports, [&](int port) { return port == remora.port() || port == remora.admin_port(); });
  ASSERT_EQ(ports.size(), 1U);
  const int second = ports.front();
  ASSERT_TRUE(eventually([&] { return ask(second, get("/")).status == 200; }));
  Socket on_second = Socket::connect(second);
  on_second.send(get("/"));
  EXPECT_EQ(on_second.receive_reply().body, "a");
  Socket slow = Socket::connect(second);
  const int before = asked;
  slow.send(get("/slow"));
  ASSERT_TRUE(eventually([&] { return asked > before; }));
  ASSERT_TRUE(remora.reload(file_of({one}, {backend})));
  ASSERT_TRUE(eventually([&] { return Socket::connect(second).fd() < 0; }));
  const Reply last = slow.receive_reply();
  EXPECT_EQ(last.body, "a");
  EXPECT_EQ(last.field("Connection"), "close");
  on_second.send(get("/"));  // an idle connection is not cut: its next answer is its last
  const Reply farewell = on_second.receive_reply();
  EXPECT_EQ(farewell.body, "a");
  EXPECT_EQ(farewell.field("Connection"), "close");
  kept.send(get("/"));
  EXPECT_EQ(kept.receive_reply().body, "a");
}

TEST(Listeners, ThatCannotBeOpenedRefuseTheWholeFile) {
  Origin a(says_name("a")), b(says_name("b")), taken([](Socket&) {});
  const std::string one = "{name: one, bind: \"127.0.0.1:0\"}";
  Remora remora(file_of({one}, {a.address()}));
  EXPECT_FALSE(
      remora.reload(file_of({one, "{name: two, bind: \"" + taken.address() + "\"}"}, {b.address()})));
  const Reply refused = remora.api("POST", "/api/v1/reload", "{}");
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.find(taken.address()), std::string::npos) << refused.body;
  EXPECT_EQ(remora.ask(get("/")).body, "a");
  ASSERT_TRUE(remora.reload(file_of({one}, {b.address()})));
  ASSERT_TRUE(eventually([&] { return remora.ask(get("/")).body == "b"; }));
}

TEST(Listeners, LimitsOfRunningOnesChange) {
  Origin a(says_name("a"));
  const auto with = [&](const std::string& limit) {
    return file_of({"{name: one, bind: \"127.0.0.1:0\"" + limit + "}"}, {a.address()});
  };
  Remora remora(with(""));
  Socket kept = remora.connect();
  kept.send(get("/"));
  EXPECT_EQ(kept.receive_reply().status, 200);
  ASSERT_TRUE(remora.reload(with(", per_client: {requests_per_second: 1, burst: 1}")));
  ASSERT_TRUE(eventually([&] {
    kept.send(get("/"));
    return kept.receive_reply().status == 429;
  }));
  ASSERT_TRUE(remora.reload(with("")));
  ASSERT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
}

// Files ---------------------------------------------------------------------------------------------

TEST(Files, CutAnywhereAreRefusedOrHarmless) {
  Origin a(says_name("a"));
  const std::string whole =
      file_of({"127.0.0.1:0"}, {"{id: a, address: " + a.address() + "}"},
              "    affinity: cookie\n    session:\n      idle_timeout: 20m\n      max_lifetime: 10h\n");
  Remora remora(whole);
  const auto middle = whole.find("pools:");
  for (const std::size_t cut : {std::size_t{0}, std::size_t{10}, middle, middle + 9, whole.size() - 3,
                                whole.find("affinity") + 4, whole.find("idle_timeout: 20") + 16}) {
    EXPECT_FALSE(remora.reload(whole.substr(0, cut))) << cut;
    EXPECT_EQ(remora.ask(get("/")).body, "a");
  }
  EXPECT_TRUE(remora.reload(whole));
}

TEST(Files, WhatARunningProcessCannotChangeIsNamed) {
  Origin a(says_name("a"));
  const std::string before = file_of({"127.0.0.1:0"}, {a.address()});
  Remora remora(before);
  std::string other = before;
  other.replace(other.find("workers: 2"), 10, "workers: 3");
  EXPECT_FALSE(remora.reload(other + "log: {format: json}\n"));
  const Reply over_http = remora.api("POST", "/api/v1/reload", "{}");
  EXPECT_EQ(over_http.status, 422);
  for (const char* key : {"workers: ", "log: "})
    EXPECT_NE(over_http.body.find(key), std::string::npos) << over_http.body;
  EXPECT_EQ(remora.command({"reload"}).code, 1);
  remora.rewrite(before);
  EXPECT_EQ(remora.command({"reload"}).code, 0);
}

TEST(Files, TheAdminAddressAndTokenChange) {
  Origin a(says_name("a"));
  const std::string before = file_of({"127.0.0.1:0"}, {a.address()});
  Remora remora(before);
  std::string other = before;
  const int port = free_port();
  other.replace(other.find("admin: 127.0.0.1:0"), 18,
                "admin: {bind: \"127.0.0.1:" + std::to_string(port) + "\", token: {env: REMORA_TEST_KEY}}");
  remora.rewrite(other);
  remora.hang_up();
  ASSERT_TRUE(eventually([&] { return ask(port, get("/api/v1/pools")).status == 401; }));
  ASSERT_TRUE(eventually([&] { return Socket::connect(remora.admin_port()).fd() < 0; }));
}

TEST(Files, KeepCountersHealthAndIdleConnectionsOfWhatTheyDoNotChange) {
  Origin a(says_name("a")), b(says_name("b"));
  const std::string health = "    balance: round_robin\n    health: {probe: {path: /, interval: 60s}}\n";
  const std::string of_a = "{id: a, address: " + a.address() + "}",
                    of_b = "{id: b, address: " + b.address() + "}";
  Remora remora(file_of({"127.0.0.1:0"}, {of_a}, health));
  ASSERT_TRUE(remora.goes("a", "up"));
  Events events(remora);
  Socket client = remora.connect();
  client.send(get("/"));
  EXPECT_EQ(client.receive_reply().body, "a");
  const int connections = a.connections();
  ASSERT_TRUE(remora.reload(file_of({"127.0.0.1:0"}, {of_a, of_b}, health)));
  ASSERT_TRUE(remora.goes("b", "up"));  // before, it takes nothing: a is known to be up
  std::set<std::string> seen;
  for (int i = 0; i < 4; ++i) {
    client.send(get("/"));
    seen.insert(client.receive_reply().body);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(a.connections(), connections);  // the idle one was used again
  EXPECT_TRUE(eventually([&] {
    return remora.api("GET", "/metrics")
               .body.find("remora_backend_requests_total{pool=\"app\",backend=\"a\"} 3") != std::string::npos;
  })) << remora.api("GET", "/metrics").body;
  remora.wish("b", "drain");  // comes after whatever was found out about a
  EXPECT_EQ(events.all_until("backend", {"\"admin\":\"drain\""}).find("\"backend\":\"a\""),
            std::string::npos);
}

// Upgrade -------------------------------------------------------------------------------------------

TEST(Upgrade, HandsOverSocketsWishesSessionsAndWhatProbesSaw) {
  Site site(3);
  std::string config =
      with_admin(site.config("affinity: {kind: app_cookie, name: SID, on_unknown: reject}\nhealth: {probe: "
                             "{path: /, interval: 60s}}\n"));
  Remora remora(config);
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(remora.goes(name, "up"));
  std::vector<std::pair<Browser, std::string>> sessions;
  for (int i = 0; i < 20; ++i) sessions.push_back(begin(remora.port(), "/login"));
  EXPECT_EQ(remora.command({"drain", "app/a"}).code, 0);
  ASSERT_TRUE(remora.upgrade());
  for (auto& [browser, home] : sessions) {
    const Reply r = browser.get(remora.port());
    EXPECT_EQ(r.field("X-Backend"), home);
    EXPECT_EQ(announced(r).epoch, 1);
  }
  const Reply a = remora.api("GET", "/api/v1/pools/app/backends/a");
  EXPECT_NE(a.body.find("\"admin\":\"drain\""), std::string::npos) << a.body;
  EXPECT_NE(a.body.find("\"health\":\"up\""), std::string::npos) << a.body;
  EXPECT_TRUE(remora.former_ended());
  ASSERT_TRUE(remora.upgrade()) << "once more";
  EXPECT_EQ(sessions[0].first.get(remora.port()).field("X-Backend"), sessions[0].second);
}

TEST(Upgrade, WhatHappensInTheOldProcessMeanwhileIsKnownInTheNew) {
  Site site(4);
  Remora remora(site.config("affinity: {kind: app_cookie, name: SID, on_unknown: reject}\n"));
  Socket old = remora.connect();
  Browser idle;
  idle.get(old, "/");
  ASSERT_TRUE(remora.upgrade());
  Browser browser;
  const std::string home = browser.get(old, "/login").field("X-Backend");  // begun by the old process
  ASSERT_FALSE(browser.cookies.empty());
  Reply reply;
  EXPECT_TRUE(eventually([&] { return (reply = browser.get(remora.port())).status == 200; })) << reply.status;
  EXPECT_EQ(reply.field("X-Backend"), home);
  EXPECT_TRUE(remora.former_ended());
}

bool has_child(pid_t process) {
  const std::string path = "/proc/" + std::to_string(process);
  std::string child;
  for (const auto& thread : std::filesystem::directory_iterator(path + "/task"))
    if (std::ifstream(thread.path() / "children") >> child) return true;
  return false;
}

TEST(Upgrade, ThatCannotStartLeavesTheOldOneServing) {
  Origin a(says_name("a"));
  const std::string config = simple_config({a.address()});
  Remora remora(config);
  // The configuration is a pipe, so that the new process exists for as long as nothing is written into it.
  const std::string file = remora.folder() + "/remora.yaml";
  std::filesystem::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  remora.signal(SIGUSR2);
  ASSERT_TRUE(eventually([&] { return has_child(remora.pid()); }));
  std::ofstream(file) << "nonsense: [";
  ASSERT_TRUE(eventually([&] { return !has_child(remora.pid()); }));
  std::filesystem::remove(file);
  EXPECT_EQ(remora.ask(get("/")).body, "a");
  remora.rewrite(config);
  ASSERT_TRUE(remora.upgrade());
  EXPECT_EQ(remora.ask(get("/")).body, "a");
}

// systemd -------------------------------------------------------------------------------------------

TEST(Systemd, ItsSocketIsUsedAndItHearsOfStartReloadAndStop) {
  Origin a(says_name("a"));
  const std::string folder = make_folder(), notify = folder + "/notify";
  NotifySocket systemd(notify);
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);  // the new process keeps it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listening, 16), 0);
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size);
  const int port = ntohs(address.sin_port);
  std::ofstream(folder + "/f.yaml") << "state_dir: none\nadmin: off\nworkers: 2\nlisteners: [\"127.0.0.1:"
                                    << port << "\"]\npools: {app: {backends: [" << a.address() << "]}}\n";
  const std::string file = folder + "/f.yaml", log = folder + "/log";
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::dup2(listening, 3);  // SD_LISTEN_FDS_START
    ::setenv("LISTEN_FDS", "1", 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("NOTIFY_SOCKET", notify.c_str(), 1);
    ::execl(binary().c_str(), "remora", "run", "-c", file.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(listening);
  EXPECT_EQ(systemd.receive(patience), "READY=1\nMAINPID=" + std::to_string(pid));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(port, get("/")).body, "a");
  ::kill(pid, SIGHUP);
  EXPECT_EQ(systemd.receive(patience).rfind("RELOADING=1\nMONOTONIC_USEC=", 0), 0U);
  EXPECT_EQ(systemd.receive(patience), "READY=1");
  EXPECT_EQ(ask(port, get("/")).body, "a");
  ::kill(pid, SIGTERM);
  EXPECT_EQ(systemd.receive(patience), "STOPPING=1");
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  std::filesystem::remove_all(folder);
}

// Everything at once --------------------------------------------------------------------------------

class UnderTraffic : public ::testing::TestWithParam<const char*> {};

/// 300 sessions over 50 connections that never rest; what failed and what moved.
class Crowd {
 public:
  Crowd(int port, std::size_t sessions) : port_(port) {
    for (std::size_t i = 0; i < sessions; ++i) {
      auto [browser, home] = begin(port, "/login");
      sessions_.push_back(std::make_unique<One>());
      sessions_.back()->browser = browser;
      sessions_.back()->home = home;
    }
  }
  ~Crowd() { stop(); }
  void run(int threads, int connections) {
    for (int t = 0; t < threads; ++t)
      threads_.emplace_back([this, t, threads, connections] { work(t, threads, connections); });
  }
  void stop() {
    stop_ = true;
    for (auto& t : threads_) t.join();
    threads_.clear();
  }
  std::size_t at(const std::string& name) {
    std::size_t n = 0;
    for (const auto& one : sessions_) {
      const std::lock_guard lock(one->mutex);
      n += one->home == name ? 1 : 0;
    }
    return n;
  }
  std::atomic<long> requests{0}, failed{0}, moved{0}, drained{0};
  std::string first_failure() {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  struct One {
    std::mutex mutex;
    Browser browser;
    std::string home;
  };
  void work(int t, int threads, int connections) {
    std::vector<Socket> sockets(static_cast<std::size_t>(connections));
    for (std::size_t n = static_cast<std::size_t>(t); !stop_; n += static_cast<std::size_t>(threads)) {
      One& one = *sessions_[n % sessions_.size()];
      Socket& socket = sockets[n / static_cast<std::size_t>(threads) % sockets.size()];
      const std::lock_guard lock(one.mutex);
      if (socket.fd() < 0) socket = Socket::connect(port_);
      const Reply r = one.browser.get(socket, "/");
      ++requests;
      if (r.status != 200 || !r.complete) {
        ++failed;
        const std::lock_guard guard(mutex_);
        if (failure_.empty()) failure_ = "status " + std::to_string(r.status) + " " + r.head + r.body;
        socket.close();
        continue;
      }
      const std::string now = r.field("X-Backend");
      if (now != one.home) {
        ++(announced(r).reason == "drain" ? drained : moved);
        one.home = now;
      }
      if (r.field("Connection") == "close") socket.close();
      std::this_thread::sleep_for(1ms);  // leaves the processors to the tests beside this one
    }
  }
  const int port_;
  std::vector<std::unique_ptr<One>> sessions_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::string failure_;  // guarded by mutex_
};

TEST_P(UnderTraffic, TenReloadsAnUpgradeAndADrainFailNothingAndMoveNobodyElse) {
  Site site(4);
  Origin extra(answering([](const std::string&, const std::string&) { return ok("extra"); }));
  Origin echo([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    for (;;) {
      // A slow reload leaves it quiet for longer than a socket's usual patience; nobody may end it meanwhile.
      if (s.buffer().empty() && !s.receive_some(10min)) return;
      s.send(std::exchange(s.buffer(), {}));
    }
  });
  const std::string affinity = std::string("    affinity: ") + GetParam() + "\n";
  std::vector<std::string> backends;
  for (const char* name : {"a", "b", "c", "d"})
    backends.push_back(std::string("{id: ") + name + ", address: " + site.address(name) + "}");
  const std::string web = "{name: web, bind: \"127.0.0.1:0\"}";
  const std::string rest = "  ws:\n    backends: [" + echo.address() +
                           "]\nroutes: [{path: /ws, pool: ws}, {path: /, pool: app}]\n";
  const auto file = [&](const std::vector<std::string>& listeners, const std::vector<std::string>& list,
                        const std::string& pool) { return file_of(listeners, list, affinity + pool + rest); };
  Remora remora(file({web}, backends, ""));
  const std::string one = make_certificate(remora.folder(), "one.test"),
                    two = make_certificate(remora.folder(), "two.test");
  Socket socket = remora.connect();
  socket.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  ASSERT_NE(socket.receive_head().find(" 101 "), std::string::npos);
  const auto echoes = [&](const std::string& text) {
    socket.send(text);
    return socket.receive_exactly(text.size()) == text;
  };
  Crowd crowd(remora.port(), 300);
  crowd.run(10, 5);

  auto more = backends;
  more.push_back("{id: e, address: " + extra.address() + ", weight: 0}");
  auto weighted = backends;
  weighted[1].insert(weighted[1].size() - 1, ", weight: 5");
  const std::string tls_one = "{name: tls, bind: \"127.0.0.1:0\", tls: {certificates: [" + one + "]}}";
  const std::string tls_two = "{name: tls, bind: \"127.0.0.1:0\", tls: {certificates: [" + two + "]}}";
  const std::string plain = "{name: plain, bind: \"127.0.0.1:0\", timeouts: {idle: 20s}}";
  int number = 0;
  for (const std::string& next : {
           file({web}, more, ""),
           file({web}, weighted, ""),
           file({web, tls_one}, weighted, ""),
           file({web, tls_two}, weighted, ""),
           file({web, tls_two, plain}, backends, ""),
           file({web}, backends, ""),
           file({web}, backends, "    session: {idle_timeout: 20m}\n"),
           file({web}, backends, "    health: {probe: {path: /, interval: 200ms}}\n"),
           file({web, plain}, more, "    timeouts: {response: 30s}\n"),
           file({web}, backends, ""),
       }) {
    ASSERT_TRUE(remora.reload(next)) << next;
    ++number;
    EXPECT_TRUE(echoes("after reload " + std::to_string(number)));
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_EQ(crowd.moved, 0);
  ASSERT_TRUE(remora.upgrade());
  EXPECT_TRUE(echoes("while another process serves"));
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(crowd.moved, 0);
  EXPECT_EQ(crowd.failed, 0) << crowd.first_failure();
  const std::size_t on_a = crowd.at("a");
  EXPECT_EQ(remora.command({"drain", "app/a", "--deadline", "200ms"}).code, 0);
  EXPECT_TRUE(eventually([&] { return crowd.at("a") == 0; }, within(30s)));
  crowd.stop();
  EXPECT_EQ(crowd.failed, 0) << crowd.first_failure();
  EXPECT_EQ(crowd.moved, 0);
  EXPECT_EQ(static_cast<std::size_t>(crowd.drained), on_a);
  std::printf("%ld requests, %ld failed, %ld moved, %ld of %zu drained\n", crowd.requests.load(),
              crowd.failed.load(), crowd.moved.load(), crowd.drained.load(), on_a);
  socket.close();
  EXPECT_TRUE(remora.former_ended(within(30s)));
}

INSTANTIATE_TEST_SUITE_P(Kinds, UnderTraffic, ::testing::Values("cookie", "{kind: app_cookie, name: SID}"),
                         [](const auto& info) { return info.index == 0 ? "issued" : "learned"; });

}  // namespace
}  // namespace remora::test
