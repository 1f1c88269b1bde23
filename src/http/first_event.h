// The first event of an event stream (WHATWG HTML 9.2.6), looked for while its bytes pass by.
//
// MCP's older transport over SSE names the session only there: `event: endpoint`, `data:
// /messages?sessionId=U`. No more than the first KiB is looked at, and no byte is changed or held up. Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora {

class FirstEvent {
 public:
  static constexpr std::size_t most_bytes = 1024;

  /// The next bytes. True: nothing more is to be seen, and data() is what an `endpoint` event said, or empty.
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
