// Request and response heads: any bytes, cut anywhere. What parses must be made of views into the input,
// and what we accept Boost.Beast accepts with the same views.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "http/h1/grammar.h"
#include "http/h1/head.h"
#include "support/beast_head.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace remora;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto inside = [&](std::string_view v) {
    if (!v.empty() && (v.data() < text.data() || v.data() + v.size() > text.data() + text.size()))
      std::abort();
  };
  for (const bool request : {true, false}) {
    HeadScanner scanner;
    Parsed p;
    for (std::size_t n : {size / 3, size / 2, size})
      if (p.status == Parsed::Status::incomplete)
        p = scanner.scan(text.substr(0, n), response_limits(), request);
    if (p.status != Parsed::Status::ok) continue;
    const std::string_view head = text.substr(scanner.skipped(), scanner.end() - scanner.skipped());
    if (request) {
      RequestHead out;
      if (parse_request_head(head, response_limits(), out).status != Parsed::Status::ok) continue;
      RequestLine line;
      if (!parse_request_line(head.substr(0, head.find('\r')), line) ||
          !test::beast_agrees(head, out, line.target))
        std::abort();
      inside(out.method_text);
      inside(out.host);
      for (const Field& f : out.fields) inside(f.value);
      if (out.route_path.empty() || out.route_path.find("/../") != std::string::npos) std::abort();
    } else {
      ResponseHead out;
      if (parse_response_head(head, Method::get, out).status != Parsed::Status::ok) continue;
      // What ends with its head is taken whatever it says of a length (RFC 9112 6.3), which Beast is not
      // asked.
      const bool ends = out.status < 200 || out.status == 204 || out.status == 304;
      if (!ends && !test::beast_agrees(head, out)) std::abort();
      for (const Field& f : out.fields) inside(f.name);
    }
  }
  return 0;
}
