// HPACK's name and value pairs to the fields of a head.
//
// A header block arrives field by field, and nothing arrives between its frames (RFC 9113 4.3), so one
// collector serves a connection. A complete block is copied into memory of the right size (HeadBlock), where
// it stays as long as its stream. nghttp2 has checked names, values and the order of pseudo-header fields;
// validate.h checks what they mean.
//
// Pure, except that HeadBlock takes memory from the thread's blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/h2/blocks.h"
#include "http/message.h"
#include "remora/config.h"

namespace remora {

/// How a response is to be scheduled (RFC 9218).
struct StreamPriority {
  std::uint8_t urgency = 3;
  bool incremental = false;
  bool operator==(const StreamPriority&) const = default;
};
/// Of a message whose sender states no priority: it takes turns with others of its urgency. One after
/// another, as RFC 9218 has it by default, small responses would wait for a large download that was requested
/// first.
constexpr StreamPriority unstated_priority{3, true};
/// Reads a Priority field or the value of a PRIORITY_UPDATE frame; members that are missing or malformed have
/// their defaults.
StreamPriority read_priority(std::string_view value) noexcept;

/// The pseudo-header fields of a request or a response (RFC 9113 8.3, RFC 8441 4).
enum class Pseudo : std::uint8_t { method, scheme, authority, path, protocol, status, count_ };

/// A complete header block. Views into it live as long as it does.
class HeadBlock {
 public:
  std::string_view pseudo(Pseudo which) const noexcept;
  /// What its Priority field says.
  StreamPriority priority() const noexcept;
  /// Replaces `out` by the block's fields.
  void read(std::vector<Field>& out) const;
  explicit operator bool() const noexcept { return static_cast<bool>(block_); }
  void reset() noexcept { block_.reset(); }

 private:
  friend class HeadCollector;
  struct Entry {
    std::uint32_t name = 0, value = 0;  // lengths
    Known known = Known::other;
    bool odd_name = false;
  };
  static constexpr std::size_t pseudos = static_cast<std::size_t>(Pseudo::count_);
  struct Prefix {
    std::uint32_t pseudo_at[pseudos] = {}, pseudo_size[pseudos] = {};
    std::uint32_t fields = 0, text = 0;  // count; offset of the first field line in the text
    StreamPriority priority = unstated_priority;
  };
  const Prefix& prefix() const noexcept;
  const Entry* entries() const noexcept;
  // Prefix, entries, text: "name: value\r\n" for each field, so that HTTP/1 copies adjacent ones as one block
  // (Field::verbatim).
  Block block_;
};

class HeadCollector {
 public:
  /// `header_bytes` and `headers` of the limits hold for a block, as its peer counts it: 32 bytes for each
  /// field besides its text (RFC 9113 10.5.1).
  void begin(std::size_t header_bytes, std::size_t headers) noexcept;
  /// Adds a field. False: the block exceeds four times the limit, and the connection is to be closed (an
  /// HPACK bomb). Fields over the limit are dropped and make the block `oversized`.
  bool add(std::string_view name, std::string_view value);
  bool oversized() const noexcept { return oversized_; }
  /// The block, with the crumbs of Cookie joined (RFC 9113 8.2.3); of one that is oversized only the method.
  /// Throws std::bad_alloc.
  HeadBlock finish(BufferPool& pool);

 private:
  void add_line(std::string_view name, std::string_view value, Known known);
  void add_pseudo(std::string_view name, std::string_view value);
  void drop_all_but_method();

  HeadBlock::Prefix prefix_;
  std::vector<HeadBlock::Entry> entries_;
  std::string pseudo_text_, text_, cookie_;
  std::size_t size_ = 0, max_size_ = 0, max_fields_ = 0;
  bool oversized_ = false, has_cookie_ = false;
};

}  // namespace remora
