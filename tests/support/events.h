// Listens to a server's event stream (/api/v1/events); gets the events from its construction on.
#pragma once

#include <initializer_list>
#include <string>

#include "support/remora.h"

namespace remora::test {

class Events {
 public:
  explicit Events(const Remora& remora);
  /// The data of the next event of this type whose JSON contains these texts (`"health":"up"`); skips other
  /// events. Empty: none came within the limit.
  std::string next(const std::string& type, std::initializer_list<std::string> with = {},
                   std::chrono::milliseconds limit = patience);
  /// All events up to that one, to show that some event did not happen.
  std::string all_until(const std::string& type, std::initializer_list<std::string> with);

 private:
  Socket stream_;
  std::string passed_;
};

}  // namespace remora::test
