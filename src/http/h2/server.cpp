#include "http/h2/server.h"

#include "http/h2/callbacks.h"
#include "http/validate.h"
#include "util/text.h"

namespace remora {

namespace {

using Kind = StreamFailure::Kind;

}  // namespace

// Stream: receiving ---------------------------------------------------------------------------------

Http2ServerStream::Http2ServerStream(Http2ServerSession& session, std::int32_t id) noexcept
    : Http2Stream(session, id) {
  body_limit_ = session.max_body_;
}

Http2ServerSession& Http2ServerStream::server() const noexcept {
  return static_cast<Http2ServerSession&>(session_);
}

Io Http2ServerStream::refuse(Kind kind, std::uint16_t code, const char* why) noexcept {
  failure_ = {kind, code, why};
  return Io::failed;
}

Io Http2ServerStream::read_head(RequestHead& head) {
  head_read_ = true;
  head.version = Version::http2;
  if (failure_.kind != Kind::none) return Io::failed;
  if (is_lost()) return refuse(Kind::reset, 0, "the stream was reset");
  if (oversized_) {
    head.fields.clear();
    head.target = head.host = {};
    head.method_text = head_.pseudo(Pseudo::method);
    bodiless_ = head.method_text == "HEAD";
    return refuse(Kind::malformed, 431, "head too large");
  }
  head_.read(head.fields);
  head.method_text = head_.pseudo(Pseudo::method);
  head.target = head_.pseudo(Pseudo::path);
  head.host = head_.pseudo(Pseudo::authority);
  head.body = {ended_by_head_ ? BodyLength::Kind::none : BodyLength::Kind::unknown, 0};
  bodiless_ = head.method_text == "HEAD";
  const std::string_view protocol = head_.pseudo(Pseudo::protocol), scheme = head_.pseudo(Pseudo::scheme);
  if (head.method_text == "CONNECT" && protocol.empty()) return refuse(Kind::malformed, 501, "CONNECT");
  if (!iequals(scheme, "https") && !iequals(scheme, "http"))
    return refuse(Kind::malformed, 400, "a :scheme other than http and https");
  if (!protocol.empty()) head.method_text = "GET";
  const ConnectionTraits none;
  ConnectionTraits traits = none;
  const Verdict verdict = validate_request(head, server().max_target_, traits);
  if (verdict.refused()) return refuse(Kind::malformed, verdict.code, verdict.why);
  if (!protocol.empty()) return read_tunnel(head, protocol);
  if (body_limit_ && head.body.kind == BodyLength::Kind::known && head.body.bytes > *body_limit_)
    return refuse(Kind::too_large, 413, "body over the limit");
  return Io::ready;
}

/// Extended CONNECT (RFC 8441) is to the rest of remora what HTTP/1.1 sends for the same: GET with Upgrade.
Io Http2ServerStream::read_tunnel(RequestHead& head, std::string_view protocol) {
  if (!is_token(protocol)) return refuse(Kind::malformed, 400, "a :protocol that is no token");
  asks_tunnel_ = true;
  priority_.incremental = true;  // its end is not known (RFC 9218 11)
  body_limit_.reset();
  head.tunnel = true;
  head.expect_continue = false;
  head.body = {};
  std::erase_if(head.fields, [](const Field& f) { return f.known == Known::content_length; });
  head.fields.push_back({"Upgrade", protocol, Known::upgrade});
  return Io::ready;
}

/// Until the tunnel is granted, its request has no body: DATA frames wait.
Io Http2ServerStream::fill() {
  const bool waits = asks_tunnel_ && !tunnels_ && failure_.kind == Kind::none && !is_lost();
  return waits ? Io::ready : fill_body();
}

Body Http2ServerStream::body() {
  return asks_tunnel_ && !tunnels_ ? Body{{}, true} : received_body();
}

bool Http2ServerStream::request_complete() const noexcept {
  return (all_received() && queue_.empty()) || (asks_tunnel_ && !tunnels_);
}

void Http2ServerStream::tunnel() {
  tunnels_ = true;
}

void Http2ServerStream::look_for_end() noexcept {
  server().look_for_end();
}

bool Http2ServerStream::is_secure() const noexcept {
  return server().is_tls();
}

// Stream: sending -----------------------------------------------------------------------------------

void Http2ServerStream::put_head(const OutHead& head) {
  if (is_lost() || aborted_ || head_sent()) return;
  sent_ = Progress::head;
  std::uint16_t status = head.status;
  const bool tunnel = status == 101;
  if (tunnel) status = 200;
  // To an extended CONNECT, 2xx would mean that there is a tunnel.
  if (!tunnel && asks_tunnel_ && status >= 200 && status < 300) status = 502;
  const bool empty = !tunnel && (bodiless_ || head.body.is_empty());
  announced_.assign(head.trailers);
  grpc_trailers_ = head.grpc_trailers;
  if (empty) sent_ = Progress::all;
  submit(head, status, empty ? Follows::nothing : Follows::body);
  if (head.close && !tunnel && failure_.kind == Kind::none && request_complete()) server().shutdown();
}

void Http2ServerStream::put_interim(const OutHead& head) {
  if (is_lost() || aborted_ || head_sent() || head.status == 101) return;
  submit(head, head.status, Follows::another_head);
}

void Http2ServerStream::submit(const OutHead& head, std::uint16_t status, Follows follows) {
  if (!submit_response(server().session_, *this, head, status, follows)) server().lose();
}

Io Http2ServerStream::flush() {
  if (is_lost() || aborted_) return Io::failed;
  server().flush_soon();
  return Io::ready;
}

// Session -------------------------------------------------------------------------------------------

Http2ServerSession::Http2ServerSession(Loop& loop, const Http2Settings& settings,
                                       const config::ListenerLimits& limits, Owner& owner)
    : Http2Session(loop, Http2End::server, settings, limits.header_bytes, limits.headers),
      owner_(owner),
      max_body_(limits.body_bytes),
      max_target_(static_cast<std::uint32_t>(limits.target_bytes)),
      max_streams_(settings.max_concurrent_streams) {}

Http2ServerSession::~Http2ServerSession() {
  clear();
}

/// Null: exchanges of streams that the client has reset still run (CVE-2023-44487).
Http2Stream* Http2ServerSession::make_stream(std::int32_t id) {
  if (running_ >= max_streams_) return nullptr;
  auto* const stream = new Http2ServerStream(*this, id);
  ++running_;
  streams_.add(*stream);
  return stream;
}

bool Http2ServerSession::take_head(Http2Stream& stream, ReceivedHead head) {
  auto& request = static_cast<Http2ServerStream&>(stream);
  request.head_ = std::move(head.block);
  request.oversized_ = head.oversized;
  request.ended_by_head_ = head.ends;
  return true;
}

void Http2ServerSession::tell(Http2Stream& stream) {
  auto& request = static_cast<Http2ServerStream&>(stream);
  if (request.owner_state_ == Http2ServerStream::OwnerState::told) return request.notify();
  if (request.head_received() && !request.is_lost()) {
    request.owner_state_ = Http2ServerStream::OwnerState::told;
    return owner_.stream_opened(request);
  }
  // It came to nothing: malformed, or reset at once.
  const bool refused = !request.head_received() && !request.lost_;
  --running_;
  drop(stream);
  if (refused) owner_.head_refused("malformed head");
}

void Http2ServerSession::drop(Http2Stream& stream) noexcept {
  delete static_cast<Http2ServerStream*>(&stream);
}

void Http2ServerSession::done(Http2ServerStream& stream) noexcept {
  --running_;
  stream.owner_state_ = Http2ServerStream::OwnerState::done;
  stream.release_memory();
  stream.head_.reset();
  if (stream.closed_ || stream.lost_ || is_over()) return drop(stream);
  if (!stream.all_sent() && !stream.aborted_) {
    stream.aborted_ = true;
    reset_stream(stream.id(), stream.head_read_ ? Http2Error::internal_error : Http2Error::refused_stream);
  } else if (stream.all_sent() && !stream.all_received()) {
    // nghttp2 would drop what it has not serialized yet.
    if (nghttp2_session_get_stream_local_close(session_, stream.id()) == 1)
      reset_stream(stream.id(), Http2Error::no_error);
    else
      stream.reset_due_ = true;
    flush_soon();
  }
}

}  // namespace remora
