// Http2Reader: one request over HTTP/2 for one_shot_request(). It makes the text to send, and tells what
// comes back to an Http2Response.
//
// Only for rare work off the request path: it acknowledges nothing and opens no windows, which a server
// tolerates for a few seconds. The request path has its own client (http/h2/client.h).
//
// Threading: one thread. Lifetime: `response` outlives it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/one_shot_request.h"

struct nghttp2_session;

namespace remora {

/// Makes sense of a response over HTTP/2.
class Http2Response {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  /// The final head.
  virtual void take_head(std::string_view status, const Fields& fields) = 0;
  virtual void take_data(std::string_view) {}
  virtual void take_trailers(const Fields&) {}
  /// The stream has ended. `why`: empty if it ended as it should.
  virtual void end(const std::string& why) = 0;
  /// Whatever follows changes nothing.
  virtual bool decided() const noexcept = 0;

 protected:
  ~Http2Response() = default;
};

struct Http2Request {
  std::string_view method, target, authority;
  bool secure = false;
  std::vector<std::pair<std::string_view, std::string_view>> fields;
  std::string_view body;  // within a peer's initial window (64 KiB)
};

class Http2Reader final : public ResponseReader {
 public:
  /// Throws std::bad_alloc.
  Http2Reader(const Http2Request& request, Http2Response& response);
  ~Http2Reader();
  Http2Reader(const Http2Reader&) = delete;
  Http2Reader& operator=(const Http2Reader&) = delete;

  /// What to send: the preface and the request.
  std::string text() const { return text_; }

  void take(std::string_view bytes) override;
  /// Before the head the response stays undecided, as with HTTP/1: the caller knows that nobody responded.
  void end() override;
  bool decided() const noexcept override { return response_.decided(); }
  bool complete() const noexcept override { return ended_; }

 private:
  struct Callbacks;
  void finish(const std::string& why);

  static constexpr std::size_t max_fields_bytes = 64 * 1024;

  Http2Response& response_;
  nghttp2_session* session_ = nullptr;
  std::string text_, status_;
  std::string_view body_;  // what is not yet in `text_`
  Http2Response::Fields fields_;
  std::size_t fields_bytes_ = 0;
  bool head_too_long_ = false, has_head_ = false, ended_ = false;
};

}  // namespace remora
