#include "http/h2/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "http/h2/callbacks.h"

namespace remora {

namespace {

constexpr auto goaway_delay = std::chrono::seconds(1);

/// Frames that may wait in nghttp2 while the socket is blocked.
std::uint32_t max_queued_with(const Http2Settings& settings) noexcept {
  constexpr std::uint32_t per_stream = 4;
  return per_stream * std::max<std::uint32_t>(settings.max_concurrent_streams, 64);
}

}  // namespace

Http2Session::Http2Session(Loop& loop, Http2End end, const Http2Settings& settings, std::size_t header_bytes,
                           std::size_t headers)
    : loop_(loop),
      session_(*this, end, settings, header_bytes),
      turn_(loop, *this),
      sender_(loop.buffers, session_),
      flood_(loop.clock, end == Http2End::server ? NGHTTP2_CLIENT_MAGIC_LEN : 0),
      incoming_(header_bytes, headers),
      max_queued_(max_queued_with(settings)),
      end_(end) {}

// Transport -----------------------------------------------------------------------------------------

void Http2Session::use(TransportRef transport, EventFlags& wake, unsigned bit) {
  transport_ = std::move(transport);
  wake_ = &wake;
  bit_ = bit;
  transport_->attach(wake, bit);
  sender_.use(transport_.get());
}

TransportRef Http2Session::release() {
  wake_ = nullptr;
  sender_.use(nullptr);
  incoming_.release();  // a parked connection keeps little memory
  if (is_idle()) session_.discard_pages();
  return std::exchange(transport_, TransportRef());
}

Io Http2Session::receive() {
  if (over_ || !transport_) return Io::failed;
  if (transport_->unread().empty()) {
    const Io io = transport_->fill();
    if (io == Io::blocked) return Io::blocked;
    if (io == Io::failed || transport_->unread().empty()) lose();  // empty: the peer has ended
  }
  if (!over_) {
    const std::string_view bytes = transport_->unread();
    const char* const flood = process(bytes);
    if (flood != nullptr) {
      terminate(Http2Error::enhance_your_calm);
      tell_flood(flood);
    }
    transport_->consume(bytes.size());
  }
  // What nghttp2 itself has to say may end the connection: then no stream of these bytes begins.
  if (sender_.shutdown().goaway_due() || nghttp2_session_want_write(session_) != 0)
    turn();
  else
    wake_marked();
  // After a short receive there is nothing more for now: wait, without asking the kernel first. (TLS: there
  // may be more to decrypt.)
  if (!over_ && !transport_->is_tls() && !transport_->peer_closed()) transport_->arm();
  return over_ ? Io::failed : Io::ready;
}

/// Gives nghttp2 what was received. Returns what the peer floods with: static text; null if it does not.
const char* Http2Session::process(std::string_view bytes) {
  if (!flood_.feed(bytes)) return flood_.what();
  const ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (n >= 0 && flood_.floods()) return flood_.what();
  // While the socket is blocked, the frames of streams that are closed again wait in nghttp2.
  if (n >= 0 && sender_.is_blocked() && nghttp2_session_get_outbound_queue_size(session_) > max_queued_)
    return "requests whose responses are not read";
  if (n >= 0) return nullptr;
  if (incoming_.floods()) return "a header block of many times the limit";
  if (n == NGHTTP2_ERR_FLOODED || n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
    return "frames beyond nghttp2's limits";
  if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
    lose();
  else
    terminate(Http2Error::internal_error);
  return nullptr;
}

/// With several open streams more will soon be due: see PostedTurn.
void Http2Session::flush() {
  if (running_ > 1 && !over_) return flush_soon();
  turn();
}

void Http2Session::flush_soon() noexcept {
  if (!in_turn_) turn_.post();
}

void Http2Session::posted_turn() {
  turn();
  const bool blocked = send_blocked();
  const bool news = over_ || blocked != std::exchange(told_blocked_, blocked);  // for its deadlines
  if (news && wake_ != nullptr) wake_->set(bit_);  // the owner may destroy the session now
}

// Turns ---------------------------------------------------------------------------------------------

/// Streams are woken in turns only.
struct Http2Session::InTurn {
  bool& flag;
  explicit InTurn(bool& f) : flag(f) { flag = true; }
  ~InTurn() { flag = false; }
};

void Http2Session::wake_marked() {
  if (in_turn_) return;
  const InTurn guard(in_turn_);
  tell_marked();
}

void Http2Session::turn() {
  if (in_turn_) return;
  {
    const InTurn guard(in_turn_);
    tell_marked();
    send_due();
    if (std::exchange(may_resume_, false) && streams_.has_stalled()) {
      wake_stalled();
      send_due();
    }
    end_if_over();
    if (over_) tell_marked();
  }
  if (streams_.has_marked() || may_resume_) flush_soon();
}

void Http2Session::tell_marked() {
  while (streams_.has_marked()) {
    Http2Stream& stream = streams_.take_marked();
    if (!stream.is_done()) tell(stream);
  }
}

void Http2Session::send_due() {
  if (!transport_ || over_) return;
  if (sender_.unblock()) may_resume_ = true;
  if (!sender_.send_due()) lose();
}

/// Wakes stalled streams whose windows are open, as long as the socket takes what they send.
void Http2Session::wake_stalled() {
  Http2Streams::Ready ready(streams_, session_);
  while (!ready.empty() && !sender_.is_blocked() && !over_ &&
         nghttp2_session_get_remote_window_size(session_) > 0)
    tell(ready.take());
}

// Streams -------------------------------------------------------------------------------------------

void Http2Session::clear() noexcept {
  over_ = true;
  while (!streams_.empty()) drop(streams_.first());
}

void Http2Session::consume(std::int32_t id, std::size_t n) noexcept {
  if (n == 0 || over_) return;
  if (nghttp2_session_consume(session_, id, n) != 0) return lose();
  if (nghttp2_session_want_write(session_) != 0) flush_soon();
}

WriteResult Http2Session::send(Http2Stream& stream, const Body& body, const std::vector<Field>* trailers) {
  WriteResult result;
  if (stream.is_lost() || stream.aborted_ || over_) {
    result.io = Io::failed;
    return result;
  }
  if (stream.all_sent()) {
    flush_soon();
    result.finished = true;
    return result;
  }
  const std::size_t size = body.size();
  if (size == 0 && !body.last) {
    flush_soon();  // the head
    return result;
  }
  Http2Streams::unstall(stream);
  const Http2Sender::Sent sent = sender_.send(stream, body, trailers);
  if (sent.lost) lose();
  result.bytes = sent.bytes;
  flush_soon();
  result.finished = stream.all_sent();
  if (over_) {
    result.io = Io::failed;
  } else if (!stream.all_sent() && (result.bytes < size || body.last)) {
    result.io = Io::blocked;
    streams_.stall(stream);
  }
  return result;
}

void Http2Session::reset_stream(std::int32_t id, Http2Error code) noexcept {
  if (over_) return;
  if (nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<std::uint32_t>(code)) != 0)
    lose();
  flush_soon();
}

// The end -------------------------------------------------------------------------------------------

void Http2Session::lose() noexcept {
  if (std::exchange(over_, true)) return;
  sender_.clear();
  streams_.lose();
  flush_soon();  // tells them, and the owner
}

void Http2Session::end_if_over() noexcept {
  if (over_ || !transport_ || sender_.has_pending()) return;
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) lose();
}

void Http2Session::shutdown() {
  GracefulShutdown& ending = sender_.shutdown();
  if (ending.has_begun() || over_) return;
  if (!ending.begin(session_)) return lose();
  turn_.set_deadline(goaway_delay);
  flush_soon();
}

void Http2Session::time_is_up() {
  say_goaway();
  flush_soon();
}

/// The client has heard of the first step of shutdown(), or had time to.
void Http2Session::say_goaway() noexcept {
  if (!over_ && sender_.shutdown().proceed()) turn_.disarm();
}

void Http2Session::terminate(Http2Error code) noexcept {
  if (over_) return;
  sender_.shutdown().cancel();
  nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(code));
  if (transport_ && sender_.pull()) static_cast<void>(sender_.write());
  lose();
  flush_soon();
}

void Http2Session::look_for_end() noexcept {
  if (over_ || !transport_ || transport_->still_open() || !transport_->unread().empty()) return;
  lose();
  flush_soon();
}

bool Http2Session::is_idle() const noexcept {
  return streams_.empty() && !sender_.has_pending() && !over_ && !is_shutting_down() &&
         nghttp2_session_want_write(session_) == 0 && !flood_.mid_head() &&
         (!transport_ || transport_->unread().empty());
}

}  // namespace remora
