// URLs that are fetched from, taken apart; and a fetch: its time limit, and what it takes for an answer.

#include "net/fetch.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "net/tls.h"
#include "support/manual_loop.h"
#include "support/unix_listener.h"

namespace remora {
namespace {

TEST(FetchUrl, IsTakenApart) {
  const auto u = parse_fetch_url("https://id.example.com/keys.json?v=1");
  ASSERT_TRUE(u);
  EXPECT_TRUE(u->secure);
  EXPECT_EQ(u->host, "id.example.com");
  EXPECT_EQ(u->port, 443);
  EXPECT_EQ(u->authority, "id.example.com");
  EXPECT_EQ(u->path, "/keys.json?v=1");
  const auto v6 = parse_fetch_url("http://[::1]:8080");
  ASSERT_TRUE(v6);
  EXPECT_FALSE(v6->secure);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 8080);
  EXPECT_EQ(v6->authority, "[::1]:8080");
  EXPECT_EQ(v6->path, "/");
}

TEST(FetchUrl, WhatIsNoneOrCarriesSecretsIsRefused) {
  for (const char* bad : {"", "/keys", "keys", "ftp://x/", "https://", "https:///keys",
                          "https://user:password@x/", "https://x/#a", "https://x:0/", "https://x:99999/",
                          "https://x y/", "https://x/\r\nHost: y", "file:///etc/passwd"})
    EXPECT_FALSE(parse_fetch_url(bad)) << bad;
}

std::string with_length(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Time limits ---------------------------------------------------------------------------------------

using namespace std::chrono_literals;

class Fetching : public ::testing::Test {
 protected:
  ~Fetching() override {
    wake->set(EventFlags::stop);
    loop.settle();
  }
  void fetch_from(std::vector<Endpoint> endpoints, std::chrono::milliseconds limit,
                  std::shared_ptr<const ClientTls> tls = nullptr) {
    FetchUrl url;
    url.server_name = url.authority = "keys.test";
    url.path = "/keys";
    asio::co_spawn(loop.ctx.get_executor(),
                   fetch(loop, wake, url, std::move(endpoints), std::move(tls), limit, 1000),
                   [this](const std::exception_ptr&, Fetched f) { fetched = std::move(f); });
    loop.settle();
  }
  bool ended() const { return fetched.has_value(); }
  bool failed() const { return ended() && !fetched->error.empty(); }

  test::ManualLoop loop;
  test::UnixListener server, other;
  std::shared_ptr<EventFlags> wake = std::make_shared<EventFlags>(loop.wheel);
  std::optional<Fetched> fetched;
};

TEST_F(Fetching, AnAnswerThatComesInTimeIsTaken) {
  fetch_from({server.endpoint()}, 4s);
  test::Accepted connection = server.accept();
  ASSERT_TRUE(connection);
  EXPECT_TRUE(connection.received().starts_with("GET /keys HTTP/1.1\r\n"));
  loop.advance(3900ms);
  EXPECT_FALSE(ended());
  connection.send(with_length("keys"));
  loop.settle();
  ASSERT_TRUE(ended());
  EXPECT_EQ(fetched->error, "");
  EXPECT_EQ(fetched->body, "keys");
  EXPECT_TRUE(connection.ended());
}

TEST_F(Fetching, OnlyAWhole200IsAnAnswer) {
  for (const char* bad :
       {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"}) {
    fetched.reset();
    fetch_from({server.endpoint()}, 4s);
    test::Accepted connection = server.accept();
    ASSERT_TRUE(connection) << bad;
    connection.send(bad);
    connection.received();
    connection.close();
    loop.settle();
    EXPECT_TRUE(failed()) << bad;
  }
}

TEST_F(Fetching, ADocumentThatIsTooLargeIsRefused) {
  fetch_from({server.endpoint()}, 4s);
  test::Accepted connection = server.accept();
  connection.send(with_length(std::string(1001, 'x')));
  loop.settle();
  EXPECT_TRUE(failed());
}

TEST_F(Fetching, AServerThatSaysNothingCostsTheLimit) {
  fetch_from({server.endpoint()}, 4s);
  test::Accepted connection = server.accept();
  loop.advance(3990ms);
  EXPECT_FALSE(ended());
  loop.advance(20ms);
  EXPECT_TRUE(failed());
}

TEST_F(Fetching, AServerThatDribblesGetsNoMoreTime) {
  fetch_from({server.endpoint()}, 4s);
  test::Accepted connection = server.accept();
  connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  for (int i = 0; i < 39; ++i) {
    loop.advance(100ms);
    connection.send("x");
  }
  EXPECT_FALSE(ended());
  loop.advance(110ms);
  EXPECT_TRUE(failed());
}

TEST_F(Fetching, AnAddressThatSaysNothingLeavesTimeForTheNext) {
  fetch_from({server.endpoint(), other.endpoint()}, 4s);
  test::Accepted mute = server.accept();
  loop.advance(2990ms);
  EXPECT_FALSE(other.accept());
  loop.advance(20ms);
  test::Accepted next = other.accept();
  ASSERT_TRUE(next);
  mute.received();
  EXPECT_TRUE(mute.ended());
  next.send(with_length("keys"));
  loop.settle();
  ASSERT_TRUE(ended());
  EXPECT_EQ(fetched->body, "keys");
}

TEST_F(Fetching, AHandshakeHasItsShareOfTheTime) {
  std::string why;
  const auto tls = ClientTls::load({}, why);
  ASSERT_TRUE(tls) << why;
  fetch_from({server.endpoint(), other.endpoint()}, 4s, tls);
  test::Accepted mute = server.accept();
  loop.advance(1990ms);
  EXPECT_FALSE(other.accept());
  loop.advance(20ms);
  EXPECT_TRUE(other.accept());
}

TEST_F(Fetching, IsStoppedAtOnce) {
  fetch_from({server.endpoint()}, 4s);
  wake->set(EventFlags::stop);
  loop.settle();
  EXPECT_TRUE(failed());
}

}  // namespace
}  // namespace remora
