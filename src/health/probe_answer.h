// A probe's answer, read as leniently as servers are written: many health endpoints are a line of shell.
//
// Only the status decides. The rest is read to find out where the answer ends, so that the connection can be
// closed with nothing left in it: a close before that is a reset, and an error in the server's log each time.
//
// Pure: bytes in, verdict out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "remora/config.h"

namespace remora {

struct ProbeVerdict {
  std::string failure;           // empty: it passed
  std::uint64_t generation = 0;  // Remora-Generation of the answer; 0: not said
  bool answered = false;         // somebody is there, whatever he said
};

/// Takes an answer in pieces of any size. Lines may end in LF alone (RFC 9112 2.2); interim answers (RFC 9110
/// 15.2) are passed over.
class ProbeAnswer {
 public:
  explicit ProbeAnswer(const config::Probe& probe) : probe_(probe) {}
  void take(std::string_view bytes);
  /// The server sends nothing more.
  void end();
  /// Nothing: the final head is not here yet.
  const std::optional<ProbeVerdict>& verdict() const noexcept { return verdict_; }
  /// Nothing more belongs to this answer.
  bool complete() const noexcept { return at_ == At::done; }

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
  void give_up(std::string why);

  const config::Probe& probe_;
  At at_ = At::status;
  std::optional<ProbeVerdict> verdict_;
  unsigned status_ = 0, interims_ = 0;
  std::string line_;            // what is there of the current one
  std::size_t head_bytes_ = 0;  // of interim answers too
  std::uint64_t left_ = 0, generation_ = 0;
  std::optional<std::uint64_t> length_;
  bool chunked_ = false;
};

}  // namespace remora
