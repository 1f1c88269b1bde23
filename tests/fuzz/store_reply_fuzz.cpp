// What stores say, by both readers: in one piece and byte by byte the same replies, and bounded memory.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "session/store_reply.h"

namespace {
void tell(const remora::Reply& reply, std::string& out) {
  out += static_cast<char>('0' + static_cast<int>(reply.kind));
  out += std::to_string(reply.number) + reply.text + "[";
  for (const remora::Reply& element : reply.list) tell(element, out);
  out += "]";
}

std::string read(std::unique_ptr<remora::ReplyReader> reader, std::string_view text, std::size_t piece) {
  std::string out;
  for (std::size_t at = 0; at < text.size() && !reader->broken(); at += piece) {
    reader->feed(text.substr(at, piece));
    while (const auto reply = reader->next()) tell(*reply, out);
  }
  return out + (reader->broken() ? "!" : "");
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (auto* const make : {remora::make_resp_reader, remora::make_meta_reader})
    if (!text.empty() && read(make(), text, text.size()) != read(make(), text, 1)) std::abort();
  return 0;
}
