#include "http/h2/stream.h"

#include "http/h2/session.h"

namespace remora {

Io Http2Stream::fill_body() {
  if (failure_.kind != StreamFailure::Kind::none) return Io::failed;
  if (is_lost() || (closed_ && !all_received())) {
    failure_ = {StreamFailure::Kind::reset, 0, "the stream was reset"};
    return Io::failed;
  }
  return all_received() || !queue_.empty() ? Io::ready : Io::blocked;
}

Body Http2Stream::received_body() noexcept {
  Body body{queue_.runs(), false};
  body.last = all_received() && body.size() == queue_.size();
  return body;
}

void Http2Stream::consume_body(std::size_t n) {
  queue_.pop(n);
  session_.consume(id_, n);
}

WriteResult Http2Stream::send_body(const Body& body, const std::vector<Field>* trailers) {
  return session_.send(*this, body, trailers);
}

void Http2Stream::release_memory() noexcept {
  session_.consume(id_, queue_.size());
  queue_.clear();
  trailers_.reset();
  Http2Streams::forget(*this);
}

void Http2Stream::reset() noexcept {
  reset(head_sent() ? Http2Error::internal_error : Http2Error::cancel);
}

void Http2Stream::reset(Http2Error code) noexcept {
  if (aborted_ || closed_ || lost_ || all_sent()) return;
  aborted_ = true;
  session_.reset_stream(id_, code);
  session_.consume(id_, queue_.size());
  queue_.clear();
}

}  // namespace remora
