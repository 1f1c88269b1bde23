// What a response over HTTP/2 says to a probe of a path: the verdict and the reason are those of HTTP/1.
//
// Pure: bytes in, verdict out.
#pragma once

#include <string>
#include <string_view>

#include "health/probe_answer.h"
#include "http/h2/http2_reader.h"

namespace remora {

/// Hands the head on to `answer`, as the text that HTTP/1 would have.
class Http2PathAnswer final : public Http2Response {
 public:
  explicit Http2PathAnswer(ProbeAnswer& answer) : answer_(answer) {}
  void take_head(std::string_view status, const Fields& fields) override;
  void end(const std::string& why) override { answer_.fail(why.empty() ? "no response" : why); }
  bool decided() const noexcept override { return answer_.decided(); }

 private:
  ProbeAnswer& answer_;
};

}  // namespace remora
