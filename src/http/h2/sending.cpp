// The sending half of Http2Session: from an exchange's send() to the socket, and who is woken when there is
// room again.
#include <algorithm>

#include "http/h2/callbacks.h"

namespace remora {

namespace {

/// Bodies up to this size are copied, so that they leave together with those of other streams.
constexpr std::size_t worth_lending = 16 * 1024;
/// Bytes that are serialized before they are written: copied ones, and with lent payload.
constexpr std::size_t max_copied = 32 * 1024, max_lent = 64 * 1024;
/// Lent runs below this are copied.
constexpr std::size_t min_lent_run = 1024;

}  // namespace

// Output --------------------------------------------------------------------------------------------

/// Serializes and writes until nothing is left or the socket is blocked.
void Http2Session::send_due() {
  if (!transport_ || over_) return;
  if (socket_blocked_ && !transport_->send_blocked()) {
    socket_blocked_ = false;
    may_resume_ = true;
  }
  while (!socket_blocked_ && !over_) {
    if (!pull()) return;
    if (output_.pending() == 0) return;
    write_out();
  }
}

/// Serializes frames while there is room. False: the connection is lost.
bool Http2Session::pull() noexcept {
  while (has_room()) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    if (n == 0) {
      using Submitted = GracefulShutdown::Submitted;
      const Submitted submitted = shutdown_.submit_due(session_);
      if (submitted == Submitted::frame) continue;
      if (submitted == Submitted::nothing) return true;
      lose();
      return false;
    }
    if (n < 0) {
      lose();
      return false;
    }
    try {
      output_.append({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n)});
    } catch (const std::bad_alloc&) {
      lose();
      return false;
    }
  }
  return true;
}

bool Http2Session::has_room() const noexcept {
  return output_.pending() < (loan_.direct ? max_lent : max_copied);
}

/// Writes what was serialized. False: the socket takes no more, or the connection is lost.
bool Http2Session::write_out() noexcept {
  try {
    const Io io = output_.write(*transport_);
    if (io == Io::ready) return true;
    socket_blocked_ = io == Io::blocked;
    if (io == Io::failed) lose();
  } catch (const std::bad_alloc&) {
    lose();
  }
  return false;
}

/// Wakes stalled streams whose windows are open, as long as the socket takes what they send.
void Http2Session::wake_stalled() {
  Http2Streams::Ready ready(streams_, session_);
  while (!ready.empty() && !socket_blocked_ && !over_ && nghttp2_session_get_remote_window_size(session_) > 0)
    tell(ready.take());
}

// Bodies --------------------------------------------------------------------------------------------

WriteResult Http2Session::send(Http2Stream& stream, const Body& body, const std::vector<Field>* trailers) {
  WriteResult result;
  if (stream.is_lost() || stream.aborted_ || over_) {
    result.io = Io::failed;
    return result;
  }
  if (stream.end_sent_) {
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
  loan_ = {&stream, body.runs, 0, size, 0, body.last, size > worth_lending, trailers};
  if (!transport_ || socket_blocked_ || transport_->send_blocked()) {
    socket_blocked_ = true;
  } else {
    if (std::exchange(stream.deferred_, false)) nghttp2_session_resume_data(session_, stream.id_);
    send_loan();
  }
  result.bytes = loan_.taken;
  loan_ = {};
  flush_soon();
  result.finished = stream.end_sent_;
  if (over_) {
    result.io = Io::failed;
  } else if (!stream.end_sent_ && (result.bytes < size || body.last)) {
    result.io = Io::blocked;
    streams_.stall(stream);
  }
  return result;
}

/// Serializes what is on loan. Large bodies are written at once, together with what is due before them, and
/// small ones if there is no room for more.
void Http2Session::send_loan() noexcept {
  for (;;) {
    const std::size_t before = loan_.taken;
    if (!pull()) return;
    const bool full = !has_room();
    if ((loan_.direct || full) && !write_out()) return;
    if (loan_.stream->end_sent_ || (loan_.taken == before && !full)) return;
    if (loan_.left == 0 && !loan_.last) return;
  }
}

/// nghttp2 has made a DATA frame of the next `bytes` on loan.
void Http2Session::pass_loan(std::size_t bytes) {
  loan_.taken += bytes;
  loan_.left -= bytes;
  while (bytes > 0) {
    const asio::const_buffer run = loan_.runs.front() + loan_.offset;
    const std::size_t n = std::min(bytes, run.size());
    const asio::const_buffer piece(run.data(), n);
    if (loan_.direct && n >= min_lent_run && output_.can_lend())
      output_.lend_payload(piece);
    else if (n > 0)
      output_.append({static_cast<const char*>(piece.data()), n});
    bytes -= n;
    loan_.offset += n;
    if (n == run.size()) {
      loan_.runs = loan_.runs.subspan(1);
      loan_.offset = 0;
    }
  }
}

}  // namespace remora
