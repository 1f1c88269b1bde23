// What a store says, and how its bytes become replies: RESP (Redis) and the meta protocol (Memcached).
//
// Readers are fed what comes in, in any pieces, and are bounded: a value of more than `most_bytes`, too many
// elements, or anything that is no reply breaks the reader, and then its connection.
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
  std::string text;  // status and error too; Memcached: the first line
  std::int64_t number = 0;
  std::vector<Reply> list;  // Memcached: the value, if one came
  bool is(Kind k) const noexcept { return kind == k; }
};

class ReplyReader {
 public:
  static constexpr std::size_t most_bytes = 8U << 20;
  static constexpr std::size_t most_elements = 1U << 14;
  virtual ~ReplyReader() = default;
  virtual void feed(std::string_view bytes) = 0;
  /// The next whole reply. Nothing: more bytes are needed, or it is broken.
  virtual std::optional<Reply> next() = 0;
  virtual bool broken() const noexcept = 0;
};

/// RESP 2, read by hiredis, whose own objects are not used: they have no bounds.
std::unique_ptr<ReplyReader> make_resp_reader();
std::unique_ptr<ReplyReader> make_meta_reader();

/// Appends a command as RESP: an array of bulk strings.
void append_resp(std::string& out, std::initializer_list<std::string_view> parts);

}  // namespace remora
