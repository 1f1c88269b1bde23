// The client's end of an HTTP/2 connection with a few requests open: a server sends any frames in any pieces.
// What is sent must be HTTP/2, what is read must be a head or a body, and in the end no stream and no byte of
// the connection's window is lost.

#include <list>
#include <memory>

#include "fuzz/h2_hand.h"
#include "http/h2/client.h"

using namespace remora;
using namespace remora::fuzz;

namespace {

constexpr std::size_t connection_window = 100'000;
const std::string filler(200'000, 'f');

/// A request, and what is done with its response.
struct Asked {
  Asked(Http2ClientStream& its, Loop& loop, Input& in)
      : stream(its), wake(loop.wheel), reads(in.flag()), cuts(in.below(4) == 0) {
    static const std::size_t sizes[] = {0, 0, 5, 300, 16384, 17000, 65535, 150'000};
    size = in.one_of(sizes);
    const std::size_t more = in.byte();
    stream.attach(wake, EventFlags::backend);
    wait();
    OutHead head;
    asked = (more & 1) != 0 ? Method::head : Method::post;
    head.method = (more & 1) != 0 ? "HEAD" : "POST";
    head.target = "/a";
    if ((more & 6) == 6) {
      head.method = "GET";
      head.tunnel = "websocket";
      head.fields.push_back({"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="});
      size = 0;
      tunnels = true;
    }
    head.fields.push_back({"Host", "a.test", Known::host});
    head.fields.push_back({"Connection", "close", Known::connection});
    head.body = {(more & 8) != 0 ? BodyLength::Kind::known : BodyLength::Kind::unknown, size};
    if (size == 0) head.body = {};
    stream.put_head(head);
  }
  void wait() {
    wake.call([this](unsigned) {
      if (!over) {
        wait();
        step();
      }
    });
  }
  void step() {
    if (over) return;
    if (!tunnels) send();
    if (reads && !head_read) head();
    if (head_read) read();
    if (response_ended || stream.is_broken()) finish();
  }
  void send() {
    if (sent) return;
    if (cuts && offset > 0) return stream.abort();
    const asio::const_buffer run(filler.data() + offset, size - offset);
    const WriteResult result = stream.send({{&run, 1}, true}, nullptr);
    if (result.bytes > size - offset) std::abort();
    offset += result.bytes;
    sent = result.finished;
  }
  void head() {
    ResponseHead out;
    for (int n = 0; n < 200; ++n) {
      const Io io = stream.read_head(out, asked);
      if (io == Io::blocked) return;
      if (io == Io::failed) {
        if (stream.failure().kind == StreamFailure::Kind::none) std::abort();
        return finish();
      }
      if (out.status < 100 || out.status > 599) std::abort();
      if (out.status == 101 && !tunnels) std::abort();
      if (out.tunnel) stream.tunnel();
      if (out.status >= 200 || out.status == 101) {
        head_read = true;
        return;
      }
    }
    std::abort();  // interims without end
  }
  void read() {
    while (!over && stream.fill() == Io::ready) {
      const Body body = stream.body();
      const std::size_t n = body.size();
      const bool last = body.last;
      stream.consume(n);
      response_ended = last;
      if (last || n == 0) return;
    }
  }
  void finish() {
    if (std::exchange(over, true)) return;
    static_cast<void>(stream.release());
  }

  Http2ClientStream& stream;
  EventFlags wake;
  Method asked = Method::get;
  std::size_t size = 0, offset = 0;
  bool reads, cuts;
  bool tunnels = false, sent = false, head_read = false, response_ended = false, over = false;
};

class Client final : public Http2ClientSession::Owner {
 public:
  Client()
      : session(std::make_unique<Http2ClientSession>(loop, Http2Settings{8, 40'000, connection_window}, false,
                                                     *this)) {}
  ~Client() { loop.settle(); }
  void stream_ended(bool silent) noexcept override { ended += silent ? 0 : 1; }

  std::size_t ended = 0;
  test::ManualLoop loop;
  std::unique_ptr<Http2ClientSession> session;
  std::list<Asked> asked;
};

/// What the server or the exchanges do next.
void act(Input& in, Client& client, Hand& hand, std::size_t& bytes_of_data) {
  const std::size_t what = in.byte();
  const auto stream = 1 + 2 * static_cast<std::uint32_t>(in.below(client.asked.size() + 1));
  const auto some = [&]() -> Asked* {
    if (client.asked.empty()) return nullptr;
    return &*std::next(client.asked.begin(), static_cast<std::ptrdiff_t>(in.below(client.asked.size())));
  };
  switch (what % 16) {
    case 0:
    case 1:
    case 2:
      if (client.session->has_room() && client.asked.size() < 40) {
        client.asked.emplace_back(client.session->open(), client.loop, in);
        if (in.flag()) client.asked.back().step();
      }
      return;
    case 3:
    case 4:
    case 5: {
      const unsigned end_stream = in.byte() & 1;
      const Fields fields = response_fields(in);
      return hand.give(frame(1, 4 | end_stream, stream, hpack(fields, in.flag())));
    }
    case 6:  // trailers
      return hand.give(frame(1, 5, stream, hpack({any_field(in)})));
    case 7: {  // PUSH_PROMISE
      const std::string promised = big_endian(2 + 2 * in.below(4), 4);
      const std::string block = hpack(request_fields(in));
      return hand.give(frame(5, 4, stream, promised + block));
    }
    case 8: {
      Asked* const s = some();
      if (s != nullptr) s->reads = true, s->step();
      return;
    }
    case 9: {
      Asked* const s = some();
      if (s != nullptr) s->finish();
      return;
    }
    case 10: {
      Asked* const s = some();
      if (s != nullptr && !s->over) s->stream.abort();
      return;
    }
    case 11:
      if (in.below(8) == 0) client.session->shutdown();
      if (in.below(8) == 1) client.session->ping();
      return client.session->flush();
    case 12:
      hand.set_reads(in.flag());
      return client.loop.advance(std::chrono::milliseconds(10 * in.below(150)));
    default:
      return hand.give(any_frame(in, stream, bytes_of_data));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  constexpr std::size_t preface = 24;
  Input in(data, size);
  const std::size_t piece = 1 + 40 * in.below(100);
  const std::size_t way = in.byte();
  Client client;
  {
    Hand hand(client.loop, *client.session, preface);
    if ((way & 1) != 0) hand.hold_little();
    client.session->flush();
    if ((way & 2) != 0) {
      hand.give(std::string(reinterpret_cast<const char*>(data), size));
    } else {
      hand.give(
          frame(4, 0, 0, (way & 4) != 0 ? big_endian(8, 2) + big_endian(1, 4) : ""));  // CONNECT_PROTOCOL
    }
    std::size_t bytes_of_data = 0;
    hand.run(client.loop, piece);
    for (int n = 0; n < 300 && !in.empty() && (way & 2) == 0; ++n) {
      act(in, client, hand, bytes_of_data);
      if (in.flag()) hand.run(client.loop, piece);
    }
    hand.set_reads(true);
    hand.run(client.loop, piece);
    hand.run(client.loop, 100'000);  // what was too much for small pieces
    for (Asked& a : client.asked) a.finish();
    hand.run(client.loop, 100'000);
    if (client.session->running() != 0 && !client.session->mid_head()) std::abort();
    const bool whole =
        (way & 2) == 0 && hand.all_given() && !client.session->is_over() && !client.session->mid_head();
    if (whole && bytes_of_data > hand.acknowledged() + connection_window / 2) std::abort();
    client.session.reset();
    if (client.ended != client.asked.size()) std::abort();
  }
  return 0;
}
