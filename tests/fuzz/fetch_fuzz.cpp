// Answers of a key server: in one piece and byte by byte the same verdict, and work in proportion to the
// bytes.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "net/fetch.h"

using namespace remora;

namespace {
constexpr std::size_t most_bytes = 16 * 1024;

std::optional<Fetched> read(std::string_view text, std::size_t piece) {
  FetchReader reader(most_bytes);
  std::optional<Fetched> out;
  for (std::size_t at = piece; !out && at < text.size() + piece; at += piece)
    out = reader.read(text.substr(0, std::min(at, text.size())), false);
  if (!out) out = reader.read(text, true);
  // Each call may look again at one line that has not ended, and no line is long (FetchReader's bound).
  constexpr std::size_t max_line = 16 * 1024;
  if (reader.work() > 4 * text.size() + (text.size() / piece + 2) * std::min(max_line, text.size()))
    std::abort();
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  const auto whole = read(text, text.size()), pieces = read(text, 1 + size % 7);
  if (!whole || !pieces) std::abort();  // after its end there is a verdict
  if (whole->error.empty() != pieces->error.empty() || whole->body != pieces->body) std::abort();
  if (whole->error.empty() && (whole->body.size() > most_bytes || text.substr(0, 7) != "HTTP/1."))
    std::abort();
  return 0;
}
