// A server session over a socket pair, on a manual clock, with a client that speaks frames (peer.h).
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "http/h2/peer.h"
#include "http/h2/server.h"
#include "support/manual_loop.h"

namespace remora::test {

inline config::ListenerLimits limits_for_tests() {
  config::ListenerLimits limits;
  limits.header_bytes = 8 * 1024;
  limits.headers = 20;
  return limits;
}

class ServerEnd : public Http2ServerSession::Owner {
 public:
  explicit ServerEnd(const Http2Settings& settings = {},
                     const config::ListenerLimits& limits = limits_for_tests())
      : session(std::make_unique<Http2ServerSession>(loop, settings, limits, *this)), client(connect()) {}
  ~ServerEnd() {
    for (Http2ServerStream* s : std::vector<Http2ServerStream*>(open)) done(*s);
    session.reset();
    if (transport) transport->close();
    loop.settle();
  }

  // Owner
  void stream_opened(Http2ServerStream& stream) override {
    stream.attach(wake_streams, EventFlags::client);
    open.push_back(&stream);
    ++opened;
    if (serve) serve(stream);
  }
  void head_refused(const char*) override { ++refused; }
  void flooded(const char* what) override { flood = what; }

  /// Lets the session act until nothing more happens.
  void run() {
    for (int i = 0; i < 200; ++i) {
      loop.settle();
      const unsigned bits = wake.take();
      if (session->is_over()) break;
      if (bits == 0 && i > 1) break;
      while (session->receive() == Io::ready) {
      }
      session->flush();
    }
    loop.settle();
  }
  void advance(std::chrono::nanoseconds by) {
    run();
    loop.advance(by);
    run();
  }
  /// The client's preface, and what the server answers to it.
  std::vector<H2Frame> greet(const std::vector<std::pair<std::uint16_t, std::uint32_t>>& settings = {}) {
    client.greet(settings);
    run();
    client.raw(frame(settings_frame, ack, 0, ""));
    return frames();
  }
  std::vector<H2Frame> frames() {
    run();
    return client.frames();
  }
  std::vector<H2Frame> frames(std::uint8_t type) {
    run();
    return client.frames(type);
  }
  /// The stream that was opened last.
  Http2ServerStream& last() {
    run();
    if (open.empty()) throw std::runtime_error("no stream is open");
    return *open.back();
  }
  void done(Http2ServerStream& stream) {
    std::erase(open, &stream);
    session->done(stream);
  }
  /// Sends a response with a body of known length, as far as the windows allow. True: all of it.
  static bool respond(Http2ServerStream& stream, std::string_view body, std::uint16_t status = 200) {
    put(stream, status, {BodyLength::Kind::known, body.size()});
    return send(stream, body, true).finished;
  }
  static void put(Http2ServerStream& stream, std::uint16_t status, BodyLength body,
                  std::vector<Field> fields = {}) {
    OutHead head;
    head.status = status;
    head.body = body;
    head.fields = std::move(fields);
    stream.put_head(head);
  }
  static WriteResult send(Http2ServerStream& stream, std::string_view bytes, bool last,
                          const std::vector<Field>* trailers = nullptr) {
    const asio::const_buffer run(bytes.data(), bytes.size());
    return stream.send({{&run, 1}, last}, trailers);
  }
  /// All that the stream has received and not given out, which it consumes.
  static std::string read(Http2ServerStream& stream) {
    std::string out;
    while (stream.fill() == Io::ready) {
      const Body body = stream.body();
      for (const auto& run : body.runs) out.append(static_cast<const char*>(run.data()), run.size());
      const std::size_t n = body.size();
      const bool last = body.last;
      stream.consume(n);
      if (last || n == 0) break;
    }
    return out;
  }
  /// The head of the stream opened last.
  RequestHead head() {
    RequestHead out;
    EXPECT_EQ(last().read_head(out), Io::ready) << last().failure().why;
    return out;
  }
  /// From now on the socket holds little.
  void small_socket() {
    const int bytes = 4096;
    ::setsockopt(transport->fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }

  ManualLoop loop;
  EventFlags wake{loop.wheel}, wake_streams{loop.wheel};
  TransportRef transport;
  std::unique_ptr<Http2ServerSession> session;
  std::vector<Http2ServerStream*> open;
  std::function<void(Http2ServerStream&)> serve;  // at once, when a stream is opened
  std::size_t opened = 0, refused = 0;
  std::string flood;
  H2Peer client;

 private:
  Accepted connect() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
    transport = TransportRef(new Transport(loop, fds[0]));
    session->use(transport, wake, EventFlags::client);
    return Accepted(fds[1]);
  }
};

}  // namespace remora::test
