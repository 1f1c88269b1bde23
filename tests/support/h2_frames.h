// HTTP/2 frames and HPACK representations made by hand, right or wrong, for tests (RFC 9113, RFC 7541).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remora::test::h2 {

enum class Type : std::uint8_t {
  data,
  headers,
  priority,
  rst_stream,
  settings,
  push_promise,
  ping,
  goaway,
  window_update,
  continuation,
  priority_update = 0x10,  // RFC 9218 7.1
};

// Flags. Several types give the same bit different names.
constexpr std::uint8_t end_stream = 0x1, ack = 0x1, end_headers = 0x4, padded = 0x8, with_priority = 0x20;

enum class Error : std::uint32_t {
  no_error,
  protocol_error,
  internal_error,
  flow_control_error,
  settings_timeout,
  stream_closed,
  frame_size_error,
  refused_stream,
  cancel,
  compression_error,
  connect_error,
  enhance_your_calm,
  inadequate_security,
  http_1_1_required,
};
std::string name_of(Error code);

enum class Setting : std::uint16_t {
  header_table_size = 1,
  enable_push,
  max_concurrent_streams,
  initial_window_size,
  max_frame_size,
  max_header_list_size,
  enable_connect_protocol = 8,  // RFC 8441
  no_rfc7540_priorities,        // RFC 9218
};

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t max_frame_payload = 16384;  // unless settings say otherwise

using Fields = std::vector<std::pair<std::string, std::string>>;
using Settings = std::vector<std::pair<Setting, std::uint32_t>>;

std::string u16(std::uint32_t n);
std::string u32(std::uint32_t n);

// Frames --------------------------------------------------------------------------------------------

/// `stream` with its reserved bit, as it is.
std::string frame(Type type, unsigned flags, std::uint32_t stream, std::string_view payload = "");
/// A frame whose length field claims `length` bytes, whatever the payload is.
std::string frame_of_length(std::size_t length, Type type, unsigned flags, std::uint32_t stream,
                            std::string_view payload = "");
/// A payload for the PADDED flag: the pad length as claimed, the content, and `padding` zero bytes.
std::string with_padding(std::string_view content, unsigned claimed, std::size_t padding);
/// Dependency and weight, as HEADERS and PRIORITY have them.
std::string priority_fields(std::uint32_t dependency, unsigned weight = 15, bool exclusive = false);

std::string data(std::uint32_t stream, std::string_view bytes, unsigned flags = 0);
/// The defaults make it a whole request.
std::string headers(std::uint32_t stream, std::string_view block, unsigned flags = end_headers | end_stream);
std::string continuation(std::uint32_t stream, std::string_view block, unsigned flags = end_headers);
/// HEADERS and CONTINUATION frames of at most `part` bytes each.
std::string headers_in_parts(std::uint32_t stream, std::string_view block, std::size_t part,
                             unsigned flags = end_stream);
std::string priority(std::uint32_t stream, std::uint32_t dependency, unsigned weight = 15);
std::string rst_stream(std::uint32_t stream, Error code = Error::cancel);
std::string settings(const Settings& values = {});
std::string settings_ack();
std::string push_promise(std::uint32_t stream, std::uint32_t promised, std::string_view block);
std::string ping(std::string_view payload = "12345678", unsigned flags = 0);
std::string goaway(std::uint32_t last_stream, Error code = Error::no_error);
std::string window_update(std::uint32_t stream, std::uint32_t increment);
std::string priority_update(std::uint32_t prioritized, std::string_view value, std::uint32_t stream = 0);

// Header blocks (RFC 7541) --------------------------------------------------------------------------

namespace hpack {
/// An integer with an N-bit prefix (5.1). `first`: the bits above the prefix.
std::string integer(unsigned prefix_bits, unsigned first, std::uint64_t value);
/// A string literal, plain (5.2).
std::string text(std::string_view s);
/// A string literal in Huffman code (appendix B): lower-case letters, digits and "-./:_=% A" only.
std::string huffman(std::string_view s);
/// 6.1
std::string indexed(std::uint64_t index);
/// 6.2.2: literal without indexing.
std::string literal(std::string_view name, std::string_view value);
std::string literal(std::uint64_t name_index, std::string_view value);
/// 6.2.1: literal with incremental indexing.
std::string incremental(std::string_view name, std::string_view value);
std::string incremental(std::uint64_t name_index, std::string_view value);
/// 6.2.3: literal never indexed.
std::string never_indexed(std::string_view name, std::string_view value);
/// 6.3: dynamic table size update.
std::string size_update(std::uint64_t size);
/// Index of the newest entry of the dynamic table.
constexpr std::uint64_t newest = 62;
}  // namespace hpack

/// Every field as a literal without indexing.
std::string block(const Fields& fields);

/// The fields of a GET request, and more after them.
Fields request(std::string_view path = "/", const Fields& more = {});
Fields request_of(std::string_view method, std::string_view path, const Fields& more = {});
/// The same as a header block.
inline std::string get_block(std::string_view path = "/", const Fields& more = {}) {
  return block(request(path, more));
}
inline std::string post_block(std::string_view path = "/", const Fields& more = {}) {
  return block(request_of("POST", path, more));
}

}  // namespace remora::test::h2
