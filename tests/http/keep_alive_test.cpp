// What servers say in Keep-Alive, and how long their connections are used for it.

#include "http/keep_alive.h"

#include <gtest/gtest.h>

#include "http/h1/head.h"

namespace remora {
namespace {

using std::chrono::seconds;

std::optional<seconds> promise(const std::string& lines) {
  ResponseHead head;
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines + "\r\n";
  Http1Message message;
  EXPECT_EQ(parse_response_head(text, Method::get, head, message).status, Parsed::Status::ok) << lines;
  return message.idle_promise;
}

/// nodejs/node #20256: a request in the last moment meets the server's close. undici and Apache HttpClient
/// take a second off, too.
TEST(KeepAlive, ASecondLessThanTheServerSays) {
  for (const auto& [value, wanted] : std::initializer_list<std::pair<const char*, long>>{
           {"timeout=5", 4},
           {"timeout=5, max=100", 4},
           {"max=100, timeout=20", 19},
           {"max=1, timeout=5", 4},
           {"Timeout=5", 4},
           {"TIMEOUT = 5", 4},
           {"timeout=\"5\"", 4},
           {"timeout=5;max=3", 4},
           {"timeout=5s", 4},
           {"timeout=2.9", 1},
           {"timeout=2", 1},
           {"timeout=1", 0},
           {"timeout=0", 0},
           {"timeout=0.5", 0},
           {"timeout=60, max=0", 0},
           {"timeout=10, timeout=3", 2},
           {"timeout=99999999999999999999999", 86399},
       })
    EXPECT_EQ(promise(std::string("Keep-Alive: ") + value + "\r\n"), seconds(wanted)) << value;
  EXPECT_EQ(promise("Connection: keep-alive\r\nkeep-alive: timeout=5\r\nKeep-Alive: max=9\r\n"), seconds(4));
}

TEST(KeepAlive, WhatSaysNothingPromisesNothing) {
  EXPECT_EQ(promise(""), std::nullopt);
  for (const char* value : {"", "300", "max=100", "timeout", "timeout=", "timeout=soon", "timeout=-1",
                            "xtimeout=5", "timeouts=5", "x=timeout=5", ", ,;"})
    EXPECT_EQ(promise(std::string("Keep-Alive: ") + value + "\r\n"), std::nullopt) << value;
  EXPECT_EQ(promise("X-Keep-Alive: timeout=5\r\n"), std::nullopt);
}

TEST(KeepAlive, AHeadKeepsNothingOfTheOneBefore) {
  ResponseHead head;
  Http1Message message;
  const auto read = [&](std::string_view text) {
    return parse_response_head(text, Method::get, head, message).status;
  };
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n"),
            Parsed::Status::ok);
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Parsed::Status::ok);
  EXPECT_EQ(message.idle_promise, std::nullopt);
}

}  // namespace
}  // namespace remora
