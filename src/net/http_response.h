// A whole response, parsed by Beast as its bytes come. For one_shot_request().
//
// Strict: framing errors and truncated responses are errors. The work is linear in the bytes, however small
// the pieces: a server that sends slowly must not keep the thread busy. (Health probes have a reader of their
// own, health/probe_answer.h: health endpoints are often a line of shell, which Beast refuses.)
//
// Threading: one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/one_shot_request.h"

namespace remora {

class HttpResponseReader final : public ResponseReader {
 public:
  explicit HttpResponseReader(std::size_t max_body_bytes);
  ~HttpResponseReader();
  HttpResponseReader(const HttpResponseReader&) = delete;
  HttpResponseReader& operator=(const HttpResponseReader&) = delete;

  void take(std::string_view bytes) override;
  void end() override;
  bool decided() const noexcept override { return done_; }
  bool complete() const noexcept override { return done_; }

  // REQUIRES: decided().
  /// Empty: there is a whole response.
  const std::string& error() const noexcept { return error_; }
  unsigned status() const;
  std::string_view location() const;
  std::string take_body();

 private:
  struct Parser;
  void parse();
  bool may_parse(std::size_t left) const;
  void fail(std::string why);
  std::unique_ptr<Parser> parser_;
  std::string unparsed_;  // the beginning of a line, or of the head
  std::string error_;
  bool started_ = false, done_ = false;
};

}  // namespace remora
