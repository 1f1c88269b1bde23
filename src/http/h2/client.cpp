#include "http/h2/client.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "http/h1/head.h"
#include "http/h2/callbacks.h"
#include "http/h2/submit.h"
#include "http/reason.h"
#include "http/validate.h"
#include "util/text.h"

namespace remora {

namespace {

using Kind = StreamFailure::Kind;

/// Interim responses that nobody has read yet: no window bounds them.
constexpr std::size_t max_unread_interims = 100;

/// What the server of a WebSocket makes of Sec-WebSocket-Key (RFC 6455 4.2.2).
std::string accept_for(std::string_view key) {
  const std::string proof = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  ::SHA1(reinterpret_cast<const unsigned char*>(proof.data()), proof.size(), digest.data());
  return base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

/// RFC 6455 4.1: what a client must send. Sixteen bytes in base64.
bool is_websocket_key(std::string_view key) {
  const auto bytes = base64_decode(key);
  return bytes && bytes->size() == 16;
}

/// Whether extended CONNECT can carry what the head asks for: it has no body, and nothing but the key says
/// that an HTTP/1.1 client really speaks WebSocket. Otherwise Upgrade is ignored (RFC 9110 7.8).
bool carries_tunnel(const OutHead& head, bool websocket) {
  if (!head.body.is_empty()) return false;
  if (!websocket) return true;
  const auto is_key = [](const Field& f) { return iequals(f.name, "sec-websocket-key"); };
  const auto key = std::find_if(head.fields.begin(), head.fields.end(), is_key);
  return head.method == "GET" && key != head.fields.end() && is_websocket_key(key->value) &&
         std::none_of(key + 1, head.fields.end(), is_key);
}

std::uint16_t status_of(std::string_view text) noexcept {
  const auto n = parse_decimal(text);
  return n && *n <= 999 ? static_cast<std::uint16_t>(*n) : std::uint16_t{0};
}

}  // namespace

// Stream: sending -----------------------------------------------------------------------------------

Http2ClientStream::Http2ClientStream(Http2ClientSession& session, bool reused) noexcept
    : Http2Stream(session, 0), reused_(reused) {
  owner_state_ = OwnerState::told;  // it opens the stream
}

Http2ClientSession& Http2ClientStream::client() const noexcept {
  return static_cast<Http2ClientSession&>(session_);
}

TransportRef Http2ClientStream::release() {
  client().done(*this);
  return {};
}

void Http2ClientStream::put_head(const OutHead& head) {
  if (is_lost() || head_sent()) return;
  begins_at_ = client().bytes_submitted();
  client().submit(*this, head);
}

bool Http2ClientStream::began() const noexcept {
  return head_sent() && session_.bytes_sent() > begins_at_;
}

/// HTTP/1.1 clients want an answer to their key, which HTTP/2 does not carry (RFC 8441 5).
void Http2ClientStream::choose_tunnel(const OutHead& head) {
  if (head.tunnel.empty()) return;
  std::string_view first = trim(head.tunnel.substr(0, head.tunnel.find(',')));
  const bool websocket = iequals(first, "websocket");
  if (websocket) first = "websocket";  // HTTP/1.1 compares without case
  asks_tunnel_ = carries_tunnel(head, websocket);
  if (!asks_tunnel_) return;
  protocol_ = first;
  if (!websocket) return;
  for (const Field& f : head.fields)
    if (iequals(f.name, "sec-websocket-key")) accept_ = accept_for(f.value);
}

void Http2ClientStream::look_for_end() noexcept {
  client().look_for_end();
}

void Http2ClientStream::abort() noexcept {
  if (aborted_ || closed_ || lost_ || id_ == 0 || (all_sent() && all_received())) return;
  aborted_ = true;
  client().reset_stream(id_, Http2Error::cancel);
}

bool Http2ClientStream::reusable() const noexcept {
  return all_received() && all_sent() && !tunnels_ && queue_.empty();
}

// Stream: receiving ---------------------------------------------------------------------------------

Io Http2ClientStream::fail(Kind kind, const char* why) noexcept {
  failure_ = {kind, 502, why};
  return Io::failed;
}

Io Http2ClientStream::fail_without_head() noexcept {
  // RFC 9113 8.7: by REFUSED_STREAM, and for streams above GOAWAY's last one, the server says that it did
  // not act on the request.
  if (closed_ && close_code_ == NGHTTP2_REFUSED_STREAM) return fail(Kind::refused, "refused by the server");
  if (closed_ && close_code_ == NGHTTP2_HTTP_1_1_REQUIRED)
    return fail(Kind::http1_required, "the server wants HTTP/1.1");
  if (lost_ && !client().knows(*this))
    return fail(Kind::refused, "the connection was lost before it was sent");
  if (closed_ && !peer_reset_ && close_code_ != NGHTTP2_NO_ERROR)
    return fail(Kind::malformed, "malformed response");
  return fail(Kind::reset, "reset before the response head");
}

Io Http2ClientStream::read_head(ResponseHead& head, Method asked) {
  if (failure_.kind != Kind::none) return Io::failed;
  if (oversized_) return fail(Kind::malformed, "response head too large");
  if (!interims_.empty()) {
    shown_ = std::move(interims_.front());
    interims_.erase(interims_.begin());
    return read_block(head, asked, false);
  }
  if (head_received()) {
    if (head_) shown_ = std::move(head_);
    return read_block(head, asked, ended_by_head_);
  }
  return closed_ || lost_ ? fail_without_head() : Io::blocked;
}

/// Reads `shown_`. `ends`: no body follows.
Io Http2ClientStream::read_block(ResponseHead& head, Method asked, bool ends) {
  head.version = Version::http2;
  head.status = status_of(shown_.pseudo(Pseudo::status));
  head.reason = reason_phrase(head.status);
  shown_.read(head.fields);
  head.body = {ends ? BodyLength::Kind::none : BodyLength::Kind::unknown, 0};
  const bool granted = asks_tunnel_ && head.status >= 200 && head.status < 300;
  ConnectionTraits traits;
  const Verdict verdict = validate_response(head, granted ? Method::connect : asked, traits);
  if (verdict.refused()) return fail(Kind::malformed, verdict.why);
  if (granted) return read_granted(head);
  if (asks_tunnel_ && head.status >= 300) {
    // No tunnel: then the request is complete.
    asks_tunnel_ = false;
    static_cast<void>(send_body({{}, true}, nullptr));
  }
  return Io::ready;
}

Io Http2ClientStream::read_granted(ResponseHead& head) {
  head.status = 101;
  head.reason = reason_phrase(head.status);
  head.tunnel = true;
  head.body = {};
  std::erase_if(head.fields, [](const Field& f) {
    return f.known == Known::content_length || iequals(f.name, "sec-websocket-accept");
  });
  head.fields.push_back({"Upgrade", protocol_, Known::upgrade});
  if (!accept_.empty()) head.fields.push_back({"Sec-WebSocket-Accept", accept_});
  return Io::ready;
}

/// A complete response stands, even if its connection was lost afterwards.
Io Http2ClientStream::fill() {
  return all_received() && failure_.kind == Kind::none ? Io::ready : fill_body();
}

// Session -------------------------------------------------------------------------------------------

Http2ClientSession::Http2ClientSession(Loop& loop, const Http2Settings& settings, bool secure, Owner& owner)
    : Http2Session(loop, Http2End::client, settings, response_limits().header_bytes,
                   response_limits().headers),
      owner_(owner),
      max_streams_(settings.max_concurrent_streams),
      secure_(secure) {}

Http2ClientSession::~Http2ClientSession() {
  clear();
}

std::uint32_t Http2ClientSession::max_streams() const noexcept {
  return std::min(max_streams_,
                  nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
}

bool Http2ClientSession::takes_requests() const noexcept {
  return settings_received_ && !is_over() && !is_shutting_down() &&
         nghttp2_session_check_request_allowed(session_) != 0;
}

bool Http2ClientSession::allows_tunnels() const noexcept {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

Http2ClientStream& Http2ClientSession::open() {
  auto* const stream = new Http2ClientStream(*this, carried_);
  carried_ = true;
  ++running_;
  ++open_;
  streams_.add(*stream);
  return *stream;
}

void Http2ClientSession::ping() noexcept {
  if (is_over()) return;
  if (nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr) != 0) lose();
  flush_soon();
}

void Http2ClientSession::submit(Http2ClientStream& stream, const OutHead& head) {
  stream.choose_tunnel(head);
  if (stream.asks_tunnel_ && !allows_tunnels()) {
    stream.fail(Kind::malformed, "the server does not know extended CONNECT");
    return;
  }
  std::string_view authority;
  for (const Field& f : head.fields)
    if (f.known == Known::host) authority = f.value;
  std::array<Http2Pseudo, 5> pseudo{{{":method", head.method},
                                     {":scheme", secure_ ? "https" : "http"},
                                     {":authority", authority},
                                     {":path", head.target}}};
  std::size_t count = pseudo.size() - 1;
  if (stream.asks_tunnel_) {
    pseudo[0].second = "CONNECT";
    pseudo[count++] = {":protocol", stream.protocol_};
  }
  const bool body = stream.asks_tunnel_ || !head.body.is_empty();
  stream.announced_.assign(head.trailers);
  stream.sent_ = body ? Http2ClientStream::Progress::head : Http2ClientStream::Progress::all;
  const Follows follows = stream.asks_tunnel_ ? Follows::tunnel : body ? Follows::body : Follows::nothing;
  const std::int32_t id = submit_request(session_, stream, {pseudo.data(), count}, head, follows);
  if (id < 0)
    lose();
  else
    stream.id_ = id;
  flush_soon();
}

/// nghttp2 has sent the request, or begun to.
bool Http2ClientSession::knows(const Http2ClientStream& stream) const noexcept {
  return stream.id_ != 0 &&
         (stream.closed_ || nghttp2_session_get_stream_user_data(session_, stream.id_) != nullptr);
}

bool Http2ClientSession::take_head(Http2Stream& stream, ReceivedHead head) {
  auto& response = static_cast<Http2ClientStream&>(stream);
  if (head.oversized) {
    response.oversized_ = true;
    return true;
  }
  const std::uint16_t status = status_of(head.block.pseudo(Pseudo::status));
  if (status >= 200) {
    response.head_ = std::move(head.block);
    response.ended_by_head_ = head.ends;
    return true;
  }
  if (response.interims_.size() == max_unread_interims)
    response.oversized_ = true;
  else
    response.interims_.push_back(std::move(head.block));
  return false;
}

void Http2ClientSession::tell(Http2Stream& stream) {
  static_cast<Http2ClientStream&>(stream).notify();
}

void Http2ClientSession::drop(Http2Stream& stream) noexcept {
  delete static_cast<Http2ClientStream*>(&stream);
  --open_;
  owner_.stream_ended(false);
}

void Http2ClientSession::done(Http2ClientStream& stream) noexcept {
  const bool silent = stream.head_sent() && !stream.head_received() && !stream.closed_ && !stream.lost_;
  stream.abort();
  --running_;
  stream.owner_state_ = Http2ClientStream::OwnerState::done;
  stream.release_memory();
  stream.head_.reset();
  stream.interims_.clear();
  if (silent) owner_.stream_ended(true);
  if (stream.closed_ || stream.lost_ || stream.id_ == 0 || is_over()) drop(stream);
}

}  // namespace remora
