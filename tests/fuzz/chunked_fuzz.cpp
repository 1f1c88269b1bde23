// The chunked decoder: the same bytes in one piece and byte by byte must give the same body and verdict, and
// what is well formed the same where padding is taken.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/h1/chunked.h"

namespace {
using Got = remora::ChunkDecoder::Got;

struct Result {
  std::string body;
  remora::ChunkDecoder::Got end = remora::ChunkDecoder::Got::need_more;
  std::size_t used = 0;
  bool operator==(const Result&) const = default;
};

Result decode(std::string_view text, std::size_t piece, bool padded) {
  remora::ChunkDecoder decoder;
  decoder.reset(padded);
  Result r;
  while (r.used < text.size()) {
    const auto step = decoder.step(text.substr(r.used, piece));
    r.used += step.skip;
    r.end = step.got;
    if (step.got == Got::bad || step.got == Got::done) return r;
    if (step.got == Got::data) {
      r.body.append(text.substr(r.used, step.size));
      r.used += step.size;
      r.end = Got::need_more;
    }
  }
  return r;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result strict = decode(text, text.size(), false), padded = decode(text, text.size(), true);
  if (!(strict == decode(text, 1, false)) || !(padded == decode(text, 1, true))) std::abort();
  if (strict.end == Got::done && !(padded == strict)) std::abort();  // blanks are all that it takes besides
  return 0;
}
