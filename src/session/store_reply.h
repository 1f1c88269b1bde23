// Replies of a store, and the readers that parse them: RESP (Redis) and the meta protocol (Memcached).
//
// Readers take input in pieces of any size and are bounded: more than `max_bytes` of unread input, too many
// elements, or a malformed reply breaks the reader, and then its connection.
// Threading: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

struct Reply {
  enum class Kind : std::uint8_t { nothing, status, error, number, text, list } kind = Kind::nothing;
  std::string text;  // also of status and error; Memcached: the first line
  std::int64_t number = 0;
  std::vector<Reply> list;  // Memcached: the value, if there is one
  bool is(Kind k) const noexcept { return kind == k; }
};

class ReplyReader {
 public:
  static constexpr std::size_t max_bytes = 8U << 20;
  static constexpr std::size_t max_elements = 1U << 14;
  virtual ~ReplyReader() = default;
  virtual void feed(std::string_view bytes) = 0;
  /// The next complete reply. Nothing: more bytes are needed, or the reader is broken.
  virtual std::optional<Reply> next() = 0;
  virtual bool broken() const noexcept = 0;
};

/// RESP 2, parsed by hiredis, but not into its own objects, which have no bounds.
std::unique_ptr<ReplyReader> make_resp_reader();
std::unique_ptr<ReplyReader> make_meta_reader();

/// Appends a command as RESP: an array of bulk strings.
void append_resp(std::string& out, std::initializer_list<std::string_view> parts);

}  // namespace remora
