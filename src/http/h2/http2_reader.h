// Http2Reader: one request over HTTP/2 for one_shot_request(). It makes the text to send, and hands the
// response on to a reader of HTTP/1 text: the status line and the fields, without the body.
//
// Only for rare work off the request path: it acknowledges nothing and opens no windows, which a server
// tolerates for a few seconds. The request path has its own client (http/h2/client.h).
//
// Threading: one thread. Lifetime: `reader` outlives it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/one_shot_request.h"

struct nghttp2_session;

namespace remora {

class Http2Reader final : public ResponseReader {
 public:
  /// A GET request with these fields besides. Throws std::bad_alloc.
  Http2Reader(std::string_view target, std::string_view authority, bool secure,
              const std::vector<std::pair<std::string_view, std::string_view>>& fields,
              ResponseReader& reader);
  ~Http2Reader();
  Http2Reader(const Http2Reader&) = delete;
  Http2Reader& operator=(const Http2Reader&) = delete;

  /// What to send: the preface and the request.
  std::string text() const { return text_; }

  void take(std::string_view bytes) override;
  void end() override;
  bool decided() const noexcept override { return reader_.decided(); }
  bool complete() const noexcept override { return ended_; }

 private:
  struct Callbacks;

  ResponseReader& reader_;
  nghttp2_session* session_ = nullptr;
  std::string text_, status_, head_;
  bool ended_ = false;
};

}  // namespace remora
