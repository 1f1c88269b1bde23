// What the HTTP/2 end-to-end tests share: a backend that keeps what it received, remora in front of it with
// prior knowledge on, and a client that has begun its connection.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "support/h2_client.h"
#include "support/remora.h"

namespace remora::test::h2 {

/// An HTTP/1.1 backend. Targets:
///   /bytes/N     a body of N bytes with Content-Length; /stream/N: the same, chunked
///   /hold        responds when release() is called
///   /early       responds without reading the body, and closes
///   /deaf        reads nothing more, until the connection ends
///   /status/N    that status, no body
///   /hints       103 before the response
///   /trailers    a chunked response with the trailer X-Sum
///   /fields      connection-specific fields, and names with capitals
///   /ws          accepts a WebSocket upgrade and echoes bytes until the other end closes
///   others       "ok"
class Backend {
 public:
  Backend();
  ~Backend();
  struct Request {
    std::string head, body, trailers;
    std::string line() const { return head.substr(0, head.find('\r')); }
    std::string field(std::string_view name) const { return field_of(head, name); }
  };
  std::string address() const { return origin_->address(); }
  int port() const { return origin_->port(); }
  std::vector<Request> requests() const;
  /// Request lines without the version, each with a line feed.
  std::string lines() const;
  /// Waits until this many requests came. False: not within the limit.
  bool received(std::size_t requests) const;
  void forget();
  void release();

 private:
  void serve(Socket& s);
  void respond(Socket& s, const Request& request);
  bool read_body(Socket& s, Request& request);
  void hold();
  mutable std::mutex mutex_;
  std::condition_variable released_;
  bool open_ = false;               // guarded by mutex_
  std::vector<Request> requests_;   // guarded by mutex_
  std::unique_ptr<Origin> origin_;  // last: its threads end first
};

/// One remora for all tests of a suite; a connection for each test. After each test the server must serve
/// another client, and must have kept the rules.
class Http2 : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  void TearDown() override;

  static Backend& backend() { return *backend_; }
  static int port();
  /// The backend has received these requests and none besides; `lines`: "GET /a\nGET /b\n". Checks with a
  /// request of its own, so that nothing may still be under way.
  Client::Check only_forwarded(const std::string& lines);
  Client::Check nothing_forwarded() { return only_forwarded(""); }

  Client client{port()};

 private:
  static std::unique_ptr<Backend> backend_;
  static std::unique_ptr<Remora> remora_;
};

/// A configuration for HTTP/2 with prior knowledge. `listener` adds lines to the listener.
std::string h2_config(const Backend& backend, const std::string& listener = "");
/// A request's fields with one changed, removed (empty `fields`) or repeated.
Fields replaced(Fields fields, std::string_view name, const Fields& by);

}  // namespace remora::test::h2
