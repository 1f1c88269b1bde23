#include "net/one_shot_request.h"

namespace remora {

namespace {

using std::chrono::milliseconds;
constexpr milliseconds longest_rest{1000}, longest_goodbye{250};
constexpr std::size_t max_rest_bytes = 4 << 20;

/// Waits for an event. Returns the error; empty: go on.
Task<std::string> wait(EventFlags& wake, const char* timeout) {
  unsigned bits = wake.take();
  if (bits == 0) bits = co_await wake.any();
  if (bits & EventFlags::stop) co_return request_stopped;
  if (bits & EventFlags::deadline) co_return timeout;
  co_return "";
}

/// Reads and drops what comes until the reader is complete (null: never), the end of the stream, or a limit.
/// Returns true if the reader is complete.
Task<bool> drain(Transport& stream, EventFlags& wake, ResponseReader* reader, milliseconds limit) {
  wake.until(stream.loop().clock.steady_now() + limit);
  std::size_t dropped = 0;
  for (;;) {
    const std::string_view more = stream.unread();
    if (reader != nullptr) reader->take(more);
    dropped += more.size();
    stream.consume(more.size());
    if (reader != nullptr && reader->complete()) co_return true;
    if (stream.peer_closed() || dropped > max_rest_bytes) co_return false;
    const Io io = stream.fill();
    if (io == Io::failed) co_return false;
    if (io == Io::ready) continue;
    const std::string ended = co_await wait(wake, "timeout");
    if (!ended.empty()) co_return false;
  }
}

/// Ends the connection cleanly, so that the peer never sees a reset. A TLS peer gets close_notify, and may
/// still have data in flight: session tickets, its own close_notify.
Task<void> take_leave(Transport& stream, EventFlags& wake, ResponseReader* reader) {
  if (reader != nullptr && !reader->complete()) {
    const bool complete = co_await drain(stream, wake, reader, longest_rest);
    if (!complete) co_return;
  }
  if (!stream.is_tls() || stream.peer_closed()) co_return;
  stream.finish_sending();
  co_await drain(stream, wake, nullptr, longest_goodbye);
}

/// Sends the request and reads until the reader has decided. Returns the error.
Task<std::string> exchange(Transport& stream, EventFlags& wake, const OneShotRequest& request,
                           ResponseReader& reader) {
  std::size_t sent = 0, received = 0;
  for (;;) {
    if (sent < request.text.size()) {
      const asio::const_buffer rest(request.text.data() + sent, request.text.size() - sent);
      const Transport::WriteResult s = stream.send({&rest, 1});
      if (s.io == Io::failed) co_return stream.error().message();
      sent += s.bytes;
    }
    const std::string_view bytes = stream.unread();
    received += bytes.size();
    reader.take(bytes);
    stream.consume(bytes.size());
    if (stream.peer_closed()) reader.end();
    if (reader.decided()) co_return "";
    if (received > request.max_bytes) co_return "response too large";
    if (stream.peer_closed()) co_return "connection closed without a response";
    const Io io = stream.fill();
    if (io == Io::failed) co_return stream.error().message();
    if (io == Io::ready) continue;
    std::string ended = co_await wait(wake, "timeout");
    if (!ended.empty()) co_return ended;
  }
}

}  // namespace

std::string request_text(std::string_view method, std::string_view target, std::string_view host,
                         const std::vector<std::pair<std::string_view, std::string_view>>& fields,
                         std::string_view body) {
  std::string out;
  const auto add = [&out](std::initializer_list<std::string_view> parts) {
    for (const std::string_view part : parts) out += part;
  };
  add({method, " ", target, " HTTP/1.1\r\nHost: ", host, "\r\n"});
  for (const auto& [name, value] : fields) add({name, ": ", value, "\r\n"});
  // A request without a body needs no length, unless its method anticipates one (RFC 9110 8.6).
  if (!body.empty() || (method != "GET" && method != "HEAD"))
    add({"Content-Length: ", std::to_string(body.size()), "\r\n"});
  add({"Connection: close\r\n\r\n", body});
  return out;
}

Task<std::string> one_shot_request(Loop& loop, EventFlags& wake, OneShotRequest request,
                                   ResponseReader* reader) {
  if (request.connect_by) wake.until(*request.connect_by);
  Connecting connecting(loop, request.endpoint, request.tls.get(), request.server_name, wake,
                        EventFlags::backend, request.http1_only);
  for (;;) {
    const Io io = connecting.step();
    if (io == Io::ready) break;
    if (io == Io::failed)
      co_return connecting.tls_error().empty() ? connecting.error().message() : connecting.tls_error();
    std::string ended = co_await wait(wake, "connect timeout");
    if (!ended.empty()) co_return ended;
  }
  if (request.answer_by) {
    wake.until(*request.answer_by);
    const unsigned others = wake.take() & ~static_cast<unsigned>(EventFlags::deadline);
    if (others != 0) wake.set(others);  // drop the deadline bit: it was the connect deadline's
  }
  const TransportRef stream = connecting.take();
  struct Closer {
    Transport& s;
    ~Closer() { s.close(); }
  } closer{*stream};
  std::string error;
  if (reader != nullptr) error = co_await exchange(*stream, wake, request, *reader);
  if (error.empty()) co_await take_leave(*stream, wake, reader);
  co_return error;
}

}  // namespace remora
