// Responses of a key server or of the admin API: in one piece and byte by byte the same verdict.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "net/http_response.h"

using namespace remora;

namespace {
constexpr std::size_t max_bytes = 16 * 1024;

struct Read {
  bool failed = false;
  std::string body;
};

Read read(std::string_view text, std::size_t piece) {
  HttpResponseReader reader(max_bytes);
  for (std::size_t at = 0; at < text.size() && !reader.decided(); at += piece)
    reader.take(text.substr(at, piece));
  reader.end();
  if (!reader.decided()) std::abort();  // after its end there is a verdict
  if (!reader.error().empty()) return {true, ""};
  return {false, reader.take_body()};
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  const Read whole = read(text, text.size()), pieces = read(text, 1 + size % 7);
  if (whole.failed != pieces.failed || whole.body != pieces.body) std::abort();
  if (!whole.failed && (whole.body.size() > max_bytes || text.substr(0, 7) != "HTTP/1.")) std::abort();
  return 0;
}
