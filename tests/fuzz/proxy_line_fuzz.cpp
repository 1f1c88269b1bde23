// PROXY lines and address texts.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "net/address.h"
#include "net/proxy_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto line = remora::parse_proxy_line(text);
  if (line.status == remora::ProxyLine::Status::ok && (line.size > size || line.rest > 0xffff)) std::abort();
  if (const auto address = remora::parse_ip(text)) {
    const auto again = remora::parse_ip(address->text());
    // `::` is nobody's address: it stands for a client that cannot be told.
    if (!address->is_unknown() && (!again || again->text() != address->text())) std::abort();
  }
  return 0;
}
