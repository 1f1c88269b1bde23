// Http2Codec: a session of nghttp2, with the options and the memory that it has here, and the settings that
// are announced to the peer.
//
// Threading: one thread. Lifetime: that of its session. nghttp2 calls Http2Callbacks with that session.
#pragma once

#include <cstddef>

#include "http/h2/pages.h"
#include "http/h2/settings.h"

struct nghttp2_session;

namespace remora {

class Http2Session;

class Http2Codec {
 public:
  /// `header_bytes`: of a header block, for the peer to know. Throws std::bad_alloc.
  Http2Codec(Http2Session& session, Http2End end, const Http2Settings& settings, std::size_t header_bytes);
  ~Http2Codec();
  Http2Codec(const Http2Codec&) = delete;
  Http2Codec& operator=(const Http2Codec&) = delete;

  operator nghttp2_session*() const noexcept { return session_; }
  /// Returns memory to the kernel. REQUIRES: the session is idle.
  void discard_pages() noexcept { pages_.discard(); }

 private:
  void announce(Http2End end, const Http2Settings& settings, std::size_t header_bytes);

  Http2Pages pages_;
  nghttp2_session* session_ = nullptr;
};

}  // namespace remora
