// A client session over a socket pair, on a manual clock, with a server that speaks frames (peer.h).
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <optional>

#include "http/h2/client.h"
#include "http/h2/peer.h"
#include "support/manual_loop.h"

namespace remora::test {

class ClientEnd : public Http2ClientSession::Owner {
 public:
  using Settings = std::vector<std::pair<std::uint16_t, std::uint32_t>>;

  explicit ClientEnd(const Http2Settings& settings = {})
      : session(std::make_unique<Http2ClientSession>(loop, settings, false, *this)), server(connect()) {
    session->flush();
  }
  ~ClientEnd() {
    for (Http2ClientStream* s : std::vector<Http2ClientStream*>(open)) release(*s);
    session.reset();
    if (transport) transport->close();
    loop.settle();
  }

  // Owner
  void stream_ended(bool silent) noexcept override { (silent ? silences : ended) += 1; }

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
  /// The server's SETTINGS, and what the client has sent so far.
  std::string greet(const Settings& settings = {}) {
    server.raw(H2Peer::settings_of(settings));
    run();
    return server.preface();
  }
  std::vector<H2Frame> frames(std::uint8_t type) {
    run();
    return server.frames(type);
  }
  Http2ClientStream& stream() {
    Http2ClientStream& made = session->open();
    made.attach(wake_streams, EventFlags::backend);
    open.push_back(&made);
    return made;
  }
  void release(Http2ClientStream& stream) {
    std::erase(open, &stream);
    static_cast<void>(stream.release());
  }
  static OutHead head(std::string_view method, std::string_view target, std::vector<Field> more = {},
                      BodyLength body = {}) {
    OutHead out;
    out.method = method;
    out.target = target;
    out.fields = std::move(more);
    out.fields.push_back({"Host", "a.test", Known::host});
    out.body = body;
    return out;
  }
  /// A stream with a GET request.
  Http2ClientStream& get(std::string_view target = "/") {
    Http2ClientStream& made = stream();
    made.put_head(head("GET", target));
    run();
    return made;
  }
  static WriteResult send(Http2ClientStream& stream, std::string_view bytes, bool last,
                          const std::vector<Field>* trailers = nullptr) {
    const asio::const_buffer run(bytes.data(), bytes.size());
    return stream.send({{&run, 1}, last}, trailers);
  }
  /// The response head: waits for nothing.
  Io read_head(Http2ClientStream& stream, Method asked = Method::get) {
    run();
    return stream.read_head(response, asked);
  }
  /// All that the stream has received and not given out, which it consumes.
  std::string read(Http2ClientStream& stream) {
    run();
    std::string out;
    while (stream.fill() == Io::ready) {
      const Body body = stream.body();
      for (const auto& run : body.runs) out.append(static_cast<const char*>(run.data()), run.size());
      const std::size_t n = body.size();
      whole = body.last;
      stream.consume(n);
      if (whole || n == 0) break;
    }
    return out;
  }
  std::string field(std::string_view name) const {
    for (const Field& f : response.fields)
      if (f.name == name) return std::string(f.value);
    return "(none)";
  }

  ManualLoop loop;
  EventFlags wake{loop.wheel}, wake_streams{loop.wheel};
  TransportRef transport;
  std::unique_ptr<Http2ClientSession> session;
  std::vector<Http2ClientStream*> open;
  ResponseHead response;
  bool whole = false;  // read() came to the end
  int ended = 0, silences = 0;
  H2Peer server;

 private:
  Accepted connect() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
    transport = TransportRef(new Transport(loop, fds[0]));
    session->use(transport, wake, EventFlags::backend);
    return Accepted(fds[1]);
  }
};

}  // namespace remora::test
