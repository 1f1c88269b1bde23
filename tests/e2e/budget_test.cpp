// The budgets of the request path: system calls, heap allocations, memory. Counted, not timed.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "support/http2_peer.h"
#include "support/remora.h"

namespace remora::test {
namespace {

Origin::Script small_answers() {
  return answering([](const std::string&, const std::string&) {
    return ok(std::string(128, 'x'), "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n");
  });
}

std::string cookie_of(const Reply& r) {
  return "Cookie: " + r.field("Set-Cookie").substr(0, r.field("Set-Cookie").find(';')) + "\r\n";
}

/// `connections` keep-alive clients, `requests` each, one at a time on each.
void load(const Remora& remora, int connections, int requests, const std::string& cookie) {
  std::vector<std::thread> clients;
  for (int i = 0; i < connections; ++i)
    clients.emplace_back([&] {
      Socket s = remora.connect();
      for (int n = 0; n < requests; ++n) {
        s.send(get("/", cookie));
        ASSERT_EQ(s.receive_reply().status, 200);
      }
    });
  for (auto& t : clients) t.join();
}

/// One HTTP/2 client: `rounds` times `streams` requests at once.
void load_http2(Http2Client& client, int rounds, int streams, const std::string& cookie) {
  const Http2Peer::Pairs fields{{"cookie", cookie}, {"accept", "*/*"}, {"user-agent", "budget"}};
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::int32_t> open;
    for (int i = 0; i < streams; ++i) open.push_back(client.begin("GET", "/", fields));
    const auto all_closed = [&] {
      return std::all_of(open.begin(), open.end(), [&](std::int32_t s) { return client.of(s).closed; });
    };
    ASSERT_TRUE(client.until(all_closed));
    for (const std::int32_t s : open) ASSERT_EQ(client.of(s).status, 200);
  }
}

const char* one_worker = "workers: 1\nlog: {access: off}\n";
std::string config_for(const Origin& origin, const std::string& top, const std::string& listener = "") {
  std::string text = simple_config({origin.address()}, "affinity: cookie\n", listener, top);
  text.replace(text.find("workers: 2\n"), 11, "");
  return text;
}
/// System calls of remora while `work` runs, each divided by `times`; empty: strace gave nothing.
std::map<std::string, double> calls_during(const Remora& remora, int times,
                                           const std::function<void()>& work) {
  const std::string out = remora.folder() + "/strace";
  const pid_t tracer = ::fork();
  if (tracer == 0) {
    ::execlp("strace", "strace", "-f", "-c", "-q", "-p", std::to_string(remora.pid()).c_str(), "-o",
             out.c_str(), nullptr);
    ::_exit(127);
  }
  std::this_thread::sleep_for(500ms);
  work();
  ::kill(tracer, SIGINT);
  int status = 0;
  ::waitpid(tracer, &status, 0);
  std::map<std::string, double> calls;
  std::ifstream in(out);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::vector<std::string> w{std::istream_iterator<std::string>(words), {}};
    if (w.size() >= 5 && std::isdigit(static_cast<unsigned char>(w[0][0])) && w.back() != "total")
      calls[w.back()] = std::atof(w[3].c_str()) / times;
  }
  return calls;
}

/// Two receives, two sends: that is all at load. At one connection each wait adds an epoll_wait.
void expect_four_calls(std::map<std::string, double> calls) {
  ASSERT_FALSE(calls.empty()) << "strace gave nothing";
  std::string all;
  double others = 0;
  for (const auto& [name, n] : calls) {
    all += name + "=" + std::to_string(n) + " ";
    if (name != "epoll_wait" && name != "timerfd_settime") others += n;  // ticks follow the clock
  }
  std::cout << "one connection: " << all << "\n";
  EXPECT_LE(others, 4.1) << all;
  EXPECT_LE(calls["epoll_wait"], 2.2) << all;
}

TEST(Budget, SystemCallsPerKeepAliveRequest) {
  if (sanitized()) GTEST_SKIP() << "sanitizers make system calls of their own";
  Origin origin(small_answers());
  Remora remora(config_for(origin, one_worker));
  const std::string cookie = cookie_of(remora.ask(get("/")));
  load(remora, 1, 100, cookie);
  expect_four_calls(calls_during(remora, 2000, [&] { load(remora, 1, 2000, cookie); }));
}

TEST(Budget, SystemCallsPerMessageOfATunnelAndBack) {
  if (sanitized()) GTEST_SKIP() << "sanitizers make system calls of their own";
  Origin origin([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    for (std::string m = s.receive_exactly(70); m.size() == 70; m = s.receive_exactly(70)) s.send(m);
  });
  Remora remora(config_for(origin, one_worker));
  Socket s = remora.connect();
  s.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  ASSERT_NE(s.receive_head().find(" 101 "), std::string::npos);
  constexpr int messages = 2000;
  expect_four_calls(calls_during(remora, messages, [&] {
    for (int i = 0; i < messages; ++i) {
      s.send(std::string(70, 'm'));
      ASSERT_EQ(s.receive_exactly(70).size(), 70U);
    }
  }));
}

/// A server that counts its heap allocations.
class Counted {
 public:
  explicit Counted(const std::string& config)
      : counts_(make_folder() + "/count"),
        remora(config,
               {std::string("LD_PRELOAD=") + REMORA_MALLOC_COUNTER, "REMORA_MALLOC_COUNT=" + counts_}) {}
  long allocations() const {
    remora.signal(SIGUSR1);  // the counter writes its total
    std::this_thread::sleep_for(100ms);
    std::ifstream in(counts_);
    long n = -1;
    in >> n;
    return n;
  }

 private:
  const std::string counts_;

 public:
  Remora remora;
};

TEST(Budget, HeapAllocationsPerKeepAliveRequest) {
  if (sanitized()) GTEST_SKIP() << "sanitizers bring their own allocator";
  Origin origin(small_answers());
  const Counted counted(config_for(origin, one_worker));
  const std::string cookie = cookie_of(counted.remora.ask(get("/")));
  load(counted.remora, 4, 200, cookie);  // warm: buffers, caches, frames
  const long before = counted.allocations();
  load(counted.remora, 4, 50, cookie);
  const long few = counted.allocations();
  load(counted.remora, 4, 2050, cookie);
  const long many = counted.allocations();
  ASSERT_GE(before, 0);
  // The connections cost the same in both loads; what differs is 8,000 requests.
  std::cout << "allocations: " << few - before << " with 200 requests, " << many - few << " with 8,200\n";
  EXPECT_LE((many - few) - (few - before), 40);
}

/// The value that a client of HTTP/2 sends back.
std::string crumb_of(const Remora& remora) {
  const std::string line = cookie_of(remora.ask(get("/")));
  return line.substr(8, line.size() - 10);
}

/// Allocations of 8,000 requests over one connection, `streams` at a time.
long allocations_of_http2(const Counted& counted, int streams) {
  constexpr int requests = 8000, warm = 1000, few = 200;
  const std::string cookie = crumb_of(counted.remora);
  Http2Client client(counted.remora.port());
  load_http2(client, warm / streams, streams, cookie);
  const long before = counted.allocations();
  load_http2(client, few / streams, streams, cookie);
  const long after_few = counted.allocations();
  load_http2(client, (few + requests) / streams, streams, cookie);
  const long more = (counted.allocations() - after_few) - (after_few - before);
  std::cout << "allocations: " << more << " for 8,000 requests by HTTP/2, " << streams << " at a time\n";
  return more;
}

TEST(Budget, HeapAllocationsPerHttp2Request) {
  if (sanitized()) GTEST_SKIP() << "sanitizers bring their own allocator";
  Origin origin(small_answers());
  const Counted counted(config_for(origin, one_worker, "h2c: on\n"));
  EXPECT_LE(allocations_of_http2(counted, 4), 40);
  // Asio keeps 16 free coroutine frames, and each of so many exchanges has three or four.
  EXPECT_LE(allocations_of_http2(counted, 20), 16'000);
}

/// A backend's connection costs a send and two receives for each request, as with HTTP/1. The client's costs
/// little: what many streams receive and send is received and sent at once.
TEST(Budget, SystemCallsPerHttp2RequestAtAHundredStreams) {
  if (sanitized()) GTEST_SKIP() << "sanitizers make system calls of their own";
  Origin origin(small_answers());
  Remora remora(config_for(origin, one_worker, "h2c: on\n"));
  const std::string cookie = crumb_of(remora);
  Http2Client client(remora.port());
  constexpr int rounds = 20, streams = 100;
  load_http2(client, 5, streams, cookie);
  const auto calls =
      calls_during(remora, rounds * streams, [&] { load_http2(client, rounds, streams, cookie); });
  ASSERT_FALSE(calls.empty()) << "strace gave nothing";
  std::string all;
  double sends = 0;
  for (const auto& [name, n] : calls) {
    all += name + "=" + std::to_string(n) + " ";
    if (name.starts_with("send") || name.starts_with("write")) sends += n;
  }
  std::cout << "100 streams: " << all << "\n";
  EXPECT_LE(sends, 1.2) << all;
}

TEST(Budget, IdleConnectionsHoldAlmostNothing) {
  if (sanitized()) GTEST_SKIP() << "sanitizers multiply memory";
  Origin origin(small_answers());
  Remora remora(config_for(origin, one_worker));
  constexpr int first = 1000, connections = 9000;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < connections + 200)
    GTEST_SKIP() << "this machine allows " << files.rlim_cur << " open files";
  std::vector<Socket> idle;
  std::size_t before = 0;
  for (int i = 0; i < connections; ++i) {
    if (i == first) {  // by now the worker holds what it keeps for the next burst; from here each connection
                       // counts
      std::this_thread::sleep_for(3500ms);
      before = remora.resident();
    }
    idle.push_back(remora.connect());
    ASSERT_GE(idle.back().fd(), 0) << i;
    if (i % 10 == 0) {  // some have spoken, some never did
      idle.back().send(get("/"));
      ASSERT_EQ(idle.back().receive_reply().status, 200);
    }
  }
  std::this_thread::sleep_for(3500ms);  // idle for a second, then what is left of working memory goes back
  const double each = static_cast<double>(remora.resident() - before) / (connections - first);
  std::cout << "idle connection: " << each << " bytes of resident memory\n";
  EXPECT_LT(each, 1024);
  for (int i = 0; i < connections; i += 1000) {
    idle[static_cast<std::size_t>(i)].send(get("/"));
    EXPECT_EQ(idle[static_cast<std::size_t>(i)].receive_reply().status, 200);
  }
}

TEST(Budget, AGibibyteEachWayWithASlowReaderStaysSmall) {
  if (sanitized()) GTEST_SKIP() << "sanitizers multiply memory";
  constexpr std::size_t total = std::size_t{1} << 30;
  const std::string block(1 << 20, 'x');
  std::atomic<std::size_t> received{0};
  Origin origin([&](Socket& s) {
    const std::string head = s.receive_head();
    if (head.substr(0, 4) == "POST") {
      received = s.buffer().size();
      s.buffer().clear();
      for (int n = 0; received < total && s.receive_some(); ++n) {
        received += s.buffer().size();
        s.buffer().clear();
        if (n % 512 == 0) std::this_thread::sleep_for(5ms);
      }
      s.send(ok("got it", "Connection: close\r\n"));
      return;
    } else {
      s.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
      for (std::size_t sent = 0; sent < total && s.send(block); sent += block.size()) {
      }
    }
    s.closed_by_peer();
  });
  Remora remora(config_for(origin, one_worker));
  std::size_t most = 0;
  Socket up = remora.connect();
  up.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
  for (std::size_t sent = 0; sent < total; sent += block.size()) {
    ASSERT_TRUE(up.send(block));
    most = std::max(most, remora.resident());
  }
  EXPECT_EQ(up.receive_reply().body, "got it");
  EXPECT_EQ(received.load(), total);
  Socket down = remora.connect();
  down.send(get("/"));
  down.receive_head();
  std::size_t got = down.buffer().size();
  down.buffer().clear();
  for (int n = 0; got < total && down.receive_some(); ++n) {
    got += down.buffer().size();
    down.buffer().clear();
    if (n % 512 == 0) {
      std::this_thread::sleep_for(5ms);
      most = std::max(most, remora.resident());
    }
  }
  EXPECT_EQ(got, total);
  std::cout << "resident at most " << most / 1024 << " KiB\n";
  EXPECT_LT(most, std::size_t{64} << 20);
}

}  // namespace
}  // namespace remora::test
