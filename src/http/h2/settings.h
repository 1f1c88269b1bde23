// What one end of an HTTP/2 connection announces to the other (RFC 9113 6.5.2). Plain values.
#pragma once

#include <cstdint>

namespace remora {

enum class Http2End : std::uint8_t { server, client };

struct Http2Settings {
  std::uint32_t max_concurrent_streams = 128;
  /// Bytes of one stream that the peer may send before we have consumed any: the limit of a stream's memory.
  std::uint32_t stream_window = 256 * 1024;
  /// The same for all streams of the connection together.
  std::uint32_t connection_window = 1024 * 1024;
};

}  // namespace remora
