#include "support/h2_frames.h"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace remora::test::h2 {

std::string name_of(Error code) {
  static constexpr std::array names{"NO_ERROR",           "PROTOCOL_ERROR",   "INTERNAL_ERROR",
                                    "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
                                    "FRAME_SIZE_ERROR",   "REFUSED_STREAM",   "CANCEL",
                                    "COMPRESSION_ERROR",  "CONNECT_ERROR",    "ENHANCE_YOUR_CALM",
                                    "INADEQUATE_SECURITY"};
  const auto n = static_cast<std::size_t>(code);
  return n < names.size() ? names[n] : "error " + std::to_string(n);
}

std::string u16(std::uint32_t n) {
  return {static_cast<char>(n >> 8), static_cast<char>(n)};
}

std::string u32(std::uint32_t n) {
  return u16(n >> 16) + u16(n & 0xffff);
}

// Frames --------------------------------------------------------------------------------------------

std::string frame_of_length(std::size_t length, Type type, unsigned flags, std::uint32_t stream,
                            std::string_view payload) {
  std::string out{static_cast<char>(length >> 16), static_cast<char>(length >> 8), static_cast<char>(length),
                  static_cast<char>(type), static_cast<char>(flags)};
  out += u32(stream);
  out += payload;
  return out;
}

std::string frame(Type type, unsigned flags, std::uint32_t stream, std::string_view payload) {
  return frame_of_length(payload.size(), type, flags, stream, payload);
}

std::string with_padding(std::string_view content, unsigned claimed, std::size_t padding) {
  return std::string(1, static_cast<char>(claimed)) + std::string(content) + std::string(padding, '\0');
}

std::string priority_fields(std::uint32_t dependency, unsigned weight, bool exclusive) {
  return u32(dependency | (exclusive ? 0x80000000U : 0)) + static_cast<char>(weight);
}

std::string data(std::uint32_t stream, std::string_view bytes, unsigned flags) {
  return frame(Type::data, flags, stream, bytes);
}

std::string headers(std::uint32_t stream, std::string_view block, unsigned flags) {
  return frame(Type::headers, flags, stream, block);
}

std::string continuation(std::uint32_t stream, std::string_view block, unsigned flags) {
  return frame(Type::continuation, flags, stream, block);
}

std::string headers_in_parts(std::uint32_t stream, std::string_view block, std::size_t part, unsigned flags) {
  const bool one = block.size() <= part;
  std::string out = headers(stream, block.substr(0, part), one ? flags | end_headers : flags);
  for (std::size_t at = part; at < block.size(); at += part) {
    const bool last = at + part >= block.size();
    out += continuation(stream, block.substr(at, part), last ? end_headers : 0);
  }
  return out;
}

std::string priority(std::uint32_t stream, std::uint32_t dependency, unsigned weight) {
  return frame(Type::priority, 0, stream, priority_fields(dependency, weight));
}

std::string rst_stream(std::uint32_t stream, Error code) {
  return frame(Type::rst_stream, 0, stream, u32(static_cast<std::uint32_t>(code)));
}

std::string settings(const Settings& values) {
  std::string payload;
  for (const auto& [key, value] : values) {
    payload += u16(static_cast<std::uint32_t>(key));
    payload += u32(value);
  }
  return frame(Type::settings, 0, 0, payload);
}

std::string settings_ack() {
  return frame(Type::settings, ack, 0);
}

std::string push_promise(std::uint32_t stream, std::uint32_t promised, std::string_view block) {
  return frame(Type::push_promise, end_headers, stream, u32(promised) + std::string(block));
}

std::string ping(std::string_view payload, unsigned flags) {
  return frame(Type::ping, flags, 0, payload);
}

std::string goaway(std::uint32_t last_stream, Error code) {
  return frame(Type::goaway, 0, 0, u32(last_stream) + u32(static_cast<std::uint32_t>(code)));
}

std::string window_update(std::uint32_t stream, std::uint32_t increment) {
  return frame(Type::window_update, 0, stream, u32(increment));
}

std::string priority_update(std::uint32_t prioritized, std::string_view value, std::uint32_t stream) {
  return frame(Type::priority_update, 0, stream, u32(prioritized) + std::string(value));
}

// Header blocks -------------------------------------------------------------------------------------

namespace hpack {

std::string integer(unsigned prefix_bits, unsigned first, std::uint64_t value) {
  const std::uint64_t limit = (1U << prefix_bits) - 1;
  if (value < limit) return {static_cast<char>(first | value)};
  std::string out{static_cast<char>(first | limit)};
  for (value -= limit; value >= 128; value /= 128) out += static_cast<char>(value % 128 + 128);
  out += static_cast<char>(value);
  return out;
}

std::string text(std::string_view s) {
  return integer(7, 0, s.size()) + std::string(s);
}

namespace {
struct Code {
  char c;
  unsigned bits, length;
};
/// Part of appendix B.
constexpr Code codes[] = {
    {'0', 0x0, 5},  {'1', 0x1, 5},  {'2', 0x2, 5},  {'a', 0x3, 5},  {'c', 0x4, 5},  {'e', 0x5, 5},
    {'i', 0x6, 5},  {'o', 0x7, 5},  {'s', 0x8, 5},  {'t', 0x9, 5},  {' ', 0x14, 6}, {'%', 0x15, 6},
    {'-', 0x16, 6}, {'.', 0x17, 6}, {'/', 0x18, 6}, {'3', 0x19, 6}, {'4', 0x1a, 6}, {'5', 0x1b, 6},
    {'6', 0x1c, 6}, {'7', 0x1d, 6}, {'8', 0x1e, 6}, {'9', 0x1f, 6}, {'=', 0x20, 6}, {'A', 0x21, 6},
    {'_', 0x22, 6}, {'b', 0x23, 6}, {'d', 0x24, 6}, {'f', 0x25, 6}, {'g', 0x26, 6}, {'h', 0x27, 6},
    {'l', 0x28, 6}, {'m', 0x29, 6}, {'n', 0x2a, 6}, {'p', 0x2b, 6}, {'r', 0x2c, 6}, {'u', 0x2d, 6},
    {':', 0x5c, 7}, {'j', 0x74, 7}, {'k', 0x75, 7}, {'q', 0x76, 7}, {'v', 0x77, 7}, {'w', 0x78, 7},
    {'x', 0x79, 7}, {'y', 0x7a, 7}, {'z', 0x7b, 7},
};
}  // namespace

std::string huffman(std::string_view s) {
  std::string coded;
  std::uint64_t pending = 0;
  unsigned bits = 0;
  for (const char c : s) {
    const auto* code =
        std::find_if(std::begin(codes), std::end(codes), [c](const Code& x) { return x.c == c; });
    if (code == std::end(codes)) std::abort();
    pending = pending << code->length | code->bits;
    for (bits += code->length; bits >= 8; bits -= 8) coded += static_cast<char>(pending >> (bits - 8));
    pending &= (1U << bits) - 1;
  }
  if (bits > 0) coded += static_cast<char>(pending << (8 - bits) | (0xffU >> bits));
  return integer(7, 0x80, coded.size()) + coded;
}

std::string indexed(std::uint64_t index) {
  return integer(7, 0x80, index);
}
std::string literal(std::string_view name, std::string_view value) {
  return std::string(1, '\0') + text(name) + text(value);
}
std::string literal(std::uint64_t name_index, std::string_view value) {
  return integer(4, 0, name_index) + text(value);
}
std::string incremental(std::string_view name, std::string_view value) {
  return "\x40" + text(name) + text(value);
}
std::string incremental(std::uint64_t name_index, std::string_view value) {
  return integer(6, 0x40, name_index) + text(value);
}
std::string never_indexed(std::string_view name, std::string_view value) {
  return "\x10" + text(name) + text(value);
}
std::string size_update(std::uint64_t size) {
  return integer(5, 0x20, size);
}

}  // namespace hpack

std::string block(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) out += hpack::literal(name, value);
  return out;
}

Fields request_of(std::string_view method, std::string_view path, const Fields& more) {
  Fields fields{{":method", std::string(method)},
                {":scheme", "http"},
                {":authority", "test"},
                {":path", std::string(path)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

Fields request(std::string_view path, const Fields& more) {
  return request_of("GET", path, more);
}

}  // namespace remora::test::h2
