// A fuzzer's bytes as a script: numbers and texts that a target asks for, and the frames of an HTTP/2 peer
// that means no good. nghttp2 is not instrumented, so random bytes alone would seldom come past its first
// checks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remora::fuzz {

using Fields = std::vector<std::pair<std::string, std::string>>;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return left_.empty(); }
  /// The next byte; 0 at the end.
  unsigned byte() {
    if (left_.empty()) return 0;
    const auto b = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return b;
  }
  /// A number below `n`.
  std::size_t below(std::size_t n) { return byte() % n; }
  bool flag() { return (byte() & 1) != 0; }
  /// Up to `most` bytes.
  std::string text(std::size_t most) {
    const std::size_t n = std::min(below(most + 1), left_.size());
    std::string out(left_.substr(0, n));
    left_.remove_prefix(n);
    return out;
  }
  template <class T, std::size_t n>
  const T& one_of(const T (&choices)[n]) {
    return choices[below(n)];
  }

 private:
  std::string_view left_;
};

inline std::string big_endian(std::uint64_t n, std::size_t bytes) {
  std::string out;
  while (bytes-- > 0) out += static_cast<char>(n >> 8 * bytes);
  return out;
}

inline std::string frame(unsigned type, unsigned flags, std::uint32_t stream, std::string_view payload) {
  std::string out = big_endian(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags);
  out += big_endian(stream, 4);
  return out += payload;
}

/// A length or an index of HPACK (RFC 7541 5.1), with a prefix of seven bits that begins with 0.
inline std::string hpack_number(std::size_t n) {
  constexpr std::size_t prefix = 127;
  if (n < prefix) return std::string(1, static_cast<char>(n));
  std::string out(1, static_cast<char>(prefix));
  for (n -= prefix; n >= 128; n /= 128) out += static_cast<char>(n % 128 + 128);
  return out += static_cast<char>(n);
}

/// Literal fields (RFC 7541 6.2): without Huffman, `indexed` into the dynamic table or not.
inline std::string hpack(const Fields& fields, bool indexed = false) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out += indexed ? '\x40' : '\0';
    out += hpack_number(name.size()) + name + hpack_number(value.size()) + value;
  }
  return out;
}

/// One field: of those that mean something, or of any bytes.
inline std::pair<std::string, std::string> any_field(Input& in) {
  static const char* const names[] = {
      ":authority",       ":method",         ":path",      ":protocol",         ":scheme",
      ":status",          "accept",          "connection", "content-length",    "cookie",
      "cookie",           "expect",          "host",       "keep-alive",        "priority",
      "proxy-connection", "set-cookie",      "te",         "trailer",           "transfer-encoding",
      "upgrade",          "x-forwarded-for", "x_odd",      "sec-websocket-key", "content-type"};
  static const char* const values[] = {
      "",          "0",       "1",      "5",       "10",        "100-continue", "/",           "/a?b=c",
      "*",         "a.test",  "b.test", "chunked", "close",     "GET",          "HEAD",        "POST",
      "CONNECT",   "OPTIONS", "http",   "https",   "websocket", "trailers",     "a=1; b=2",    "u=1, i",
      "a.test:80", "[::1]",   "103",    "200",     "204",       "304",          "gzip, close", "/%2e%2e/x"};
  std::pair<std::string, std::string> out;
  const std::size_t name = in.below(std::size(names) + 3);
  const std::size_t value = in.below(std::size(values) + 6);
  out.first = name < std::size(names) ? names[name] : in.text(20);
  out.second = value < std::size(values) ? values[value] : in.text(60);
  return out;
}

/// The fields of a request that nobody would refuse, and further ones; sometimes only those.
inline Fields request_fields(Input& in) {
  static const char* const methods[] = {"GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "TRACE", "X"};
  Fields out;
  const std::size_t kind = in.byte();
  if (kind % 8 != 7) {
    out = {
        {":method", methods[kind / 8 % 8]}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/a"}};
    if (kind % 8 == 6) out.emplace_back(":protocol", "websocket");
  }
  for (std::size_t n = in.below(6); n > 0; --n) out.push_back(any_field(in));
  return out;
}

/// Likewise of a response.
inline Fields response_fields(Input& in) {
  static const char* const statuses[] = {"200", "204", "304", "404", "500", "100", "103", "101"};
  Fields out;
  const std::size_t kind = in.byte();
  if (kind % 8 != 7) out.emplace_back(":status", statuses[kind / 8 % 8]);
  for (std::size_t n = in.below(6); n > 0; --n) out.push_back(any_field(in));
  return out;
}

/// Frames that both ends may send, on `stream`. Sets `bytes_of_data` if it is DATA.
inline std::string any_frame(Input& in, std::uint32_t stream, std::size_t& bytes_of_data) {
  static const std::size_t sizes[] = {0, 1, 5, 10, 300, 4096, 16384, 16000};
  static const std::uint32_t numbers[] = {0, 1, 100, 16384, 65535, 1U << 20, 0x7fffffffU, 0xffffffffU};
  switch (in.below(12)) {
    case 0:
    case 1:
    case 2: {
      const std::size_t size = in.one_of(sizes);
      std::string payload(size, 'd');
      unsigned flags = in.byte() & 0x09;  // END_STREAM, PADDED
      if ((flags & 8) != 0 && size > 0) payload[0] = static_cast<char>(in.byte());
      bytes_of_data += size;
      return frame(0, flags, stream, payload);
    }
    case 3:
      return frame(3, 0, stream, big_endian(in.below(14), 4));
    case 4: {
      std::string payload;
      for (std::size_t n = in.below(4); n > 0; --n) {
        payload += big_endian(1 + in.below(9), 2);
        payload += big_endian(in.one_of(numbers), 4);
      }
      return frame(4, 0, 0, payload);
    }
    case 5:
      return frame(4, 1, 0, "");
    case 6:
      return frame(6, in.byte() & 1, 0, "12345678");
    case 7:
    case 8: {
      const bool on_stream = in.flag();
      return frame(8, 0, on_stream ? stream : 0, big_endian(in.one_of(numbers), 4));
    }
    case 9:
      return frame(16, 0, 0, big_endian(stream, 4) + in.text(10));
    case 10: {
      const std::string last = big_endian(in.one_of(numbers), 4);
      return frame(7, 0, 0, last + big_endian(in.below(14), 4));
    }
    default: {
      const unsigned type = in.byte() % 20, flags = in.byte();
      const bool on_stream = in.flag();
      return frame(type, flags, on_stream ? stream : 0, in.text(40));
    }
  }
}

}  // namespace remora::fuzz
