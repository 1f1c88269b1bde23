// Open streams end with a drain, end to end: many WebSockets and event streams, over HTTP/1.1 and HTTP/2,
// whose clients come back and are moved.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <poll.h>

#include <algorithm>
#include <deque>
#include <future>

#include "support/http2_peer.h"
#include "support/site.h"

namespace remora::test {
namespace {

using Time = std::chrono::steady_clock::time_point;
const std::string going_away = "\x88\x02\x03\xe9";

std::string accept_for(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH], encoded[4 * SHA_DIGEST_LENGTH / 3 + 4];
  ::SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  const int size = ::EVP_EncodeBlock(encoded, digest, sizeof digest);
  return {reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(size)};
}

/// An app server with endless streams: a WebSocket for who asks for one, else one event of an event stream.
Origin::Script streams(const std::string& name) {
  return [name](Socket& s) {
    const std::string head = s.receive_head();
    const std::string seen =
        "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") + "\r\n";
    if (!field_of(head, "Upgrade").empty())
      s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + seen +
             "Sec-WebSocket-Accept: " + accept_for(field_of(head, "Sec-WebSocket-Key")) +
             "\r\n\r\n\x81\x02hi");
    else
      s.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n" + seen +
             "\r\n9\r\ndata: 1\n\n\r\n");
    while (s.receive_some(within(60s))) s.buffer().clear();
  };
}

class Servers {
 public:
  std::string config(const std::string& pool, const std::string& listener = "") const {
    return with_admin(
        simple_config({"{id: a, address: " + a_.address() + "}", "{id: b, address: " + b_.address() + "}"},
                      "affinity: cookie\nsession: {idle_timeout: 2s}\n" + pool, listener));
  }

 private:
  Origin a_{streams("a")}, b_{streams("b")};
};

/// All sessions that begin now begin at `a`.
void only_a(const Remora& remora) {
  remora.wish("b", "maint");
}

/// How the ends lie in the time between `from` and `from + spread`.
void expect_even(std::vector<Time> ends, Time from, std::chrono::milliseconds spread) {
  std::sort(ends.begin(), ends.end());
  EXPECT_GE(ends.front(), from);
  EXPECT_LE(ends.back(), from + spread + within(1s));
  std::vector<int> quarters(4);
  for (const Time t : ends) {
    const auto at = 4 * (t - ends.front()) / std::chrono::nanoseconds(spread);
    ++quarters[static_cast<std::size_t>(std::min<long>(at, 3))];
  }
  for (const int n : quarters)
    EXPECT_GE(n, static_cast<int>(ends.size()) / 10) << ::testing::PrintToString(quarters);
}

/// A client of HTTP/1.1 with one open stream.
struct User {
  bool websocket = false;
  Browser browser;
  Socket socket;
  Announced told;
  std::string backend;
  Time ended{};

  void open(int port) {
    socket = Socket::connect(port);
    browser.more = websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
                               "Sec-WebSocket-Version: 13\r\n"
                             : "";
    socket.send(browser.request("/"));
    Reply reply;
    reply.head = socket.receive_head();
    reply.status = reply.head.empty() ? 0 : std::stoi(reply.head.substr(9, 3));
    EXPECT_EQ(reply.status, websocket ? 101 : 200);
    browser.take(reply);
    told = announced(reply);
    backend = reply.field("X-Backend");
    const std::string first = websocket ? socket.receive_exactly(4) : socket.receive_exactly(14);
    EXPECT_EQ(first, websocket ? "\x81\x02hi" : "9\r\ndata: 1\n\n\r\n");
  }
  /// Something came: whether it is the end that it should be.
  void expect_end() {
    ended = std::chrono::steady_clock::now();
    if (websocket) {
      EXPECT_EQ(socket.receive_exactly(4), going_away);
      EXPECT_TRUE(socket.closed_by_peer());
      EXPECT_FALSE(socket.was_reset());
    } else {
      EXPECT_EQ(socket.receive_exactly(5), "0\r\n\r\n");
    }
  }
};

std::deque<User> open_users(const Remora& remora, int websockets, int event_streams) {
  std::deque<User> users;
  only_a(remora);
  for (int i = 0; i < websockets + event_streams; ++i) {
    User& user = users.emplace_back();
    user.websocket = i % 2 == 0 ? i / 2 < websockets : i / 2 >= event_streams;
    user.open(remora.port());
    EXPECT_EQ(user.backend, "a");
  }
  remora.wish("b", "ready");
  return users;
}

/// Waits until all streams have ended; clients come back at once. False: some were left at `until`.
bool follow_ends(const Remora& remora, std::deque<User>& users, Time until) {
  std::size_t left = users.size();
  while (left > 0) {
    std::vector<pollfd> fds;
    std::vector<User*> open;
    for (User& user : users)
      if (user.ended == Time{}) {
        fds.push_back({user.socket.fd(), POLLIN, 0});
        open.push_back(&user);
      }
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (rest.count() <= 0 || ::poll(fds.data(), fds.size(), static_cast<int>(rest.count())) <= 0)
      return false;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      open[i]->expect_end();
      open[i]->open(remora.port());
      --left;
    }
  }
  return true;
}

std::vector<Time> ends_of(const std::deque<User>& users) {
  std::vector<Time> ends;
  for (const User& user : users) ends.push_back(user.ended);
  return ends;
}

const std::string drained = "remora_backend_drained_streams_total{pool=\"app\",backend=\"a\"}";

TEST(DrainStreams, SixtyWebSocketsAndSixtyEventStreamsMoveEvenly) {
  const Servers servers;
  Remora remora(servers.config("drain: {spread: 2s}\n"));
  auto users = open_users(remora, 60, 60);
  const Time begun = std::chrono::steady_clock::now();
  auto waiting = std::async(std::launch::async, [&] {
    return remora.command({"drain", "app/a", "--deadline", "500ms", "--wait"});
  });
  ASSERT_TRUE(follow_ends(remora, users, begun + within(8s)));
  expect_even(ends_of(users), begun + 500ms, 2s);
  for (const User& user : users) {
    EXPECT_EQ(user.backend, "b");
    EXPECT_EQ(user.told.reason, "drain");
    EXPECT_EQ(user.told.epoch, 2);
  }
  const Ran ran = waiting.get();
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_NE(ran.output.find("app/a is empty"), std::string::npos) << ran.output;
  EXPECT_EQ(remora.metric(drained), 120);
  EXPECT_TRUE(remora.wait_for_log("failure=drained"));
  EXPECT_EQ(remora.backend("b", "in_flight"), "120");
}

TEST(DrainStreams, MaintenanceEndsThemFromNowOn) {
  const Servers servers;
  Remora remora(servers.config("drain: {spread: 1s}\n"));
  auto users = open_users(remora, 20, 20);
  const Time begun = std::chrono::steady_clock::now();
  EXPECT_EQ(remora.command({"maint", "app/a"}).code, 0);
  ASSERT_TRUE(follow_ends(remora, users, begun + within(8s)));
  expect_even(ends_of(users), begun, 1s);
  for (const User& user : users) {
    EXPECT_EQ(user.backend, "b");
    EXPECT_EQ(user.told.reason, "maint");
  }
  EXPECT_TRUE(remora.backend_is("a", "in_flight", "0"));
}

TEST(DrainStreams, MaintenanceByTheFileEndsThemToo) {
  const Servers servers;
  const std::string config = servers.config("drain: {spread: 300ms}\n");
  Remora remora(config);
  auto users = open_users(remora, 2, 2);
  std::string other = config;
  other.insert(other.find("id: a,") + 6, " admin: maint,");
  ASSERT_TRUE(remora.reload(other));
  ASSERT_TRUE(follow_ends(remora, users, std::chrono::steady_clock::now() + within(8s)));
  for (const User& user : users) EXPECT_EQ(user.backend, "b");
}

/// None of the streams ends for so long.
void expect_open(std::deque<User>& users, std::chrono::milliseconds time) {
  std::vector<pollfd> fds;
  for (User& user : users) fds.push_back({user.socket.fd(), POLLIN, 0});
  EXPECT_EQ(::poll(fds.data(), fds.size(), static_cast<int>(time.count())), 0);
}

TEST(DrainStreams, KeepLeavesThemAlone) {
  const Servers servers;
  Remora remora(servers.config("drain: {streams: keep}\n"));
  auto users = open_users(remora, 5, 5);
  const Ran ran = remora.command({"drain", "app/a", "--deadline", "200ms", "--wait"});
  EXPECT_EQ(ran.code, 3) << ran.output;
  remora.wish("a", "maint");
  expect_open(users, 500ms);
  EXPECT_EQ(remora.backend("a", "in_flight"), "10");
  EXPECT_EQ(remora.backend("a", "ends_streams"), "false");
}

TEST(DrainStreams, ADrainThatIsCalledOffBeforeItsDeadlineEndsNone) {
  const Servers servers;
  Remora remora(servers.config("drain: {spread: 100ms}\n"));
  auto users = open_users(remora, 3, 3);
  EXPECT_EQ(remora.command({"drain", "app/a", "--deadline", "400ms"}).code, 0);
  EXPECT_EQ(remora.command({"ready", "app/a"}).code, 0);
  expect_open(users, 1s);
}

TEST(DrainStreams, ADrainThatIsCalledOffDuringTheSpreadSparesTheRest) {
  const Servers servers;
  Remora remora(servers.config("drain: {spread: 20s}\n"));
  auto users = open_users(remora, 20, 20);
  EXPECT_EQ(remora.command({"drain", "app/a", "--deadline", "1ms"}).code, 0);
  ASSERT_TRUE(eventually([&] { return remora.metric(drained) >= 2; }));
  EXPECT_EQ(remora.command({"ready", "app/a"}).code, 0);
  const double ended = remora.metric(drained);
  EXPECT_LT(ended, 30);
  EXPECT_FALSE(eventually([&] { return remora.metric(drained) > ended; }, 1500ms));
}

TEST(DrainStreams, WithNobodyElseTheyStayPastADeadline) {
  const Servers servers;
  Remora remora(servers.config("drain: {spread: 100ms}\n"));
  auto users = open_users(remora, 2, 2);
  remora.wish("b", "maint");
  EXPECT_EQ(remora.command({"drain", "app/a", "--deadline", "1ms"}).code, 0);
  ASSERT_TRUE(remora.backend_is("a", "deadline_passed", "true"));
  expect_open(users, 500ms);
  remora.wish("b", "ready");
  EXPECT_TRUE(follow_ends(remora, users, std::chrono::steady_clock::now() + within(8s)));
}

TEST(DrainStreams, AYoungDownloadIsNotCut) {
  Origin a([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
    s.receive_until("now");
  });
  Origin b(says_name("b"));
  const auto config = [&](const std::string& response) {
    return with_admin(simple_config(
        {"{id: a, address: " + a.address() + "}", "{id: b, address: " + b.address() + ", weight: 0}"},
        "drain: {spread: 100ms}\ntimeouts: {response: " + response + "}\n"));
  };
  for (const bool old : {false, true}) {
    Remora remora(config(old ? "200ms" : "60s"));
    Socket client = remora.connect();
    client.send(get("/"));
    client.receive_head();
    EXPECT_EQ(client.receive_exactly(5), "01234");
    remora.wish("a", "maint");
    EXPECT_EQ(client.closed_by_peer(old ? patience : 600ms), old);
    EXPECT_EQ(client.was_reset(), old) << "a client must not take it for the whole";
  }
}

// HTTP/2 --------------------------------------------------------------------------------------------

/// The session cookie that a response set, as "name=value".
std::string cookie_of(const Http2Peer::Response& response) {
  const std::string set = response.field("set-cookie");
  return set.substr(0, set.find(';'));
}

struct Http2User {
  bool websocket = false;
  std::int32_t stream = 0;
  std::string cookie;
  Time ended{};

  void open(Http2Client& client) {
    Http2Peer::Pairs fields;
    if (websocket) fields = {{":protocol", "websocket"}, {"sec-websocket-version", "13"}};
    if (!cookie.empty()) fields.emplace_back("cookie", cookie);
    stream = client.begin(websocket ? "CONNECT" : "GET", "/", fields, !websocket);
  }
  bool is_open(Http2Client& client) const {
    return client.of(stream).body == (websocket ? "\x81\x02hi" : "data: 1\n\n");
  }
};

TEST(DrainStreams, OverHttp2OtherStreamsOfTheConnectionGoOn) {
  const Servers servers;
  Remora remora(servers.config("drain: {spread: 2s}\n", "h2c: on\nh2: {max_concurrent_streams: 1000}\n"));
  Http2Peer::Options options;
  options.connect_protocol = true;
  Http2Client client(remora.port(), options);
  only_a(remora);
  std::vector<Http2User> users(120);
  for (std::size_t i = 0; i < users.size(); ++i) {
    users[i].websocket = i % 2 == 0;
    users[i].open(client);
  }
  const auto all_open = [&] {
    return std::all_of(users.begin(), users.end(), [&](const Http2User& u) { return u.is_open(client); });
  };
  ASSERT_TRUE(client.until(all_open));
  for (Http2User& user : users) user.cookie = cookie_of(client.of(user.stream));
  remora.wish("b", "ready");
  const Time begun = std::chrono::steady_clock::now();
  auto waiting = std::async(std::launch::async, [&] {
    return remora.command({"drain", "app/a", "--deadline", "500ms", "--wait"});
  });
  std::size_t left = users.size();
  const auto look = [&] {
    for (Http2User& user : users) {
      const Http2Peer::Response& response = client.of(user.stream);
      if (user.ended != Time{} || !response.closed) continue;
      user.ended = std::chrono::steady_clock::now();
      --left;
      EXPECT_TRUE(response.ended) << "not reset";
      EXPECT_EQ(response.body, user.websocket ? "\x81\x02hi" + going_away : "data: 1\n\n");
      user.open(client);
    }
    return left == 0;
  };
  ASSERT_TRUE(client.until(look, within(8s)));
  ASSERT_TRUE(client.until(all_open));
  std::vector<Time> ends;
  for (const Http2User& user : users) {
    ends.push_back(user.ended);
    EXPECT_EQ(client.of(user.stream).field("x-backend"), "b");
    EXPECT_NE(client.of(user.stream).field("x-session").find("reason=drain"), std::string::npos)
        << client.of(user.stream).field("x-session");
  }
  expect_even(ends, begun + 500ms, 2s);
  EXPECT_TRUE(client.goaways().empty());
  auto done = [&] { return waiting.wait_for(0ms) == std::future_status::ready; };
  EXPECT_TRUE(client.until(done, within(10s)));
  const Ran ran = waiting.get();
  EXPECT_EQ(ran.code, 0) << ran.output;
}

TEST(DrainStreams, OverHttp2ACutDownloadIsReset) {
  Origin a([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
    s.receive_until("now");
  });
  Origin b(says_name("b"));
  Remora remora(with_admin(simple_config(
      {"{id: a, address: " + a.address() + "}", "{id: b, address: " + b.address() + ", weight: 0}"},
      "drain: {spread: 100ms}\ntimeouts: {response: 200ms}\n", "h2c: on\n")));
  Http2Client client(remora.port());
  const std::int32_t stream = client.begin("GET", "/");
  ASSERT_TRUE(client.until([&] { return client.of(stream).body == "01234"; }));
  remora.wish("a", "maint");
  const Http2Peer::Response& response = client.finish(stream);
  constexpr std::uint32_t cancel = 8;
  EXPECT_EQ(response.reset, cancel);
  EXPECT_FALSE(response.ended);
}

}  // namespace
}  // namespace remora::test
