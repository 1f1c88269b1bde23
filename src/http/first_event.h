// Finds the first event of an event stream (WHATWG HTML 9.2.6) while its bytes pass by.
//
// MCP's older SSE transport names the session only there: `event: endpoint`, `data: /messages?sessionId=U`.
// Looks at the first KiB only; changes and delays nothing. Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora {

class FirstEvent {
 public:
  static constexpr std::size_t max_bytes = 1024;

  /// Feeds the next bytes. True: the search is over, and data() is the data of an `endpoint` event, or
  /// empty.
  bool feed(std::string_view bytes);
  std::string_view data() const noexcept { return data_; }
  void clear();

 private:
  bool end_line();

  std::string line_, data_;
  std::size_t seen_ = 0;
  bool first_line_ = true, after_cr_ = false, endpoint_ = false, any_data_ = false;
};

}  // namespace remora
