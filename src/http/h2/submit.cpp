#include "http/h2/submit.h"

#include "http/h1/grammar.h"
#include "http/h2/callbacks.h"
#include "http/trailers.h"
#include "util/text.h"

namespace remora {

namespace {

nghttp2_nv pair(std::string_view name, std::string_view value,
                std::uint8_t flags = NGHTTP2_NV_FLAG_NONE) noexcept {
  // nghttp2 does not write to them.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), flags};
}

/// Fields that stay out of HPACK's table. Some have another value in each request: there they would only push
/// out the others (ids of requests turn the whole table over every 50 requests, and nghttp2 compares a value
/// with all of its name: a quarter of the instructions of a request). And many clients share a connection to
/// a backend: nobody may find out another one's secrets by how well his own guesses are compressed (RFC 7541
/// 7.1). nghttp2 itself sees to Authorization, Set-Cookie and Content-Length.
std::uint8_t indexing_of(Known known) noexcept {
  switch (known) {
    case Known::cookie:
    case Known::proxy_authorization:
    case Known::remora:
    case Known::x_request_id:
      return NGHTTP2_NV_FLAG_NO_INDEX;
    default:
      return NGHTTP2_NV_FLAG_NONE;
  }
}

nghttp2_nv pair(const Field& f) noexcept {
  // Requests may have their ids in a field of any name (`request_id`).
  const std::string_view name = f.known == Known::x_request_id ? std::string_view() : name_of(f.known);
  if (name.empty()) return pair(f.name, f.value, indexing_of(f.known));
  const unsigned flags = indexing_of(f.known) | NGHTTP2_NV_FLAG_NO_COPY_NAME;
  return pair(name, f.value, static_cast<std::uint8_t>(flags));
}

/// RFC 9113 8.2.2.
bool concerns_connection(Known known) noexcept {
  switch (known) {
    case Known::connection:
    case Known::keep_alive:
    case Known::proxy_connection:
    case Known::transfer_encoding:
    case Known::upgrade:
      return true;
    default:
      return false;
  }
}

/// RFC 8441 5: what HTTP/1.1 says besides when it grants a WebSocket.
bool concerns_handshake(const Field& f) noexcept {
  return f.known == Known::content_length || iequals(f.name, "sec-websocket-accept");
}

/// A reused array.
std::vector<nghttp2_nv>& pairs() {
  static thread_local std::vector<nghttp2_nv> reused;
  reused.clear();
  return reused;
}

}  // namespace

bool submit_response(nghttp2_session* session, Http2Stream& stream, const OutHead& head, std::uint16_t status,
                     Follows follows) {
  const char digits[3] = {static_cast<char>('0' + status / 100), static_cast<char>('0' + status / 10 % 10),
                          static_cast<char>('0' + status % 10)};
  std::vector<nghttp2_nv>& fields = pairs();
  fields.push_back(pair(":status", {digits, sizeof digits}));
  const bool tunnel = !head.tunnel.empty();
  for (const Field& f : head.fields) {
    if (concerns_connection(f.known) || (tunnel && concerns_handshake(f))) continue;
    fields.push_back(pair(f));
  }
  nghttp2_data_provider body{};
  body.source.ptr = &stream;
  body.read_callback = Http2Callbacks::read;
  const int rc = follows == Follows::another_head
                     ? nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, stream.id(), nullptr, fields.data(),
                                              fields.size(), nullptr)
                     : nghttp2_submit_response(session, stream.id(), fields.data(), fields.size(),
                                               follows == Follows::body ? &body : nullptr);
  return rc >= 0;
}

std::int32_t submit_request(nghttp2_session* session, Http2Stream& stream,
                            std::span<const Http2Pseudo> pseudo, const OutHead& head, Follows follows) {
  std::vector<nghttp2_nv>& fields = pairs();
  for (const auto& [name, value] : pseudo) fields.push_back(pair(name, value));
  for (const Field& f : head.fields) {
    if (concerns_connection(f.known) || f.known == Known::host) continue;  // :authority
    // RFC 8441 5: the stream itself proves that the server has understood.
    if (follows == Follows::tunnel &&
        (f.known == Known::content_length || iequals(f.name, "sec-websocket-key")))
      continue;
    fields.push_back(pair(f));
  }
  nghttp2_data_provider data{};
  data.source.ptr = &stream;
  data.read_callback = Http2Callbacks::read;
  return nghttp2_submit_request(session, nullptr, fields.data(), fields.size(),
                                follows == Follows::nothing ? nullptr : &data, &stream);
}

bool submit_trailers(nghttp2_session* session, std::int32_t id, const std::vector<Field>& trailers,
                     std::string_view announced, bool grpc) {
  std::vector<nghttp2_nv>& fields = pairs();
  for (const Field& f : trailers)
    if (may_be_trailer(f, announced) || (grpc && may_be_grpc_trailer(f)))
      fields.push_back(pair(f.name, f.value));
  return !fields.empty() && nghttp2_submit_trailer(session, id, fields.data(), fields.size()) == 0;
}

}  // namespace remora
