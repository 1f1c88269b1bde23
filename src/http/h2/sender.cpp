#include "http/h2/sender.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <new>
#include <utility>

namespace remora {

namespace {

/// Bodies up to this size are copied, so that they leave together with those of other streams.
constexpr std::size_t worth_lending = 16 * 1024;
/// Bytes that are serialized before they are written: copied ones, and with lent payload.
constexpr std::size_t max_copied = 32 * 1024, max_lent = 64 * 1024;
/// Lent runs below this are copied.
constexpr std::size_t min_lent_run = 1024;

}  // namespace

// Frames --------------------------------------------------------------------------------------------

bool Http2Sender::send_due() noexcept {
  while (!blocked_) {
    if (!pull()) return false;
    if (!has_pending()) return true;
    if (write() == Io::failed) return false;
  }
  return true;
}

bool Http2Sender::pull() noexcept {
  while (has_room()) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    if (n < 0) return false;
    if (n == 0) {
      using Submitted = GracefulShutdown::Submitted;
      const Submitted submitted = shutdown_.submit_due(session_);
      if (submitted == Submitted::frame) continue;
      return submitted == Submitted::nothing;
    }
    try {
      output_.append({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n)});
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
  return true;
}

bool Http2Sender::has_room() const noexcept {
  return output_.pending() < (loan_.direct ? max_lent : max_copied);
}

Io Http2Sender::write() noexcept {
  try {
    const Io io = output_.write(*transport_);
    if (io != Io::ready) blocked_ = io == Io::blocked;
    return io;
  } catch (const std::bad_alloc&) {
    return Io::failed;
  }
}

bool Http2Sender::unblock() noexcept {
  if (!blocked_ || transport_->send_blocked()) return false;
  blocked_ = false;
  return true;
}

bool Http2Sender::waits_for_socket() const noexcept {
  return has_pending() && transport_ != nullptr && transport_->send_blocked();
}

// Bodies --------------------------------------------------------------------------------------------

Http2Sender::Sent Http2Sender::send(Http2Stream& stream, const Body& body,
                                    const std::vector<Field>* trailers) noexcept {
  const std::size_t size = body.size();
  loan_ = {&stream, body.runs, 0, size, trailers, body.last, size > worth_lending};
  bool goes_on = true;
  if (transport_ == nullptr || blocked_ || transport_->send_blocked()) {
    blocked_ = true;
  } else {
    if (std::exchange(stream.deferred_, false)) nghttp2_session_resume_data(session_, stream.id_);
    goes_on = send_loan();
  }
  const Sent sent{size - loan_.left, !goes_on};
  loan_ = {};
  return sent;
}

/// Serializes what is on loan. Large bodies are written at once, together with what is due before them, and
/// small ones if there is no room for more. False: the connection is lost.
bool Http2Sender::send_loan() noexcept {
  for (;;) {
    const std::size_t before = loan_.left;
    if (!pull()) return false;
    const bool full = !has_room();
    if (loan_.direct || full) {
      const Io io = write();
      if (io != Io::ready) return io == Io::blocked;
    }
    if (loan_.stream->all_sent() || (loan_.left == before && !full)) return true;
    if (loan_.left == 0 && !loan_.last) return true;
  }
}

void Http2Sender::append_data(std::string_view frame_header, std::size_t bytes) {
  output_.append(frame_header);
  take_from_loan(bytes);
}

void Http2Sender::take_from_loan(std::size_t bytes) {
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
