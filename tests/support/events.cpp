#include "support/events.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace remora::test {

Events::Events(const Remora& remora) : stream_(remora.connect_admin()) {
  stream_.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  stream_.receive_head();
  // The server sends this once the subscription is active.
  if (stream_.receive_until(": remora\n\n").empty()) ADD_FAILURE() << "no event stream";
}

std::string Events::next(const std::string& type, std::initializer_list<std::string> with,
                         std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (auto left = limit; left > 0ms;
       left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now())) {
    const auto stop = stream_.buffer().find("\n\n");
    if (stop == std::string::npos) {
      if (!stream_.receive_some(left)) return "";
      continue;
    }
    const std::string event = stream_.buffer().substr(0, stop);
    stream_.buffer().erase(0, stop + 2);
    passed_ += event + "\n\n";
    const auto data = event.find("\ndata: ");
    if (data == std::string::npos || event.find("event: " + type + "\n") == std::string::npos) continue;
    if (std::all_of(with.begin(), with.end(),
                    [&](const std::string& text) { return event.find(text, data) != std::string::npos; }))
      return event.substr(data + 7);
  }
  return "";
}

std::string Events::all_until(const std::string& type, std::initializer_list<std::string> with) {
  passed_.clear();
  if (next(type, with).empty()) ADD_FAILURE() << "no such event of type " << type << " in:\n" << passed_;
  return passed_;
}

}  // namespace remora::test
