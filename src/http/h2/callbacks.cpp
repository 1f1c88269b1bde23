#include "http/h2/callbacks.h"

#include <algorithm>

#include "http/h1/grammar.h"
#include "http/h2/submit.h"

namespace remora {

namespace {

std::string_view view(const std::uint8_t* text, std::size_t size) noexcept {
  return {reinterpret_cast<const char*>(text), size};
}

Http2Session& session_of(void* user) noexcept {
  return *static_cast<Http2Session*>(user);
}

Http2Stream* stream_of(nghttp2_session* session, std::int32_t id) noexcept {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
}

/// Runs `f`, which returns nghttp2's code. Without memory the connection ends.
template <class F>
int guarded(F f) noexcept {
  try {
    return f();
  } catch (...) {
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
}

/// RFC 9113 6.3: PRIORITY on stream 0 is a connection error. nghttp2 passes over PRIORITY frames where the
/// priorities of RFC 7540 are off.
int frame_begins(nghttp2_session* session, const nghttp2_frame_hd* head, void*) {
  if (head->type != NGHTTP2_PRIORITY || head->stream_id != 0) return 0;
  const bool ends = nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR) == 0;
  return ends ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/// By default nghttp2 would drop the field and go on; RFC 9113 8.1.1: the message is malformed.
int invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                   const std::uint8_t*, std::size_t, std::uint8_t, void*) {
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/// nghttp2 does not send a head that is too large for it. A request's stream it closes itself, and of a
/// stream that the peer has reset nothing more is said (RFC 9113 5.4.2).
int frame_not_sent(nghttp2_session* session, const nghttp2_frame* frame, int, void*) {
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat != NGHTTP2_HCAT_REQUEST &&
      nghttp2_session_find_stream(session, frame->hd.stream_id) != nullptr)
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
  return 0;
}

}  // namespace

// Receiving -----------------------------------------------------------------------------------------

int Http2Callbacks::begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) noexcept {
  Http2Session& s = session_of(user);
  return guarded([&] {
    const std::int32_t id = frame->hd.stream_id;
    s.incoming_.begin();
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
      s.incoming_.set_stream(stream_of(session, id));
      return 0;
    }
    Http2Stream* const st = s.make_stream(id);
    s.incoming_.set_stream(st);
    if (st != nullptr) return nghttp2_session_set_stream_user_data(session, id, st);
    s.flood_.stream_reset();
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
  });
}

int Http2Callbacks::header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                           std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                           std::uint8_t, void* user) noexcept {
  Http2Session& s = session_of(user);
  return guarded([&]() -> int {
    const bool fits = s.incoming_.add(view(name, name_size), view(value, value_size));
    return fits ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  });
}

int Http2Callbacks::frame_received(nghttp2_session* session, const nghttp2_frame* frame,
                                   void* user) noexcept {
  Http2Session& s = session_of(user);
  return guarded([&] {
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        return headers_received(session, *frame, s);
      case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
          if (Http2Stream* st = stream_of(session, frame->hd.stream_id)) end_received(s, *st);
        }
        break;
      case NGHTTP2_SETTINGS:
        s.settings_received_ = true;
        s.may_resume_ = true;
        break;
      case NGHTTP2_WINDOW_UPDATE:
        s.may_resume_ = true;
        break;
      case NGHTTP2_RST_STREAM:
        if (Http2Stream* st = stream_of(session, frame->hd.stream_id)) st->peer_reset_ = true;
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) s.say_goaway();
        break;
      case NGHTTP2_PRIORITY_UPDATE: {
        const auto* update = static_cast<const nghttp2_ext_priority_update*>(frame->ext.payload);
        if (update->stream_id == 0)  // RFC 9218 7.1; nghttp2 lets it pass
          return nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
        if (Http2Stream* st = stream_of(session, update->stream_id))
          st->priority_ = read_priority(view(update->field_value, update->field_value_len));
        break;
      }
      default:
        break;
    }
    return 0;
  });
}

/// A header block is complete: a head or trailers.
int Http2Callbacks::headers_received(nghttp2_session* session, const nghttp2_frame& frame, Http2Session& s) {
  Http2Stream* const st = s.incoming_.take_stream();
  if (st == nullptr || st->is_done() || st->aborted_) return 0;
  const bool oversized = s.incoming_.oversized();
  HeadBlock block = s.incoming_.finish(s.loop_.buffers);
  if (st->head_received()) {
    if (oversized || !take_trailers(s, *st, std::move(block)))
      return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, st->id_, NGHTTP2_PROTOCOL_ERROR);
    end_received(s, *st);
    return 0;
  }
  const bool ends = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  st->priority_ = block.priority();
  using Progress = Http2Stream::Progress;
  if (s.take_head(*st, {std::move(block), oversized, ends}))
    st->received_ = ends ? Progress::all : Progress::head;
  s.streams_.mark(*st);
  return 0;
}

/// False: a request with a framing or Host field in its trailers, which smugglers send.
bool Http2Callbacks::take_trailers(Http2Session& s, Http2Stream& st, HeadBlock block) {
  auto trailers = std::make_unique<Http2Stream::Trailers>();
  trailers->block = std::move(block);
  trailers->block.read(trailers->fields);
  for (const Field& f : trailers->fields)
    if (s.end_ == Http2End::server && frames_or_routes(f.known)) return false;
  std::erase_if(trailers->fields, [](const Field& f) { return forbidden_in_trailers(f.known); });
  if (!trailers->fields.empty()) st.trailers_ = std::move(trailers);
  return true;
}

void Http2Callbacks::end_received(Http2Session& s, Http2Stream& st) noexcept {
  // The head of a stream that we have aborted was passed over, so what ends there had no head.
  if (st.head_received()) st.received_ = Http2Stream::Progress::all;
  s.streams_.mark(st);
}

int Http2Callbacks::data_received(nghttp2_session* session, std::uint8_t, std::int32_t id,
                                  const std::uint8_t* bytes, std::size_t size, void* user) noexcept {
  Http2Session& s = session_of(user);
  return guarded([&] {
    Http2Stream* const st = stream_of(session, id);
    s.flood_.data_received(size);
    if (st == nullptr || st->is_done() || st->aborted_ || st->failure_.kind != StreamFailure::Kind::none)
      return nghttp2_session_consume(session, id, size);
    st->received_bytes_ += size;
    if (st->body_limit_ && st->received_bytes_ > *st->body_limit_) {
      st->failure_ = {StreamFailure::Kind::too_large, 413, "body over the limit"};
      const std::size_t all = size + st->queue_.size();
      st->queue_.clear();
      s.streams_.mark(*st);
      return nghttp2_session_consume(session, id, all);
    }
    st->queue_.push(s.loop_.buffers, view(bytes, size));
    s.streams_.mark(*st);
    return 0;
  });
}

int Http2Callbacks::stream_closed(nghttp2_session* session, std::int32_t id, std::uint32_t code,
                                  void* user) noexcept {
  Http2Session& s = session_of(user);
  Http2Stream* const st = stream_of(session, id);
  if (st == nullptr) return 0;
  s.incoming_.forget(*st);
  st->closed_ = true;
  st->close_code_ = code;
  // A head that ends the response may be submitted, but not serialized yet: then nobody waited for it. A
  // backend may reset what it answers early (RFC 9113 8.1), and a client of ours must not end the connection
  // of all others with that.
  if (nghttp2_session_get_stream_local_close(session, id) == 1)
    s.flood_.response_sent();
  else if (!st->aborted_ && s.end_ == Http2End::server)
    s.flood_.stream_reset();
  if (st->is_done())
    s.drop(*st);
  else if (!st->all_sent() || !st->all_received())
    s.streams_.mark(*st);
  return 0;
}

// Sending -------------------------------------------------------------------------------------------

ssize_t Http2Callbacks::read(nghttp2_session* session, std::int32_t, std::uint8_t*, std::size_t most,
                             std::uint32_t* flags, nghttp2_data_source* source, void* user) noexcept {
  const Http2Sender::Loan& loan = session_of(user).sender_.loan();
  Http2Stream& st = *static_cast<Http2Stream*>(source->ptr);
  if (loan.stream != &st || (loan.left == 0 && !loan.last)) {
    st.deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t n = std::min(most, loan.left);
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n < loan.left || !loan.last) return static_cast<ssize_t>(n);
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  st.sent_ = Http2Stream::Progress::all;
  const int more = guarded([&] {
    return loan.trailers != nullptr &&
           submit_trailers(session, st.id_, *loan.trailers, st.announced_, st.grpc_trailers_);
  });
  if (more < 0) return more;
  if (more > 0) *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
  return static_cast<ssize_t>(n);
}

int Http2Callbacks::send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* header, std::size_t size,
                              nghttp2_data_source*, void* user) noexcept {
  constexpr std::size_t header_bytes = 9;
  Http2Session& s = session_of(user);
  return guarded([&]() -> int {
    s.sender_.append_data(view(header, header_bytes), size);
    s.flood_.data_sent(size, s.sender_.loan().left == 0);
    return s.sender_.has_room() ? 0 : NGHTTP2_ERR_PAUSE;
  });
}

/// Of a stream that reads no more of its request, once its response has gone out.
int Http2Callbacks::frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void*) noexcept {
  if (frame->hd.type != NGHTTP2_HEADERS || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  const Http2Stream* st = stream_of(session, frame->hd.stream_id);
  if (st == nullptr || !st->reset_due_) return 0;
  const int rc = nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
  return rc == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

const nghttp2_session_callbacks* Http2Callbacks::all() {
  static const nghttp2_session_callbacks* const made = [] {
    nghttp2_session_callbacks* c = nullptr;
    if (nghttp2_session_callbacks_new(&c) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, frame_begins);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data_received);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_closed);
    nghttp2_session_callbacks_set_send_data_callback(c, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, frame_not_sent);
    return c;
  }();
  return made;
}

}  // namespace remora
