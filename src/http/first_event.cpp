#include "http/first_event.h"

namespace remora {

void FirstEvent::clear() {
  line_.clear();
  data_.clear();
  seen_ = 0;
  first_line_ = true;
  after_cr_ = endpoint_ = any_data_ = false;
}

bool FirstEvent::feed(std::string_view bytes) {
  for (const char c : bytes) {
    if (++seen_ > max_bytes) {
      data_.clear();
      return true;
    }
    const bool second_half = after_cr_ && c == '\n';  // the LF of CR LF
    after_cr_ = c == '\r';
    if (second_half) continue;
    if (c != '\r' && c != '\n')
      line_ += c;
    else if (end_line())
      return true;
  }
  return false;
}

/// True: an `endpoint` event with data has ended. Comments, empty events and other types (ping, for example)
/// may come first.
bool FirstEvent::end_line() {
  std::string_view line = line_;
  if (first_line_ && line.substr(0, 3) == "\xef\xbb\xbf") line.remove_prefix(3);
  first_line_ = false;
  if (line.empty()) {
    line_.clear();
    if (endpoint_ && any_data_) return true;
    endpoint_ = any_data_ = false;
    data_.clear();
    return false;
  }
  const auto colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (name == "event") endpoint_ = value == "endpoint";
  if (name == "data") {
    if (any_data_) data_ += '\n';
    data_ += value;
    any_data_ = true;
  }
  line_.clear();
  return false;
}

}  // namespace remora
