// Seeded mutations of requests and responses against the real binary: it survives, and an honest exchange
// between any two of them is answered as if nothing had happened. The seeds are fixed, so a failure repeats.

#include <gtest/gtest.h>

#include <mutex>
#include <random>

#include "support/remora.h"

namespace remora::test {
namespace {

std::string mutate(std::string s, std::mt19937& random) {
  static const std::vector<std::string> words{"\r\n",
                                              "\n",
                                              "\r",
                                              ":",
                                              " ",
                                              "\t",
                                              std::string(1, '\0'),
                                              "chunked",
                                              "Transfer-Encoding: chunked\r\n",
                                              "Content-Length: 5\r\n",
                                              "Host: a\r\n",
                                              "0\r\n\r\n",
                                              "ffffffff\r\n",
                                              ";",
                                              ",",
                                              "HTTP/1.1",
                                              "HTTP/1.0",
                                              "100",
                                              "Connection: close\r\n",
                                              "%",
                                              "Expect: 100-continue\r\n"};
  for (int n = static_cast<int>(random() % 4) + 1; n > 0 && !s.empty(); --n) {
    const std::size_t at = random() % s.size();
    switch (random() % 6) {
      case 0:
        s[at] = static_cast<char>(random());
        break;
      case 1:
        s.erase(at, random() % 8 + 1);
        break;
      case 2:
        s.insert(at, words[random() % words.size()]);
        break;
      case 3:
        s.insert(at, s.substr(random() % s.size(), random() % 40));
        break;
      case 4:
        s.resize(at);
        break;
      default:
        std::swap(s[at], s[random() % s.size()]);
        break;
    }
  }
  return s;
}

const std::vector<std::string> requests{
    get("/a?b=c", "Cookie: x=y; remora-app=abc\r\nAccept: */*\r\n"),
    "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: "
    "trailers\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "GET http://a/x HTTP/1.1\r\nHost: a\r\nConnection: X, upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\n",
    "HEAD / HTTP/1.0\r\n\r\n",
    "PUT /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi" + get("/next"),
};

const std::vector<std::string> responses{
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\nuntil the end",
};

constexpr int rounds = 3000;

TEST(Fuzz, MutatedRequestsHarmNobody) {
  Origin origin(answering([](const std::string&, const std::string&) { return ok("fine"); }));
  Remora remora(simple_config({origin.address()}, "affinity: cookie\ntimeouts: {response: 2s}\n",
                              "timeouts: {header: 1s, body: 1s}\n"));
  std::mt19937 random(20260101);
  Socket canary = remora.connect();
  for (int i = 0; i < rounds; ++i) {
    Socket s = remora.connect();
    ASSERT_GE(s.fd(), 0) << "round " << i;
    s.send(mutate(requests[random() % requests.size()], random));
    s.shutdown_send();
    s.receive_some(5ms);
    if (i % 50 != 0) continue;
    canary.send(get("/canary"));
    const Reply r = canary.receive_reply();
    ASSERT_EQ(r.status, 200) << "round " << i;
    ASSERT_EQ(r.body, "fine");
  }
  EXPECT_EQ(remora.stop(), 0);
}

TEST(Fuzz, MutatedResponsesNeverReachAnotherClient) {
  std::mt19937 random(20260102);
  std::mutex mutex;
  Origin origin([&](Socket& s) {
    for (std::string head; !(head = s.receive_head()).empty();) {
      if (head.find("/canary") != std::string::npos) {
        s.send(ok("canary"));
        continue;
      }
      std::string answer;
      {
        const std::lock_guard lock(mutex);
        answer = mutate(responses[random() % responses.size()], random);
      }
      if (!s.send(answer)) return;
      if (answer.size() % 3 == 0) return;
    }
  });
  Remora remora(simple_config({origin.address()},
                              "timeouts: {response: 100ms, read: 100ms}\nfailover: {attempts: 3, retry_on: "
                              "[connect, refused, reset]}\n"));
  Socket canary;
  for (int i = 0; i < rounds / 5; ++i) {
    Socket s = remora.connect();
    s.send(get("/fuzz"));
    s.receive_some(150ms);
    if (canary.fd() < 0) canary = remora.connect();
    canary.send(get("/canary"));
    const Reply r = canary.receive_reply();
    ASSERT_EQ(r.status, 200) << "round " << i << r.head;
    ASSERT_EQ(r.body, "canary");
    if (r.field("Connection") == "close") canary.close();
  }
  EXPECT_EQ(remora.stop(), 0);
}

}  // namespace
}  // namespace remora::test
