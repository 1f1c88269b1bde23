#include "health/http2_path_answer.h"

namespace remora {

void Http2PathAnswer::take_head(std::string_view status, const Fields& fields) {
  std::string text = "HTTP/1.1 " + std::string(status) + "\r\n";
  for (const auto& [name, value] : fields)
    if (name != "content-length") text.append(name).append(": ").append(value).append("\r\n");
  answer_.take(text + "Content-Length: 0\r\n\r\n");
}

}  // namespace remora
