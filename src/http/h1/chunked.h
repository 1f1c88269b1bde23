// Decoder of the chunked transfer coding (RFC 9112 7.1): strict, single-pass.
//
// Blanks after the size are refused in requests (smuggling) but accepted from backends: old Tomcats and
// others send `D61 \r\n` (Apache bug 41364, iipc/jwarc #33).
//
// Why not Beast's decoder: it accepts too much: controls and LF inside quoted extensions, unbounded sizes,
// zeros, extensions and trailers, and framing fields in trailers. Pure: a state and bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "remora/http_view.h"

namespace remora {

class ChunkDecoder {
 public:
  enum class Got : std::uint8_t { need_more, data, done, bad };
  struct Step {
    Got got = Got::need_more;
    std::size_t skip = 0;  // framing bytes before the data
    std::size_t size = 0;  // data bytes
  };

  /// `from_backend`: accept blanks after a size, and drop forbidden trailer fields instead of failing the
  /// body.
  void reset(bool from_backend = false) noexcept;
  /// Decodes the next bytes. `data`: `skip` bytes of framing, then `size` bytes of body; `done`: the body
  /// and its trailers end after `skip` bytes; `need_more`: all bytes were framing (`skip`). Call again with
  /// the bytes after skip + size.
  Step step(std::string_view bytes);
  /// The trailers, without forbidden fields. Views into the decoder, valid until reset. Complete once `done`
  /// was returned.
  const std::vector<Field>& trailers() const noexcept { return trailers_; }

  static constexpr std::size_t max_extension_bytes = 256;
  static constexpr std::size_t max_trailer_bytes = 8192;

 private:
  enum class State : std::uint8_t {
    size,
    padding,
    extension,
    quoted,
    quoted_pair,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer,
    done,
    bad
  };
  State state_ = State::size;
  bool from_backend_ = false, any_digit_ = false;
  unsigned digits_ = 0;
  std::uint64_t left_ = 0;
  std::size_t extension_bytes_ = 0;
  std::string trailer_text_;
  std::vector<Field> trailers_;
};

}  // namespace remora
