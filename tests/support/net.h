// Sockets for tests: a raw client, and a server whose responses are scripted. Blocking calls with time
// limits. Servers listen on port 0.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/timing.h"

namespace remora::test {

/// A response as read from a socket.
struct Reply {
  int status = 0;    // 0: the connection ended without a response
  std::string head;  // with the final CRLFCRLF
  std::string body;  // decoded
  std::string trailers;
  bool complete = false;  // the body was received to its end
  /// Values of a field, joined with ", ".
  std::string field(std::string_view name) const;
  /// How many fields have this name.
  int count(std::string_view name) const;
};

/// One TCP (or unix) connection. Receives time out after `patience`.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& o) noexcept : fd_(std::exchange(o.fd_, -1)), buffer_(std::move(o.buffer_)) {}
  Socket& operator=(Socket&& o) noexcept;
  ~Socket() { close(); }
  static Socket connect(int port);
  static Socket connect_unix(const std::string& path);

  bool send(std::string_view bytes);
  /// Appends received bytes to buffer(). False: end of stream, error or timeout.
  bool receive_some(std::chrono::milliseconds limit = patience);
  /// Returns the bytes up to and including `end`; empty if it did not come.
  std::string receive_until(std::string_view end);
  std::string receive_exactly(std::size_t n);
  std::string receive_all();
  /// A request or response head; empty if none came.
  std::string receive_head() { return receive_until("\r\n\r\n"); }
  Reply receive_reply(bool head_request = false);
  /// Waits until the peer closes or resets. False: it did not within the limit.
  bool closed_by_peer(std::chrono::milliseconds limit = patience);
  bool was_reset() const { return reset_; }
  void shutdown_send();
  void close();
  void close_with_reset();
  int fd() const { return fd_; }
  std::string& buffer() { return buffer_; }

 private:
  int fd_ = -1;
  bool reset_ = false;
  std::string buffer_;
};

/// A string literal including its NUL characters.
template <std::size_t n>
std::string bytes(const char (&literal)[n]) {
  return std::string(literal, n - 1);
}

/// Sends one request on a new connection and returns the response.
Reply ask(int port, std::string_view request);
/// A GET request; `more_fields` are whole lines with CRLF.
std::string get(std::string_view target, std::string_view more_fields = "");

/// A backend under the test's control: runs the script for each connection, on a thread of its own.
class Origin {
 public:
  using Script = std::function<void(Socket&)>;
  explicit Origin(Script script, int port = 0, const std::string& ip = "127.0.0.1");
  ~Origin() { stop(); }
  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void stop();
  int connections() const { return connections_; }

 private:
  int port_ = 0, fd_ = -1;
  Script script_;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::vector<int> open_;  // guarded by mutex_
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// A script that responds to every request of a connection with the result of `answer`.
Origin::Script answering(std::function<std::string(const std::string& head, const std::string& body)> answer);
/// A script that responds with `name`; for /slow after 700 ms.
Origin::Script says_name(const std::string& name);
/// A 200 response with a body and Content-Length.
std::string ok(std::string_view body = "ok", std::string_view more_fields = "");
/// Values of a field in a head, joined with ", ".
std::string field_of(const std::string& head, std::string_view name);
int count_of(const std::string& head, std::string_view name);

}  // namespace remora::test
