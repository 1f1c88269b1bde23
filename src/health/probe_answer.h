// Parser of probe responses, as lenient as health endpoints require: many are a line of shell, with LF alone
// at the ends of lines or without an empty line after the head. Beast refuses those, so this is no
// HttpResponseReader.
//
// Only the status decides. The rest is read to find the end of the response, so that the connection can be
// closed with no unread bytes: otherwise the close is a reset, and the server logs an error each time.
//
// Pure: bytes in, verdict out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/one_shot_request.h"
#include "remora/config.h"

namespace remora {

struct ProbeVerdict {
  std::string failure;           // empty: the probe passed
  std::uint64_t generation = 0;  // value of Remora-Generation; 0: absent
  bool answered = false;         // the server responded, with whatever result
};

/// Accepts pieces of any size. Lines may end in LF only (RFC 9112 2.2); skips interim responses (RFC 9110
/// 15.2).
class ProbeAnswer final : public ResponseReader {
 public:
  explicit ProbeAnswer(const config::Probe& probe) : probe_(probe) {}
  void take(std::string_view bytes) override;
  void end() override;
  /// The response is no use, for this reason; changes nothing once decided.
  void fail(std::string why);
  bool decided() const noexcept override { return verdict_.has_value(); }
  /// nullopt: the final head is not complete yet.
  const std::optional<ProbeVerdict>& verdict() const noexcept { return verdict_; }
  bool complete() const noexcept override { return at_ == At::done; }

 private:
  enum class At : std::uint8_t {
    status,
    fields,
    body,  // `left_` bytes of it
    chunk_size,
    chunk,  // `left_` bytes of it
    chunk_end,
    trailers,
    until_close,
    done,
  };
  bool in_head() const noexcept { return at_ == At::status || at_ == At::fields; }
  void take_line(std::string_view line);
  void take_status(std::string_view line);
  void take_field(std::string_view line);
  void end_head();
  void judge();

  const config::Probe& probe_;
  At at_ = At::status;
  std::optional<ProbeVerdict> verdict_;
  unsigned status_ = 0, interims_ = 0;
  std::string line_;            // the current line so far
  std::size_t head_bytes_ = 0;  // including interim responses
  std::uint64_t left_ = 0, generation_ = 0;
  std::optional<std::uint64_t> length_;
  bool chunked_ = false;
};

}  // namespace remora
