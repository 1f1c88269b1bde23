// The chunked transfer coding, received (RFC 9112 7.1): a strict decoder that never looks back.
//
// What is padded with blanks behind the size is refused in requests (smuggling) and taken from backends: old
// Tomcats and their like write `D61 \r\n` (Apache bug 41364, iipc/jwarc #33).
//
// Ours because Beast's lets too much through: controls and LF inside quoted extensions, sizes, zeros,
// extensions and trailers without bound, framing fields in trailers. Pure: a state and bytes.
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

  /// `from_backend`: blanks may stand between a size and what ends it, and no trailer field breaks the body.
  void reset(bool from_backend = false) noexcept;
  /// Looks at the next undecoded bytes. `data`: `size` bytes of body follow `skip` bytes of framing;
  /// `done`: the body and its trailers end after `skip` bytes; `need_more`: `skip` bytes were framing,
  /// and all were used. Call again with what follows skip + size.
  Step step(std::string_view bytes);
  /// Without those that may not stand there. Views into the decoder, valid until reset. Complete when `done`
  /// was seen.
  const std::vector<Field>& trailers() const noexcept { return trailers_; }

  static constexpr std::size_t most_extension_bytes = 256;
  static constexpr std::size_t most_trailer_bytes = 8192;

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
