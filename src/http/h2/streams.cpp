#include "http/h2/streams.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>

namespace remora {

bool goes_before(const SendingPlace& a, const SendingPlace& b) noexcept {
  if (a.priority.urgency != b.priority.urgency) return a.priority.urgency < b.priority.urgency;
  if (a.priority.incremental != b.priority.incremental) return b.priority.incremental;
  return !a.priority.incremental && a.id < b.id;
}

void Http2Streams::lose() noexcept {
  for (Http2Stream& stream : all_) {
    stream.lost_ = true;
    if (!stream.is_done()) mark(stream);
  }
}

void Http2Streams::mark(Http2Stream& stream) noexcept {
  auto& hook = static_cast<Http2Hook<MarkedTag>&>(stream);
  if (!hook.is_linked()) marked_.push_back(stream);
}

Http2Stream& Http2Streams::take_marked() noexcept {
  Http2Stream& stream = marked_.front();
  marked_.pop_front();
  return stream;
}

void Http2Streams::stall(Http2Stream& stream) noexcept {
  if (!stream.is_stalled()) stalled_.push_back(stream);
}

void Http2Streams::unstall(Http2Stream& stream) noexcept {
  static_cast<Http2Hook<StalledTag>&>(stream).unlink();
}

void Http2Streams::forget(Http2Stream& stream) noexcept {
  unstall(stream);
  static_cast<Http2Hook<MarkedTag>&>(stream).unlink();
}

Http2Streams::Ready::Ready(Http2Streams& streams, nghttp2_session* session) noexcept : streams_(streams) {
  auto& stalled = streams.stalled_;
  for (auto it = stalled.begin(); it != stalled.end();) {
    Http2Stream& stream = *it++;
    if (nghttp2_session_get_stream_remote_window_size(session, stream.id()) <= 0) continue;
    unstall(stream);
    ready_.push_back(stream);
  }
}

/// Incremental streams that were taken have stalled again behind those that still wait.
Http2Streams::Ready::~Ready() {
  streams_.stalled_.splice(streams_.stalled_.begin(), ready_);
}

Http2Stream& Http2Streams::Ready::take() noexcept {
  const auto first =
      std::min_element(ready_.begin(), ready_.end(), [](const Http2Stream& a, const Http2Stream& b) {
        return goes_before({a.priority_, a.id_}, {b.priority_, b.id_});
      });
  Http2Stream& stream = *first;
  ready_.erase(first);
  return stream;
}

}  // namespace remora
