// What backends may answer: lies, fragments, and the unusual but legal. A malformed response is a 502, or
// visibly broken once begun; its connection is never used again; no byte of one answer reaches another
// client.

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "support/remora.h"

namespace remora::test {
namespace {

struct Case {
  const char* name;
  std::string bytes;      // what the backend sends, then it closes
  int status;             // what the client gets
  std::string body = "";  // expected when complete
  bool complete = true;   // false: visibly broken
  const char* request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
};

std::vector<Case> cases() {
  const char* head_request = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
  return {
      {"ContentLength", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"},
      {"UntilClose", "HTTP/1.1 200 OK\r\n\r\nhi", 200, "hi"},
      {"UntilCloseInHttp10", "HTTP/1.0 200 OK\r\n\r\nhi", 200, "hi"},
      {"Chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200, "hi"},
      {"ChunkedWithExtension",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\n\r\n", 200, "hi"},
      {"NoReason", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi", 200, "hi"},
      {"NoReasonAndNoSpace", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"},
      {"EmptyBody", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""},
      {"NoContent", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
      // RFC 9112 6.3 (1): they end with their heads, whatever these say (expressjs/cors #121).
      {"ZeroLengthWith204", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, ""},
      {"LengthWith204", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", 204, ""},
      {"TwoLengthsWith204", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 204,
       ""},
      {"ChunkedWith204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
       204, ""},
      {"ChunkedWith304", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 304, ""},
      {"LengthAndChunkedWithHead",
       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", true,
       head_request},
      {"LengthWith103",
       "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
       103},
      {"ResetWithoutLength", "HTTP/1.1 205 Reset Content\r\n\r\n", 205, ""},
      // Old Tomcats (iipc/jwarc #33)
      {"PaddedChunkSizes", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2   \r\nhi\r\n0   \r\n\r\n",
       200, "hi"},
      {"NotModifiedWithLength", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, ""},
      {"HeadWithLength", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 200, "", true, head_request},
      {"HeadChunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", true, head_request},
      {"UnknownStatus", "HTTP/1.1 299 Fine\r\nContent-Length: 2\r\n\r\nhi", 299, "hi"},
      {"EarlyHintsThenFinal",
       "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 103},
      {"UnknownFieldsPass", "HTTP/1.1 200 OK\r\nX-A: \xe9\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"},

      {"Nothing", "", 502},
      {"NoHttp", "hello\r\n\r\n", 502},
      {"HalfAHead", "HTTP/1.1 200 OK\r\nContent-Le", 502},
      {"StatusTooSmall", "HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n", 502},
      {"StatusTooLarge", "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", 502},
      {"StatusOfTwoDigits", "HTTP/1.1 20 X\r\nContent-Length: 0\r\n\r\n", 502},
      {"StatusOfFourDigits", "HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n", 502},
      {"OtherVersion", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", 502},
      {"BareLf", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 502},
      {"FoldedField", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", 502},
      {"BareCr", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nhi", 502},
      {"NulInField", bytes("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nhi"), 502},
      {"SpaceBeforeColon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi", 502},
      {"LengthAndChunked",
       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 502},
      {"TwoLengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", 502},
      {"LengthList", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi", 502},
      {"BadLength", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhi", 502},
      {"UnknownCoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 502},
      {"ChunkedInHttp10", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 502},
      {"UnaskedUpgrade", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
       502},
      {"EndlessHead", "HTTP/1.1 200 OK\r\nX: " + std::string(100000, 'a') + "\r\n\r\n", 502},

      {"LengthTooLong", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", 200, "", false},
      {"ChunkCut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi", 200, "", false},
      {"LastChunkMissing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", 200, "",
       false},
      {"BadChunkSize", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nx\r\n", 200, "",
       false},
      {"TrailersCut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n", 200,
       "", false},
      // RFC 9110 6.5.1: ignored, and the answer is complete.
      {"ForbiddenTrailer",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nContent-Length: 1\r\n\r\n", 200,
       "hi"},
      {"AnnouncedForbiddenTrailer",
       "HTTP/1.1 200 OK\r\nTrailer: Set-Cookie\r\nTransfer-Encoding: "
       "chunked\r\n\r\n2\r\nhi\r\n0\r\nSet-Cookie: "
       "a=b\r\n\r\n",
       200, "hi"},
  };
}

class RawResponse : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    origin_ = new Origin([](Socket& s) {
      if (s.receive_head().empty()) return;
      std::string bytes;
      {
        const std::lock_guard lock(mutex_);
        bytes = answer_;
      }
      s.send(bytes);
      s.shutdown_send();
      s.closed_by_peer(500ms);
    });
    // No idle connections: the origin ends each one, and a single attempt may not meet one that is just
    // ending.
    remora_ =
        new Remora(simple_config({origin_->address()}, "failover: {attempts: 1}\nidle_connections: 0\n"));
  }
  static void TearDownTestSuite() {
    delete remora_;
    delete origin_;
  }
  static void answer_with(const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    answer_ = bytes;
  }
  static inline Origin* origin_;
  static inline Remora* remora_;
  static inline std::mutex mutex_;
  static inline std::string answer_;
};

TEST_P(RawResponse, ReachesTheClientAsItShould) {
  const Case& c = GetParam();
  answer_with(c.bytes);
  Socket s = remora_->connect();
  s.send(c.request);
  const Reply r = s.receive_reply(std::string_view(c.request).substr(0, 4) == "HEAD");
  EXPECT_EQ(r.status, c.status);
  EXPECT_EQ(r.complete, c.complete);
  if (c.complete && c.status < 400) {
    EXPECT_EQ(r.body, c.body);
  }
  if (!c.complete) {
    EXPECT_TRUE(s.closed_by_peer());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RawResponse, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(RawResponse, BytesBehindAResponseNeverReachAnyone) {
  answer_with(
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
  Socket s = remora_->connect();
  for (int i = 0; i < 5; ++i) {
    s.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(s.receive_reply().body, "hi");
  }
}

/// The rest of what should not have come at all, a moment after the head: it must not begin another answer.
TEST(BodilessResponses, BytesThatFollowThemLateReachNobody) {
  struct Lie {
    const char *head, *late;
  };
  for (const Lie& lie : {Lie{"HTTP/1.1 204 X\r\nContent-Length: 40\r\n\r\n",
                             "HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\npoison"},
                         Lie{"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"},
                         Lie{"HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"},
                         Lie{"HTTP/1.1 204 X\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n", "hello"}}) {
    std::atomic<bool> asked_again{false};
    Origin origin([&](Socket& s) {
      for (std::string head; !(head = s.receive_head()).empty();) {
        if (head.starts_with("GET /lie")) {
          s.send(lie.head);
          // Until the next request is on its way, or this connection is given up.
          eventually([&] { return asked_again || s.closed_by_peer(0ms); });
          s.send(lie.late);
        } else {
          asked_again = true;
          s.send(ok("fine"));
        }
      }
    });
    Remora remora(simple_config({origin.address()}, "failover: {attempts: 1}\n"));
    Socket s = remora.connect();
    s.send(get("/lie"));
    const Reply first = s.receive_reply();
    EXPECT_EQ(first.field("Content-Length"), "") << lie.head;
    s.send(get("/next"));  // on the client's connection, which stays
    const Reply second = s.receive_reply();
    EXPECT_EQ(second.status, 200) << lie.head;
    EXPECT_EQ(second.body, "fine") << lie.head;
    asked_again = true;
  }
}

/// What CORS middleware answers preflights with: both connections stay.
TEST(BodilessResponses, WithALengthOfZeroKeepTheirConnections) {
  Origin origin(answering([](const std::string& head, const std::string&) {
    return head.starts_with("OPTIONS")
               ? "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\n\r\n"
               : ok("page");
  }));
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  for (int i = 0; i < 3; ++i) {
    s.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nAccess-Control-Request-Method: PUT\r\n\r\n");
    const Reply preflight = s.receive_reply();
    EXPECT_EQ(preflight.status, 204);
    EXPECT_EQ(preflight.field("Access-Control-Allow-Origin"), "*");
    EXPECT_EQ(preflight.count("Content-Length"), 0);
    s.send(get("/"));
    EXPECT_EQ(s.receive_reply().body, "page");
  }
  EXPECT_EQ(origin.connections(), 1);
}

TEST_F(RawResponse, AnEmptyResetSaysSo) {
  answer_with("HTTP/1.1 205 Reset Content\r\n\r\n");
  Socket s = remora_->connect();
  for (int i = 0; i < 2; ++i) {
    s.send(get("/"));
    const Reply r = s.receive_reply();
    EXPECT_EQ(r.status, 205);
    EXPECT_EQ(r.field("Content-Length"), "0");
  }
}

TEST_F(RawResponse, ADateIsAddedOnlyWhenItIsMissing) {
  answer_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(remora_->ask(get("/")).field("Date").size(), 29U);
  answer_with("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(remora_->ask(get("/")).field("Date"), "Thu, 01 Jan 2026 00:00:00 GMT");
}

TEST_F(RawResponse, UntilCloseBecomesChunkedForHttp11AndStaysForHttp10) {
  answer_with("HTTP/1.1 200 OK\r\n\r\nhi");
  Socket s = remora_->connect();
  s.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const Reply r = s.receive_reply();
  EXPECT_EQ(r.field("Transfer-Encoding"), "chunked");
  EXPECT_EQ(r.body, "hi");
  const Reply old = remora_->ask("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.field("Transfer-Encoding"), "");
  EXPECT_EQ(old.body, "hi");
}

// Streaming -----------------------------------------------------------------------------------------

TEST(Streaming, TrailersPassBothWays) {
  std::mutex mutex;
  std::string seen;
  Origin origin([&](Socket& s) {
    const std::string all = s.receive_until("X-Request-Sum: 7\r\n\r\n");
    {
      const std::lock_guard lock(mutex);
      seen = all;
    }
    s.send(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: "
        "9\r\nRemora-State: x\r\n\r\n");
    s.closed_by_peer();
  });
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  s.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: "
      "chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Request-Sum: 7\r\n\r\n");
  const Reply r = s.receive_reply();
  EXPECT_EQ(r.trailers, "X-Sum: 9\r\n");  // Remora-* is stripped, in trailers too
  EXPECT_EQ(r.field("Trailer"), "X-Sum");
  const std::lock_guard lock(mutex);
  EXPECT_NE(seen.find("TE: trailers\r\n"), std::string::npos);
}

TEST(Streaming, ContinueIsEndToEnd) {
  Origin origin([](Socket& s) {
    const std::string head = s.receive_head();
    EXPECT_EQ(field_of(head, "Expect"), "100-continue");
    EXPECT_EQ(s.buffer(), "");
    s.send("HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(s.receive_exactly(5), "hello");
    s.send(ok("thanks"));
    s.closed_by_peer();
  });
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(s.receive_reply().status, 100);
  s.send("hello");
  EXPECT_EQ(s.receive_reply().body, "thanks");
}

TEST(Streaming, AFinalAnswerInsteadOfContinueEndsTheConnection) {
  Origin origin([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
    s.closed_by_peer();
  });
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(s.receive_reply().status, 401);
  s.shutdown_send();
  EXPECT_TRUE(s.closed_by_peer());
}

TEST(Streaming, EachChunkIsPassedOnAsItComes) {
  std::atomic<bool> seen{false};
  Origin waits([&](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    eventually(
        [&] { return seen || s.closed_by_peer(0ms); });  // no more before the client has the first chunk
    s.send("1\r\nb\r\n0\r\n\r\n");
    s.closed_by_peer();
  });
  Remora remora(simple_config({waits.address()}));
  Socket s = remora.connect();
  s.send(get("/"));
  s.receive_head();
  EXPECT_EQ(s.receive_until("a\r\n"), "1\r\na\r\n");
  seen = true;
  EXPECT_EQ(s.receive_until("0\r\n\r\n"), "1\r\nb\r\n0\r\n\r\n");
}

TEST(Streaming, AnEarlyAnswerIsDeliveredWhileTheRequestIsStillComing) {
  Origin origin([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    s.shutdown_send();
    s.receive_all();
  });
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhello");
  EXPECT_EQ(s.receive_reply().status, 413);
}

TEST(Streaming, LargeBodiesArriveWholeBothWays) {
  std::string body(3'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 + i / 7919);
  Origin origin(answering([](const std::string&, const std::string& b) { return ok(b); }));
  Remora remora(simple_config({origin.address()}));
  for (const bool chunked : {false, true}) {
    Socket s = remora.connect();
    std::thread sender([&] {
      if (!chunked) {
        s.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
               body);
        return;
      }
      s.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (std::size_t at = 0, n = 1; at < body.size(); at += n, n = (n * 7) % 50000 + 1) {
        n = std::min(n, body.size() - at);
        char size[20];
        std::snprintf(size, sizeof size, "%zx\r\n", n);
        s.send(size + body.substr(at, n) + "\r\n");
      }
      s.send("0\r\n\r\n");
    });
    const Reply r = s.receive_reply();
    sender.join();
    EXPECT_EQ(r.status, 200);
    EXPECT_TRUE(r.body == body);
  }
}

// Long bodies ---------------------------------------------------------------------------------------

/// Heads are read alone and the bodies behind them spliced (from the second one on); nothing may overtake
/// what the client's full socket did not take yet.
TEST(LongBodies, ArriveInOrderAtAClientThatDoesNotReadForAWhile) {
  const auto body = [](int n) {
    std::string text;
    while (text.size() < 64 * 1024 + static_cast<std::size_t>(n) * 1111)
      text += std::to_string(n) + ":" + std::to_string(text.size()) + " ";
    return text;
  };
  Origin a(answering(
      [&](const std::string& head, const std::string&) { return ok(body(std::atoi(head.c_str() + 5))); }));
  Remora remora(simple_config({a.address()}));
  Socket s = remora.connect();
  constexpr int requests = 60;
  std::string all;
  for (int i = 0; i < requests; ++i) all += get("/" + std::to_string(i));
  s.send(all);
  std::this_thread::sleep_for(300ms);  // until both sockets are full
  for (int i = 0; i < requests; ++i) {
    const Reply r = s.receive_reply();
    ASSERT_EQ(r.status, 200) << i;
    ASSERT_TRUE(r.body == body(i)) << i;
    if (i % 7 == 0) std::this_thread::sleep_for(10ms);
  }
}

/// The head and the first bytes wait for the client while what is behind them lies in the pipe already. It
/// was filled once more, and what had been forgotten in it began the response of whoever got the pipe next
/// (found by chaos). Each client's socket is full at some moment; for some of them just before a long body.
TEST(LongBodies, ArriveWholeWhenTheirHeadsHadToWaitForTheClient) {
  const auto body = [](int n) {
    const std::size_t size = n % 2 == 1 ? 120'000 : 30'000;
    std::string text;
    while (text.size() < size) text += std::to_string(n) + ":" + std::to_string(text.size()) + " ";
    return text;
  };
  // On a new connection each, and in two parts: the first comes with its head, the second fills the pipe.
  Origin a([&](Socket& s) {
    const std::string head = s.receive_head();
    const std::string all = ok(body(std::atoi(head.c_str() + 5)), "Connection: close\r\n");
    s.send(std::string_view(all).substr(0, 50'000));
    if (all.size() < 50'000) return;
    std::this_thread::sleep_for(5ms);
    s.send(std::string_view(all).substr(50'000));
  });
  Remora remora(simple_config({a.address()}));
  constexpr int clients = 20, requests = 100;
  std::vector<Socket> sockets;
  for (int c = 0; c < clients; ++c) {
    sockets.push_back(remora.connect());
    std::string all;
    for (int i = 0; i < requests; ++i) all += get("/" + std::to_string(i));
    sockets.back().send(all);
  }
  std::this_thread::sleep_for(500ms);  // until all sockets are full
  for (Socket& s : sockets)
    for (int i = 0; i < requests; ++i) {
      const Reply r = s.receive_reply();
      ASSERT_EQ(r.status, 200) << i;
      ASSERT_TRUE(r.body == body(i)) << i;
    }
}

// Upgrade -------------------------------------------------------------------------------------------

const std::string upgrade_request =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

Origin::Script echoing_tunnel() {
  return [](Socket& s) {
    const std::string head = s.receive_head();
    EXPECT_EQ(field_of(head, "Upgrade"), "websocket");
    EXPECT_EQ(field_of(head, "Connection"), "upgrade");
    s.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-X: "
        "y\r\n\r\nfirst");
    while (s.receive_some()) s.send(std::exchange(s.buffer(), {}));
    s.send("bye");
  };
}

TEST(Tunnel, CarriesBytesBothWaysAndHalfCloses) {
  Origin origin(echoing_tunnel());
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  s.send(upgrade_request + "early");
  const std::string head = s.receive_head();
  EXPECT_EQ(head.substr(0, 12), "HTTP/1.1 101");
  EXPECT_EQ(field_of(head, "Upgrade"), "websocket");
  EXPECT_EQ(field_of(head, "Sec-X"), "y");
  EXPECT_EQ(s.receive_exactly(10), "firstearly");
  const std::string block(200'000, 'z');
  std::thread sender([&] { s.send(block); });
  EXPECT_TRUE(s.receive_exactly(block.size()) == block);
  sender.join();
  s.shutdown_send();
  EXPECT_EQ(s.receive_all(), "bye");
}

/// The end raises no event of its own when it comes together with the last bytes.
TEST(Tunnel, AnEndThatComesWithTheLastBytesIsPassedOn) {
  Origin a([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    const std::string all = s.receive_all();  // until the client's end
    s.send("got " + all);
  });
  Remora remora(simple_config({a.address()}));
  for (int i = 0; i < 20; ++i) {
    Socket s = remora.connect();
    s.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    ASSERT_NE(s.receive_head().find(" 101 "), std::string::npos);
    s.send("some");
    s.send("thing");
    s.shutdown_send();
    ASSERT_EQ(s.receive_all(), "got something");
  }
}

/// The head gave its place to the tunnel's bytes: what users said to each other stood in the access log.
TEST(Tunnel, WhatPassesThroughDoesNotReachTheLogAndTheRequestDoes) {
  Origin a([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    for (std::string m = s.receive_exactly(600); m.size() == 600; m = s.receive_exactly(600)) s.send(m);
  });
  Remora remora(simple_config({a.address()}, "", "", "log: {access: {format: combined}}\n"));
  std::string secret;
  while (secret.size() < 600) secret += "secret";
  Socket s = remora.connect();
  s.send(
      "GET /chat HTTP/1.1\r\nHost: talk.example\r\nUser-Agent: tester\r\nConnection: Upgrade\r\n"
      "Upgrade: websocket\r\n\r\n" +
      secret);
  ASSERT_NE(s.receive_head().find(" 101 "), std::string::npos);
  ASSERT_EQ(s.receive_exactly(600), secret);
  for (int i = 0; i < 3; ++i) {
    s.send(secret);
    ASSERT_EQ(s.receive_exactly(600), secret);
  }
  s.close();
  EXPECT_TRUE(remora.wait_for_log("\"GET /chat HTTP/1.1\" 101 2400 \"-\" \"tester\" host=\"talk.example\""))
      << remora.log();
  EXPECT_EQ(remora.log().find("secret"), std::string::npos) << remora.log();
}

TEST(Tunnel, ARefusedUpgradeIsAnOrdinaryResponse) {
  Origin origin(answering([](const std::string&, const std::string&) { return ok("no"); }));
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  s.send(upgrade_request);
  EXPECT_EQ(s.receive_reply().body, "no");
  s.send(get("/"));
  EXPECT_EQ(s.receive_reply().body, "no");
}

TEST(Tunnel, AClosedBackendClosesTheClient) {
  Origin origin([](Socket& s) {
    s.receive_head();
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    s.close_with_reset();
  });
  Remora remora(simple_config({origin.address()}));
  Socket s = remora.connect();
  s.send(upgrade_request);
  s.receive_head();
  EXPECT_TRUE(s.closed_by_peer());
}

}  // namespace
}  // namespace remora::test
