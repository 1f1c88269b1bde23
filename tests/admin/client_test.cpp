// The commands' client of the admin API.

#include "admin/client.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/unix_listener.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

/// Answers the next connection from another thread.
class Answering {
 public:
  Answering(test::UnixListener& server, std::string response)
      : thread_([this, &server, response = std::move(response)] {
          test::Accepted connection;
          for (int i = 0; !connection && i < 10'000'000; ++i, std::this_thread::yield())
            connection = server.accept();
          for (int i = 0; !request.ends_with("end") && i < 10'000'000; ++i, std::this_thread::yield())
            request += connection.received();
          connection.send(response);
        }) {}
  ~Answering() { join(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  std::string request;

 private:
  std::thread thread_;
};

TEST(AdminClient, SendsARequestAndReturnsTheResponse) {
  test::UnixListener server;
  Answering answering(server, "HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\nwhy");
  const AdminReply reply = ask_admin(server.address(), "secret", "POST", "/api/v1/x", "the end", 10s);
  answering.join();
  EXPECT_EQ(reply.status, 409U);
  EXPECT_EQ(reply.body, "why");
  EXPECT_TRUE(answering.request.starts_with("POST /api/v1/x HTTP/1.1\r\nHost: localhost\r\n"));
  EXPECT_NE(answering.request.find("\r\nAuthorization: Bearer secret\r\n"), std::string::npos);
  EXPECT_NE(answering.request.find("\r\nContent-Length: 7\r\n"), std::string::npos);
}

TEST(AdminClient, WithoutAResponseTheStatusIsZero) {
  test::UnixListener server;
  const AdminReply silent = ask_admin(server.address(), "", "GET", "/", "", 20ms);
  EXPECT_EQ(silent.status, 0U);
  EXPECT_FALSE(silent.body.empty());
  EXPECT_TRUE(accepts_connections(server.address(), 10s));
  server.close();
  const AdminReply refused = ask_admin(server.address(), "", "GET", "/", "", 10s);
  EXPECT_EQ(refused.status, 0U);
  EXPECT_FALSE(refused.body.empty());
  EXPECT_FALSE(accepts_connections(server.address(), 10s));
}

TEST(AdminClient, ATruncatedResponseIsNone) {
  test::UnixListener server;
  Answering answering(server, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nhalf");
  const AdminReply reply = ask_admin(server.address(), "", "POST", "/", "end", 10s);
  EXPECT_EQ(reply.status, 0U);
  EXPECT_FALSE(reply.body.empty());
}

}  // namespace
}  // namespace remora
