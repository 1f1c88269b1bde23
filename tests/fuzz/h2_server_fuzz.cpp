// The server's end of an HTTP/2 connection: a client sends any frames in any pieces, and an owner answers
// some streams, aborts others and forgets a few, while they are woken or later. What is sent must be HTTP/2,
// what is read must be a head or a body, and in the end no stream and no byte of the connection's window is
// lost.

#include <list>
#include <map>
#include <memory>

#include "fuzz/h2_hand.h"
#include "http/h2/server.h"

using namespace remora;
using namespace remora::fuzz;

namespace {

constexpr std::size_t connection_window = 100'000;
const std::string filler(200'000, 'f');

/// What an exchange does with a stream.
struct Served {
  Served(Http2ServerSession& s, Http2ServerStream& its, Loop& loop, Input& in)
      : session(s), stream(its), wake(loop.wheel), reads(in.flag()), answers(in.flag()), waits(in.flag()) {
    static const std::size_t sizes[] = {0, 0, 5, 300, 16384, 17000, 65535, 150'000};
    static const std::uint16_t statuses[] = {200, 200, 204, 304, 404, 101, 500};
    size = in.one_of(sizes);
    status = in.one_of(statuses);
    const std::size_t more = in.byte();
    known = (more & 1) != 0;
    interim = (more & 2) != 0;
    trails = (more & 4) != 0;
    cuts = (more & 8) != 0;
    closes = (more & 0x30) == 0x30;
    stream.attach(wake, EventFlags::client);
    wait();
  }
  void wait() {
    wake.call([this](unsigned) {
      if (!over) {
        wait();
        step();
      }
    });
  }
  /// Everything that does not block.
  void step() {
    if (over) return;
    if (!head_read) {
      head_read = true;
      RequestHead head;
      const Io io = stream.read_head(head);
      if (io == Io::blocked) std::abort();
      if (io == Io::failed && stream.failure().code == 0) return finish();
      if (io == Io::failed) answers = true, waits = false;
      if (io == Io::ready && (head.path.empty() || head.host.empty())) std::abort();
      tunnels = io == Io::ready && head.tunnel;
    }
    if (reads) read();
    if (answers && !answered && (!waits || request_ended || tunnels)) answer();
    if (answered) send();
    if (sent || stream.gone()) finish();
  }
  void read() {
    while (stream.fill() == Io::ready) {
      const Body body = stream.body();
      for (const auto& run : body.runs) {
        const std::string_view bytes(static_cast<const char*>(run.data()), run.size());
        checksum += bytes.empty() ? 0U : static_cast<std::uint8_t>(bytes.front() ^ bytes.back());
      }
      const std::size_t n = body.size();
      const bool last = body.last;
      stream.consume(n);
      request_ended = last;
      if (last && stream.trailers() != nullptr && stream.trailers()->empty()) std::abort();
      if (last || n == 0) return;
    }
  }
  void answer() {
    if (interim) {
      OutHead head;
      head.status = 103;
      head.fields.push_back({"Link", "</a>; rel=preload", Known::link});
      stream.put_interim(head);
      static_cast<void>(stream.flush());
    }
    answered = true;
    OutHead head;
    head.status = status == 101 && !tunnels ? 200 : status;
    if (head.status == 101) {
      head.tunnel = "websocket";
      stream.tunnel();
    }
    const bool empty = head.status == 204 || head.status == 304;
    if (empty) size = 0;
    head.body = {known ? BodyLength::Kind::known : BodyLength::Kind::unknown, size};
    if (empty) head.body = {};
    head.close = closes;
    head.fields.push_back({"Server", "fuzz"});
    head.fields.push_back({"Connection", "close", Known::connection});
    head.trailers = "x-check";
    stream.put_head(head);
  }
  void send() {
    if (cuts && offset > 0) {
      stream.abort();
      return finish();
    }
    static const std::vector<Field> trailers{{"x-check", "1"}};
    const asio::const_buffer run(filler.data() + offset, size - offset);
    const WriteResult result = stream.send({{&run, 1}, true}, trails ? &trailers : nullptr);
    if (result.bytes > size - offset) std::abort();
    offset += result.bytes;
    if (result.finished && offset != size && result.bytes > 0) std::abort();
    if (result.io == Io::failed) return finish();
    sent = result.finished;
  }
  void finish() {
    if (std::exchange(over, true)) return;
    session.done(stream);
  }

  Http2ServerSession& session;
  Http2ServerStream& stream;
  EventFlags wake;
  std::size_t size = 0, offset = 0;
  std::uint16_t status = 200;
  unsigned checksum = 0;
  bool reads, answers, waits;
  bool known = false, interim = false, trails = false, cuts = false, closes = false;
  bool head_read = false, tunnels = false, answered = false, request_ended = false, sent = false,
       over = false;
};

class Server final : public Http2ServerSession::Owner {
 public:
  explicit Server(Input& in)
      : in_(in), session(std::make_unique<Http2ServerSession>(loop, settings(), limits(), *this)) {}
  ~Server() { loop.settle(); }

  void stream_opened(Http2ServerStream& stream) override {
    served.emplace_back(*session, stream, loop, in_);
    if (in_.flag()) served.back().step();
  }
  void head_refused(const char*) override {}
  void flooded(const char*) override {}

 private:
  static Http2Settings settings() { return {8, 40'000, connection_window}; }
  static config::ListenerLimits limits() {
    config::ListenerLimits out;
    out.header_bytes = 2000;
    out.headers = 10;
    out.target_bytes = 200;
    out.body_bytes = 60'000;
    return out;
  }
  Input& in_;

 public:
  test::ManualLoop loop;
  std::unique_ptr<Http2ServerSession> session;
  std::list<Served> served;
};

/// What the client or the owner does next.
void act(Input& in, Server& server, Hand& hand, std::uint32_t& last, std::size_t& bytes_of_data) {
  const std::size_t what = in.byte();
  const std::uint32_t stream = last == 0 ? 1 : 1 + 2 * static_cast<std::uint32_t>(in.below(last / 2 + 1));
  const auto some = [&]() -> Served* {
    if (server.served.empty()) return nullptr;
    return &*std::next(server.served.begin(), static_cast<std::ptrdiff_t>(in.below(server.served.size())));
  };
  switch (what % 16) {
    case 0:
    case 1:
    case 2:
    case 3: {
      last = last == 0 ? 1 : last + 2;
      const unsigned end_stream = in.byte() & 1;
      const Fields fields = request_fields(in);
      return hand.give(frame(1, 4 | end_stream, last, hpack(fields, in.flag())));
    }
    case 4:  // trailers, or a head for a stream that has one
      return hand.give(frame(1, 5, stream, hpack({any_field(in)})));
    case 5: {  // a head in two frames
      last = last == 0 ? 1 : last + 2;
      const std::string block = hpack(request_fields(in));
      const std::size_t cut = in.below(block.size() + 1);
      hand.give(frame(1, in.byte() & 1, last, std::string_view(block).substr(0, cut)));
      return hand.give(frame(9, 4, last, std::string_view(block).substr(cut)));
    }
    case 6: {
      Served* const s = some();
      if (s != nullptr) s->reads = s->answers = true, s->waits = false, s->step();
      return;
    }
    case 7: {
      Served* const s = some();
      if (s != nullptr) s->finish();
      return;
    }
    case 8: {
      Served* const s = some();
      if (s == nullptr || s->over) return;
      s->stream.abort();
      s->step();
      return;
    }
    case 9:
      if (in.below(8) == 0) server.session->shutdown();
      return server.session->flush();
    case 10:
      return hand.park();
    case 11:
      return hand.set_reads(in.flag());
    case 12:
      return server.loop.advance(std::chrono::milliseconds(10 * in.below(200)));
    default:
      return hand.give(any_frame(in, stream, bytes_of_data));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  Input in(data, size);
  const std::size_t piece = 1 + 40 * in.below(100);
  const std::size_t way = in.byte();
  Server server(in);
  {
    Hand hand(server.loop, *server.session, 0);
    if ((way & 1) != 0) hand.hold_little();
    if ((way & 2) != 0) {
      hand.give(std::string(reinterpret_cast<const char*>(data), size));  // not even a preface
    } else {
      hand.give("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, ""));
    }
    std::uint32_t last = 0;
    std::size_t bytes_of_data = 0;
    for (int n = 0; n < 300 && !in.empty() && (way & 2) == 0; ++n) {
      act(in, server, hand, last, bytes_of_data);
      if (in.flag()) hand.run(server.loop, piece);
    }
    hand.set_reads(true);
    hand.run(server.loop, piece);
    hand.run(server.loop, 100'000);  // what was too much for small pieces
    for (Served& s : server.served) s.finish();
    hand.run(server.loop, 100'000);
    if (server.session->running() != 0 && !server.session->mid_head()) std::abort();
    // nghttp2 tells the client of consumed bytes when they are half of the window.
    const bool whole =
        (way & 2) == 0 && hand.all_given() && !server.session->is_over() && !server.session->mid_head();
    if (whole && bytes_of_data > hand.acknowledged() + connection_window / 2) std::abort();
    server.session.reset();
  }
  return 0;
}
