#include "http/h1/streams.h"

#include "http/h1/write.h"

namespace remora {

namespace {
using Kind = Framing::Kind;

/// How to send a body of that length.
Kind framing_for(const BodyLength& body, bool decodes_chunks) noexcept {
  switch (body.kind) {
    case BodyLength::Kind::none:
      return Kind::none;
    case BodyLength::Kind::known:
      return Kind::length;
    case BodyLength::Kind::unknown:
      break;
  }
  return decodes_chunks ? Kind::chunked : Kind::until_close;
}
}  // namespace

// Client side ---------------------------------------------------------------------------------------

void Http1ServerStream::use(TransportRef stream, const config::ListenerLimits& limits) {
  stream_ = std::move(stream);
  limits_ = &limits;
  failure_ = {};
  writer_.reset();
  scanner_.reset();
  reader_.start({}, {});
  responded_ = closes_ = false;
}

void Http1ServerStream::attach(EventFlags& wake, unsigned bit) noexcept {
  stream_->attach(wake, bit);
}

void Http1ServerStream::next() {
  stream_->unpin();
  scanner_.reset();
  writer_.reset();
  reader_.start({}, {});
  failure_ = {};
  responded_ = closes_ = false;
}

Io Http1ServerStream::read_head(RequestHead& head) {
  // The scanner gave its fields away with the refused head, so reading that again would find none.
  if (failure_.kind != StreamFailure::Kind::none) return Io::failed;
  Http1Message message;
  for (;;) {
    const Parsed parsed = read_request_head(scanner_, stream_->unread(), *limits_, head, message);
    version_ = head.version;
    if (parsed.status == Parsed::Status::ok) break;
    if (parsed.status == Parsed::Status::refused) {
      failure_ = {StreamFailure::Kind::malformed, parsed.code, parsed.why};
      return Io::failed;
    }
    if (stream_->peer_closed()) {
      failure_ = {StreamFailure::Kind::ended, 0, "closed"};
      return Io::failed;
    }
    const Io io = stream_->fill();
    if (io == Io::failed) failure_ = {StreamFailure::Kind::reset, 0, "reset"};
    if (io != Io::ready) return io;
  }
  closes_ = !message.keep_alive;
  if (limits_->body_bytes && message.framing.kind == Kind::length &&
      message.framing.length > *limits_->body_bytes) {
    failure_ = {StreamFailure::Kind::too_large, 413, "body over the limit"};
    return Io::failed;
  }
  reader_.start(message.framing, limits_->body_bytes);
  stream_->consume_pinned(scanner_.end());
  return Io::ready;
}

void Http1ServerStream::put_head(const OutHead& head) {
  responded_ = true;
  OutText& out = writer_.staged();
  write_status_line(head, out);
  write_fields(head, out);
  Kind kind = Kind::none;
  closes_ = false;
  if (head.status == 101) {
    out.append("Connection: upgrade\r\nUpgrade: ").append(head.tunnel).append("\r\n");
  } else {
    const bool decodes_chunks =
        version_ != Version::http10;  // otherwise closing ends a body of unknown length
    kind = framing_for(head.body, decodes_chunks);
    if (kind == Kind::chunked) out += "Transfer-Encoding: chunked\r\n";
    closes_ = head.close || kind == Kind::until_close;
    if (closes_)
      out += "Connection: close\r\n";
    else if (version_ == Version::http10)
      out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  writer_.start(kind, closes_, head.trailers);
}

void Http1ServerStream::put_interim(const OutHead& head) {
  if (version_ == Version::http10) return;  // RFC 9110 15.2: never to an HTTP/1.0 client
  OutText& out = writer_.staged();
  write_status_line(head, out);
  write_fields(head, out);
  out += "\r\n";
}

Io Http1ServerStream::fill() {
  return reader_.fill(*stream_, failure_);
}

WriteResult Http1ServerStream::send(Body body, const std::vector<Field>* trailers) {
  return writer_.send(*stream_, body, trailers, failure_);
}

Io Http1ServerStream::flush() {
  while (writer_.has_staged()) {
    const WriteResult taken = writer_.send(*stream_, {}, nullptr, failure_);
    if (taken.io != Io::ready) return taken.io;
  }
  return Io::ready;
}

void Http1ServerStream::tunnel() {
  reader_.start({Kind::until_close, 0}, {});
  writer_.start(Kind::until_close);
  stream_->rely_on_events();
}

void Http1ServerStream::abort() noexcept {
  if (responded_ && !writer_.finished())
    stream_->close_hard();  // a truncated body must not look complete
  else
    stream_->close();
}

bool Http1ServerStream::cut_short() {
  if (!reader_.lacks_bytes(*stream_)) return false;
  // The rest of a long body waits in the kernel, and the end of stream behind it: the relay will find that.
  while (!stream_->peer_closed() && stream_->unread().size() < BufferPool::small) {
    stream_->distrust();
    if (stream_->fill() != Io::ready) return false;
  }
  return stream_->peer_closed() && reader_.lacks_bytes(*stream_);
}

// Backend side --------------------------------------------------------------------------------------

void Http1ClientStream::use(TransportRef stream, bool reused) {
  stream_ = std::move(stream);
  reused_ = reused;
  have_head_ = keep_alive_ = tunnel_ = spoiled_ = false;
  next_receive_ = 0;
  idle_promise_.reset();
  failure_ = {};
  scanner_.reset();
  reader_.start({}, {});
}

TransportRef Http1ClientStream::release() {
  if (stream_) stream_->receive_at_most(next_receive_);
  return std::exchange(stream_, TransportRef());
}

void Http1ClientStream::attach(EventFlags& wake, unsigned bit) noexcept {
  stream_->attach(wake, bit);
}

void Http1ClientStream::put_head(const OutHead& head) {
  writer_.reset();
  OutText& out = writer_.staged();
  write_request_line(head, out);
  write_fields(head, out);
  const Kind kind = framing_for(head.body, true);
  if (kind == Kind::chunked) out += "Transfer-Encoding: chunked\r\n";
  if (!head.tunnel.empty())
    out.append("Connection: upgrade\r\nUpgrade: ").append(head.tunnel).append("\r\n");
  else if (head.close)
    out += "Connection: close\r\n";
  out += "\r\n";
  writer_.start(kind, false, head.trailers);
}

Io Http1ClientStream::read_head(ResponseHead& head, Method asked) {
  Http1Message message;
  for (;;) {
    const std::string_view unread = stream_->unread();
    const Parsed parsed = read_response_head(scanner_, unread, asked, head, message);
    if (parsed.status == Parsed::Status::ok) break;
    if (parsed.status == Parsed::Status::refused) {
      failure_ = {StreamFailure::Kind::malformed, 502, parsed.why};
      return Io::failed;
    }
    if (stream_->peer_closed()) {
      failure_ = {unread.empty() ? StreamFailure::Kind::ended : StreamFailure::Kind::malformed, 502,
                  "closed before the end of the response head"};
      return Io::failed;
    }
    const Io io = stream_->fill();
    if (io == Io::failed) failure_ = {StreamFailure::Kind::reset, 502, "reset before the response head"};
    if (io != Io::ready) return io;
  }
  const std::size_t head_size = scanner_.end();
  stream_->consume(head_size);
  scanner_.reset();
  if (head.status < 200) spoiled_ = spoiled_ || !message.keep_alive;
  if (head.status >= 200) {
    have_head_ = true;
    keep_alive_ = message.keep_alive && !spoiled_;
    idle_promise_ = message.idle_promise;
    constexpr bool from_backend = true;
    reader_.start(message.framing, {}, from_backend);
    // Predict the next response on this connection from this one: a long body is best spliced, so receive
    // little more than its head. What is left must then still be worth splicing: a short receive alone costs
    // a fifth more.
    constexpr std::size_t longer_by = 128;
    const bool long_body =
        message.framing.kind == Kind::length && message.framing.length >= RawPath::worth_splicing + longer_by;
    next_receive_ = long_body ? head_size + longer_by : 0;
    stream_->receive_at_most(0);
  }
  return Io::ready;
}

WriteResult Http1ClientStream::send(Body body, const std::vector<Field>* trailers) {
  return writer_.send(*stream_, body, trailers, failure_);
}

void Http1ClientStream::tunnel() {
  tunnel_ = true;
  reader_.start({Kind::until_close, 0}, {});
  writer_.start(Kind::until_close);
  stream_->rely_on_events();
}

void Http1ClientStream::abort() noexcept {
  if (stream_) stream_->close();
}

bool Http1ClientStream::reusable() const noexcept {
  return stream_ && !tunnel_ && have_head_ && keep_alive_ && reader_.complete() && writer_.finished() &&
         stream_->unread().empty() && !stream_->peer_closed() && !stream_->error();
}

}  // namespace remora
