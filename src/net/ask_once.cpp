#include "net/ask_once.h"

namespace remora {

namespace {

using std::chrono::milliseconds;
constexpr milliseconds longest_rest{1000}, longest_goodbye{250};
constexpr std::size_t most_rest_bytes = 4 << 20;

/// Reads and discards until `enough(bytes)`, end of stream, or a limit. True: `enough` returned true.
Task<bool> read_on(Stream& stream, Wake& wake, std::function<bool(std::string_view)> enough,
                   milliseconds limit) {
  wake.until(stream.loop().clock.steady_now() + limit);
  std::size_t dropped = 0;
  for (;;) {
    const std::string_view more = stream.unread();
    const bool over = enough(more);
    dropped += more.size();
    stream.consume(more.size());
    if (over) co_return true;
    if (stream.peer_closed() || dropped > most_rest_bytes) co_return false;
    const Io io = stream.fill();
    if (io == Io::failed) co_return false;
    if (io == Io::ready) continue;
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    if (bits & (Wake::stop | Wake::deadline)) co_return false;
  }
}

/// Ends the connection cleanly, so that the peer never sees a reset. A TLS peer gets close_notify, and may
/// still have data in flight: session tickets, its own close_notify.
Task<void> take_leave(Stream& stream, Wake& wake, std::function<bool(std::string_view)> rest) {
  if (rest && !co_await read_on(stream, wake, rest, longest_rest)) co_return;
  if (!stream.is_tls() || stream.peer_closed()) co_return;
  stream.finish_sending();
  const std::function<bool(std::string_view)> never = [](std::string_view) { return false; };
  co_await read_on(stream, wake, never, longest_goodbye);
}

}  // namespace

Task<std::string> ask_once(Loop& loop, Wake& wake, Question q) {
  if (q.connect_by) wake.until(*q.connect_by);
  Connecting connecting(loop, q.endpoint, q.tls.get(), q.server_name, wake, Wake::backend);
  for (;;) {
    const Io io = connecting.step();
    if (io == Io::ready) break;
    if (io == Io::failed)
      co_return connecting.tls_error().empty() ? connecting.error().message() : connecting.tls_error();
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    if (bits & Wake::stop) co_return ask_stopped;
    if (bits & Wake::deadline) co_return "connect timeout";
  }
  if (q.answer_by) {
    wake.until(*q.answer_by);
    const unsigned others = wake.take() & ~static_cast<unsigned>(Wake::deadline);
    if (others != 0) wake.set(others);  // drop the deadline bit: it was the connect deadline's
  }
  const StreamRef stream = connecting.take();
  struct Closer {
    Stream& s;
    ~Closer() { s.close(); }
  } closer{*stream};
  if (q.text.empty()) {
    const std::function<bool(std::string_view)> nothing;
    co_await take_leave(*stream, wake, nothing);
    co_return "";
  }

  std::size_t sent = 0;
  std::string received;
  for (;;) {
    if (sent < q.text.size()) {
      const asio::const_buffer rest(q.text.data() + sent, q.text.size() - sent);
      const Stream::Sent s = stream->send({&rest, 1});
      if (s.io == Io::failed) co_return stream->error().message();
      sent += s.bytes;
    }
    received.append(stream->unread());
    stream->consume(stream->unread().size());
    if (q.enough(received, stream->peer_closed())) {
      co_await take_leave(*stream, wake, q.rest);
      co_return "";
    }
    if (received.size() > q.most_bytes) co_return "its answer is too large";
    if (stream->peer_closed()) co_return "closed without an answer";
    const Io io = stream->fill();
    if (io == Io::failed) co_return stream->error().message();
    if (io == Io::ready) continue;
    unsigned bits = wake.take();
    if (bits == 0) bits = co_await wake.any();
    if (bits & Wake::stop) co_return ask_stopped;
    if (bits & Wake::deadline) co_return "timeout";
  }
}

}  // namespace remora
