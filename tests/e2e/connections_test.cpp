// What belongs to a connection rather than to a request: half-closes, authentication of connections, how long
// an idle one may be used, PROXY lines of any length, and how probes take their leave.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "support/remora.h"

namespace remora::test {
namespace {

/// Idle connections are a worker's own.
std::string one_worker(std::string config) {
  return config.replace(config.find("workers: 2"), 10, "workers: 1");
}

// Half-closed connections ---------------------------------------------------------------------------

constexpr auto longer_than_any_grace = 1300ms;

/// RFC 9112 9.6: an end of what the client sends says that no other request follows, and nothing of the
/// answer (envoyproxy/envoy #2066; `printf .. | nc -N` in monitoring scripts, httpwg/http-core #22).
TEST(HalfClose, BehindARequestTheAnswerComesHoweverSlow) {
  Origin slow(answering([](const std::string& head, const std::string& body) {
    if (head.find("/slow") != std::string::npos) std::this_thread::sleep_for(longer_than_any_grace);
    return ok("served " + body);
  }));
  Remora remora(simple_config({slow.address()}));
  const std::string post = "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
  const std::string chunked =
      "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
  const std::string old = "GET /slow HTTP/1.0\r\n\r\n";
  std::vector<Socket> at_once, later;
  const std::string requests[] = {get("/slow"), post, chunked, old};
  for (const std::string& request : requests) {
    at_once.push_back(remora.connect());
    at_once.back().send(request);
    at_once.back().shutdown_send();  // the end comes with the request
    later.push_back(remora.connect());
    later.back().send(request);
  }
  ASSERT_TRUE(remora.backend_is(slow.address(), "in_flight", "8"));
  for (Socket& s : later) s.shutdown_send();  // it comes while the answer is awaited
  for (auto* clients : {&at_once, &later})
    for (Socket& s : *clients) {
      const Reply reply = s.receive_reply();
      EXPECT_EQ(reply.status, 200);
      EXPECT_EQ(reply.body.substr(0, 6), "served");
      EXPECT_TRUE(s.closed_by_peer());
      EXPECT_FALSE(s.was_reset());
    }
}

TEST(HalfClose, BehindPipelinedRequestsAllAreServed) {
  Origin slow(answering([](const std::string& head, const std::string&) {
    std::this_thread::sleep_for(150ms);
    return ok(head.substr(0, head.find(" HTTP")));
  }));
  Remora remora(simple_config({slow.address()}));
  Socket client = remora.connect();
  client.send(get("/1") + get("/2") + "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" +
              get("/4"));
  client.shutdown_send();
  for (const char* wanted : {"GET /1", "GET /2", "POST /3", "GET /4"})
    EXPECT_EQ(client.receive_reply().body, wanted);
  EXPECT_TRUE(client.closed_by_peer());
}

TEST(HalfClose, InLineForAPlaceItWaitsItsTurn) {
  Origin slow(says_name("a"));
  Remora remora(simple_config({"{id: a, address: " + slow.address() + ", max_in_flight: 1}"}));
  Socket first = remora.connect(), second = remora.connect();
  first.send(get("/slow"));
  ASSERT_TRUE(remora.backend_is("a", "in_flight", "1"));
  second.send(get("/slow"));
  second.shutdown_send();
  EXPECT_EQ(first.receive_reply().status, 200);
  EXPECT_EQ(second.receive_reply().status, 200);
}

TEST(HalfClose, DoesNotKeepARequestFromBeingRepeated) {
  Origin dead([](Socket& s) {
    s.receive_head();
    std::this_thread::sleep_for(100ms);
    s.close_with_reset();
  });
  Origin alive(says_name("alive"));
  Remora remora(simple_config({dead.address(), alive.address()}));
  for (int i = 0; i < 4; ++i) {
    Socket client = remora.connect();
    client.send(get("/"));
    client.shutdown_send();
    EXPECT_EQ(client.receive_reply().body, "alive");
  }
}

/// What ends before its body does is no request (RFC 9112 8).
TEST(HalfClose, InTheMiddleOfARequestEndsIt) {
  std::atomic<bool> whole{false}, released{false};
  Origin a([&](Socket& s) {
    s.receive_head();
    whole = s.receive_exactly(10).size() == 10;
    released = s.closed_by_peer();
  });
  Remora remora(simple_config({a.address()}));
  Socket client = remora.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  ASSERT_TRUE(remora.backend_is(a.address(), "in_flight", "1"));
  client.shutdown_send();
  EXPECT_TRUE(client.closed_by_peer() || client.receive_reply().status >= 400);
  EXPECT_TRUE(eventually([&] { return released.load(); }));
  EXPECT_FALSE(whole);
  Socket head = remora.connect();
  head.send("GET / HTT");
  head.shutdown_send();
  EXPECT_TRUE(head.closed_by_peer());
}

/// A reset is an abort, also after a half-close: nobody listens any more.
TEST(HalfClose, AResetAfterItReleasesTheBackend) {
  std::atomic<int> released{0};
  Origin silent([&](Socket& s) {
    s.receive_head();
    if (s.closed_by_peer()) ++released;
  });
  Remora remora(simple_config({silent.address()}));
  Socket apart = remora.connect(), together = remora.connect();
  apart.send(get("/"));
  together.send(get("/"));
  together.shutdown_send();
  ASSERT_TRUE(remora.backend_is(silent.address(), "in_flight", "2"));
  apart.shutdown_send();
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(released, 0);
  apart.close_with_reset();
  together.close_with_reset();
  EXPECT_TRUE(eventually([&] { return released == 2; }));
}

TEST(HalfClose, AClientThatVanishedIsGivenUpWithTheFirstWriteThatFails) {
  std::atomic<bool> released{false};
  Origin stream([&](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (int i = 0; i < 1000 && s.send("data: x\n\n"); ++i) std::this_thread::sleep_for(10ms);
    released = true;
  });
  Remora remora(simple_config({stream.address()}));
  Socket client = remora.connect();
  client.send(get("/"));
  EXPECT_NE(client.receive_head().find(" 200 "), std::string::npos);
  client.close();
  EXPECT_TRUE(eventually([&] { return released.load(); }));
}

TEST(HalfClose, InATunnelLeavesTheOtherDirectionAloneUntilAReset) {
  std::atomic<bool> ended{false}, over{false};
  Origin a([&](Socket& s) {
    const std::string head = s.receive_head();
    if (field_of(head, "Upgrade").empty()) {
      s.send(ok("free"));
      return;
    }
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    ended = s.closed_by_peer();  // the client's end
    std::this_thread::sleep_for(100ms);
    s.send("still here");
    eventually([&] { return over.load(); });  // nothing is sent: only the reset can tell
  });
  Remora remora(simple_config({"{id: a, address: " + a.address() + ", max_in_flight: 1}"}));
  Socket client = remora.connect();
  client.send(get("/", "Connection: upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_NE(client.receive_head().find(" 101 "), std::string::npos);
  client.shutdown_send();
  EXPECT_EQ(client.receive_exactly(10), "still here");
  EXPECT_TRUE(ended);
  client.close_with_reset();
  EXPECT_EQ(remora.ask(get("/")).body, "free");  // the only place is
  over = true;
}

// Authentication of connections ---------------------------------------------------------------------

/// A server that takes a connection for its user's, as IIS does: `leg1`, a challenge, `leg3 USER`; or at once
/// with `user=USER`. Counts the third legs that came over a connection without a first.
struct Iis {
  explicit Iis(std::string s) : scheme(std::move(s)) {}
  Origin::Script script() {
    return [this](Socket& s) {
      std::string user;
      for (bool challenged = false;;) {
        const std::string head = s.receive_head();
        if (head.empty()) return;
        s.receive_exactly(std::strtoul(field_of(head, "Content-Length").c_str(), nullptr, 10));
        const std::string said = field_of(head, "Authorization");
        if (said == scheme + " leg1") {
          challenged = true;
          s.send(refuse(scheme + " dG9rZW4="));
          if (die_after_challenge) return;
          continue;
        }
        if (const std::string third = scheme + " leg3 "; said.rfind(third, 0) == 0) {
          if (!challenged) ++strays;
          if (die_at_third) return s.close_with_reset();
          if (challenged) user = said.substr(third.size());
        }
        if (const std::string once = scheme + " user="; said.rfind(once, 0) == 0)
          user = said.substr(once.size());
        closes = closes + count_of(head, "Connection");
        s.send(user.empty() ? refuse("Basic realm=\"a, NTLM\", " + scheme) : ok(user));
        if (hang_up_when_served && !user.empty()) return;
      }
    };
  }
  static std::string refuse(const std::string& challenge) {
    return "HTTP/1.1 401 No\r\nWWW-Authenticate: " + challenge + "\r\nContent-Length: 2\r\n\r\nno";
  }
  const std::string scheme;
  std::atomic<bool> die_after_challenge{false}, die_at_third{false}, hang_up_when_served{false};
  std::atomic<int> strays{0}, closes{0};
};

struct User {
  User(const Remora& remora, std::string s, std::string n)
      : socket(remora.connect()), scheme(std::move(s)), name(std::move(n)) {}
  Reply ask(const std::string& credentials = "", const std::string& more = "") {
    socket.send(get(
        "/", (credentials.empty() ? "" : "Authorization: " + scheme + " " + credentials + "\r\n") + more));
    return socket.receive_reply();
  }
  /// The whole handshake; the body of the last answer.
  std::string log_in() {
    EXPECT_EQ(ask().status, 401);
    EXPECT_EQ(ask("leg1").field("WWW-Authenticate"), scheme + " dG9rZW4=");
    return ask("leg3 " + name).body;
  }
  Socket socket;
  std::string scheme, name;
};

class ConnectionAuthBy : public testing::TestWithParam<const char*> {};

/// haproxy/haproxy #581 "User substitution during authentication using NTLM protocol",
/// einfallstoll/express-ntlm #95 ("user1 get user2 response"); RFC 4559 6.
TEST_P(ConnectionAuthBy, AnAuthenticatedConnectionServesItsClientAlone) {
  Iis iis(GetParam());
  Origin a(iis.script());
  Remora remora(simple_config({a.address()}));
  for (int round = 0; round < 5; ++round) {
    User anna(remora, iis.scheme, "anna"), berta(remora, iis.scheme, "berta"),
        carl(remora, iis.scheme, "carl"), stranger(remora, iis.scheme, "");
    EXPECT_EQ(anna.ask().status, 401);
    EXPECT_EQ(berta.ask().status, 401);
    EXPECT_EQ(anna.ask("leg1").status, 401);
    EXPECT_EQ(stranger.ask().status, 401);
    EXPECT_EQ(berta.ask("leg1").status, 401);
    EXPECT_EQ(carl.ask("user=carl").body, "carl");
    EXPECT_EQ(anna.ask("leg3 anna").body, "anna");
    EXPECT_EQ(stranger.ask().status, 401);
    EXPECT_EQ(berta.ask("leg3 berta").body, "berta");
    for (User* u : {&anna, &carl, &berta}) EXPECT_EQ(u->ask().body, u->name);
    EXPECT_EQ(stranger.ask().status, 401);
  }
  EXPECT_EQ(remora.ask(get("/")).status, 401);  // nothing of them stays
  EXPECT_EQ(iis.strays, 0);
}

TEST_P(ConnectionAuthBy, WithoutSessionsAllLegsReachOneBackend) {
  Iis iis(GetParam());
  Origin a(iis.script()), b(iis.script()), c(iis.script());
  Remora remora(simple_config({a.address(), b.address(), c.address()}, "balance: round_robin\n"));
  std::vector<std::unique_ptr<User>> users;
  for (int i = 0; i < 9; ++i)
    users.push_back(std::make_unique<User>(remora, iis.scheme, "user" + std::to_string(i)));
  for (auto& u : users) EXPECT_EQ(u->ask("leg1").status, 401);
  for (auto& u : users) EXPECT_EQ(u->ask("leg3 " + u->name).body, u->name);
  std::this_thread::sleep_for(1200ms);  // what is idle is put to rest
  for (auto& u : users) EXPECT_EQ(u->ask().body, u->name);
  EXPECT_EQ(iis.strays, 0);
}

INSTANTIATE_TEST_SUITE_P(Schemes, ConnectionAuthBy,
                         testing::Values("NTLM", "Negotiate", "negotiate", "Kerberos"));

TEST(ConnectionAuth, RequestsSentWithoutWaitingGoOverTheSameConnection) {
  Iis iis("NTLM");
  Origin a(iis.script());
  Remora remora(simple_config({a.address()}));
  User anna(remora, "NTLM", "anna");
  EXPECT_EQ(anna.ask("leg1").status, 401);
  anna.socket.send(get("/1", "Authorization: NTLM leg3 anna\r\n") + get("/2") + get("/3"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(anna.socket.receive_reply().body, "anna");
}

TEST(ConnectionAuth, ALegWhoseConnectionIsGoneReachesNoOther) {
  Iis iis("NTLM");
  Origin a(iis.script()), b(iis.script());
  Remora remora(simple_config({a.address(), b.address()}));
  iis.die_after_challenge = true;
  User anna(remora, "NTLM", "anna");
  EXPECT_EQ(anna.ask("leg1").status, 401);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(anna.ask("leg3 anna").status, 502);
  EXPECT_TRUE(anna.socket.closed_by_peer());  // it begins anew, on a new connection
  iis.die_after_challenge = false;
  iis.die_at_third = true;
  User berta(remora, "NTLM", "berta");
  EXPECT_EQ(berta.ask("leg1").status, 401);
  EXPECT_EQ(berta.ask("leg3 berta").status, 502);
  EXPECT_TRUE(berta.socket.closed_by_peer());
  EXPECT_EQ(iis.strays, 0);
  iis.die_at_third = false;
  User carl(remora, "NTLM", "carl");
  EXPECT_EQ(carl.log_in(), "carl");
}

/// A server that closes in mid-handshake tells its client so; ours hears it too.
TEST(ConnectionAuth, AChallengeThatClosesEndsTheClientsConnection) {
  std::atomic<int> thirds{0};
  Origin a([&](Socket& s) {
    if (s.receive_head().find(" leg3") != std::string::npos) ++thirds;
    s.send(
        "HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM dG9rZW4=\r\nConnection: close\r\nContent-Length: "
        "0\r\n\r\n");
  });
  Remora remora(simple_config({a.address()}));
  User anna(remora, "NTLM", "anna");
  const Reply challenge = anna.ask("leg1");
  EXPECT_EQ(challenge.status, 401);
  EXPECT_EQ(challenge.field("Connection"), "close");
  EXPECT_TRUE(anna.socket.closed_by_peer());
  EXPECT_EQ(thirds, 0);
}

TEST(ConnectionAuth, AConnectionThatItsServerClosedAfterwardsIsChallengedAnew) {
  Iis iis("Negotiate");
  Origin a(iis.script());
  Remora remora(simple_config({a.address()}));
  iis.hang_up_when_served = true;
  User anna(remora, "Negotiate", "anna");
  EXPECT_EQ(anna.log_in(), "anna");
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(anna.ask().status, 401);
  iis.hang_up_when_served = false;
  EXPECT_EQ(anna.log_in(), "anna");
}

TEST(ConnectionAuth, EndsWithItsClient) {
  std::atomic<bool> ended{false};
  Origin a([&](Socket& s) {
    s.receive_head();
    s.send(Iis::refuse("NTLM"));
    ended = s.closed_by_peer();
  });
  Remora remora(simple_config({a.address()}));
  Socket client = remora.connect();
  client.send(get("/"));
  EXPECT_EQ(client.receive_reply().status, 401);
  std::this_thread::sleep_for(700ms);  // asleep by now
  EXPECT_FALSE(ended);
  client.close();
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
}

/// Limits count requests, and a pool that keeps nothing idle still keeps what is its client's.
TEST(ConnectionAuth, WorksWithOnePlaceAndWithoutIdleConnections) {
  Iis iis("NTLM");
  Origin a(iis.script());
  Remora remora(
      simple_config({"{id: a, address: " + a.address() + ", max_in_flight: 1}"}, "idle_connections: 0\n"));
  User anna(remora, "NTLM", "anna"), berta(remora, "NTLM", "berta");
  EXPECT_EQ(anna.ask("leg1").status, 401);
  EXPECT_EQ(berta.ask("leg1").status, 401);
  EXPECT_EQ(anna.ask("leg3 anna").body, "anna");
  EXPECT_EQ(berta.ask("leg3 berta").body, "berta");
  EXPECT_EQ(anna.ask().body, "anna");
  EXPECT_EQ(iis.closes, 0);  // nor was the server told to close
}

/// A drain leaves handshakes that run alone.
TEST(ConnectionAuth, OutlivesADrainOfItsBackend) {
  Iis iis("NTLM");
  Origin a(iis.script()), b(iis.script());
  Remora remora(with_admin(simple_config(
      {"{id: a, address: " + a.address() + "}", "{id: b, address: " + b.address() + ", weight: 0}"}, "")));
  User anna(remora, "NTLM", "anna");
  EXPECT_EQ(anna.ask("leg1").status, 401);
  remora.wish("a", "drain");
  EXPECT_EQ(anna.ask("leg3 anna").body, "anna");
  EXPECT_EQ(iis.strays, 0);
}

/// Whoever stands in front may send several users' requests over one connection to us.
TEST(ConnectionAuth, OfOneUserBehindAProxyIsNotAnothers) {
  Iis iis("NTLM");
  Origin a(iis.script());
  Remora remora(simple_config({a.address()}, "", "trusted_proxies: [127.0.0.1]\n"));
  User front(remora, "NTLM", "");
  EXPECT_EQ(front.ask("user=anna", "X-Forwarded-For: 10.0.0.1\r\n").body, "anna");
  EXPECT_EQ(front.ask("", "X-Forwarded-For: 10.0.0.2\r\n").status, 401);
}

/// Two users of one office have one address, and a proxy may send both over one connection.
TEST(ConnectionAuth, OfOneUserBehindAProxyIsNotAnothersOfTheSameAddress) {
  Iis iis("NTLM");
  Origin a(iis.script());
  for (const std::string listener : {"trusted_proxies: [127.0.0.1]\n", ""}) {
    Remora remora(simple_config({a.address()}, "", listener));
    User front(remora, "NTLM", "");
    const std::string via = "X-Forwarded-For: 10.0.0.1\r\n";
    EXPECT_EQ(front.ask("user=anna", via).body, "anna");
    EXPECT_EQ(front.ask("", via).status, 401) << listener;
  }
}

TEST(ConnectionAuth, CredentialsOfARequestShareConnections) {
  Origin a(
      answering([](const std::string&, const std::string&) { return Iis::refuse("Basic realm=\"NTLM\""); }));
  Remora remora(one_worker(simple_config({a.address()})));
  for (const char* credentials : {"Basic eDp5", "Bearer abc", "Digest username=\"NTLM\""})
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(remora.ask(get("/", std::string("Authorization: ") + credentials + "\r\n")).status, 401);
  EXPECT_EQ(a.connections(), 1);
}

// Idle connections ----------------------------------------------------------------------------------

/// nodejs/node #20256, growthbook/growthbook-proxy PR #134: a request in the last moment of the time that the
/// server announced meets its close.
TEST(KeepAlive, WhatTheServerSaysIsHonored) {
  for (const auto& [said, connections] :
       std::initializer_list<std::pair<const char*, int>>{{"timeout=1", 3},
                                                          {"timeout=0", 3},
                                                          {"timeout=60, max=0", 3},
                                                          {"timeout=60, max=1", 1},
                                                          {"max=5", 1}}) {
    const std::string field = std::string("Keep-Alive: ") + said + "\r\n";
    Origin a(answering([&](const std::string&, const std::string&) { return ok("x", field); }));
    Remora remora(one_worker(simple_config({a.address()})));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(remora.ask(get("/")).status, 200);
    EXPECT_EQ(a.connections(), connections) << said;
  }
}

/// A server whose close crosses whatever comes after a second of silence.
TEST(KeepAlive, APostMeetsNoCloseThatIsOnItsWay) {
  for (const char* said : {"", "Keep-Alive: timeout=2\r\n"}) {
    std::atomic<int> runs{0};
    Origin closer([&](Socket& s) {
      for (auto last = std::chrono::steady_clock::now();;) {
        const std::string head = s.receive_head();
        if (head.empty()) return;
        if (runs > 0 && std::chrono::steady_clock::now() - last > 1s) return s.close_with_reset();
        s.receive_exactly(std::strtoul(field_of(head, "Content-Length").c_str(), nullptr, 10));
        ++runs;
        s.send(ok("x", said));
        last = std::chrono::steady_clock::now();
      }
    });
    Remora remora(one_worker(simple_config({closer.address()})));
    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    EXPECT_EQ(remora.ask(post).status, 200);
    std::this_thread::sleep_for(1100ms);
    EXPECT_EQ(remora.ask(post).status, 200) << said;
    std::this_thread::sleep_for(1100ms);
    EXPECT_EQ(remora.ask("PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").status, 200) << said;
    EXPECT_EQ(runs, 3);
  }
}

// PROXY lines ---------------------------------------------------------------------------------------

TEST(ProxyProtocol, LongHeadersAreSkippedHoweverTheyCome) {
  Origin a(answering(
      [](const std::string& head, const std::string&) { return ok(field_of(head, "X-Forwarded-For")); }));
  Remora remora(simple_config({a.address()}, "", "proxy_protocol: on\n"));
  const std::string addresses("\x05\x06\x07\x08\1\2\3\4\x11\x11\0\x50", 12);
  for (const std::size_t more : {0U, 3000U, 65535U - 12U}) {
    const std::size_t length = 12 + more;
    const std::string header = bytes("\r\n\r\n\0\r\nQUIT\n\x21\x11") + static_cast<char>(length >> 8) +
                               static_cast<char>(length & 0xff) + addresses + std::string(more, '\n');
    Socket whole = remora.connect();
    whole.send(header + get("/"));
    EXPECT_EQ(whole.receive_reply().body, "5.6.7.8") << more;
    Socket cut = remora.connect();
    for (const char c : header.substr(0, 40)) cut.send({&c, 1});
    for (std::size_t at = 40; at < header.size(); at += 10000) cut.send(header.substr(at, 10000));
    cut.send(get("/1") + get("/2"));
    EXPECT_EQ(cut.receive_reply().body, "5.6.7.8") << more;
    EXPECT_EQ(cut.receive_reply().body, "5.6.7.8") << more;
  }
  Socket mixed = remora.connect();
  mixed.send("PROXY TCP6 ::ffff:9.8.7.6 2001:db8::1 1 2\r\n" + get("/"));
  EXPECT_EQ(mixed.receive_reply().body, "9.8.7.6");
}

// Probes --------------------------------------------------------------------------------------------

/// yaoweibin/nginx_upstream_check_module #171: checks that close after the status line fill servers' logs.
TEST(ProbesEnd, WithoutAResetWhateverTheAnswer) {
  struct Server {
    Server(std::string n, std::string h, std::string b, bool waits)
        : name(std::move(n)), origin([this, h, b, waits](Socket& s) {
            s.receive_head();
            bool fine = s.send(h);
            std::this_thread::sleep_for(20ms);
            for (std::size_t at = 0; fine && at < b.size(); at += 16384) {
              fine = s.send(b.substr(at, 16384));
              std::this_thread::sleep_for(1ms);
            }
            if (waits) s.receive_all();  // does not close by itself
            if (!fine || s.was_reset()) ++errors;
            ++probes;
          }) {}
    const std::string name;
    std::atomic<int> probes{0}, errors{0};
    Origin origin;
  };
  const std::string big(300000, 'x');
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n";
  const std::string hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  Server servers[] = {{"length", length, big, true},
                      {"lf", "HTTP/1.0 200 OK\n\n", "ok", false},
                      {"closes", "HTTP/1.0 200 OK\r\n\r\n", big, false},
                      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                       "493e0\r\n" + big + "\r\n0\r\n\r\n", true},
                      {"interim", hints + length, big, true},
                      {"line", "HTTP/1.0 200 OK\r\n", "", false}};
  std::vector<std::string> backends;
  for (const Server& s : servers)
    backends.push_back("{id: " + s.name + ", address: " + s.origin.address() + "}");
  Remora remora(
      simple_config(backends, "health: {probe: {path: /, interval: 100ms, timeout: 2s, rise: 1}}\n"));
  for (const Server& s : servers) {
    EXPECT_TRUE(remora.goes(s.name, "up")) << s.name;
    EXPECT_TRUE(eventually([&] { return s.probes >= 3; })) << s.name;
    EXPECT_EQ(s.errors, 0) << s.name;
  }
}

}  // namespace
}  // namespace remora::test
