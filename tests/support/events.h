// What a server tells the listeners of its event stream (/api/v1/events), from the moment of listening on.
#pragma once

#include <initializer_list>
#include <string>

#include "support/remora.h"

namespace remora::test {

class Events {
 public:
  explicit Events(const Remora& remora);
  /// The data of the next event of that type with these texts in its JSON (`"health":"up"`), passing over
  /// others; empty: none came within the limit.
  std::string next(const std::string& type, std::initializer_list<std::string> with = {},
                   std::chrono::milliseconds limit = patience);
  /// All events up to that one, to show what is not among them.
  std::string all_until(const std::string& type, std::initializer_list<std::string> with);

 private:
  Socket stream_;
  std::string passed_;
};

}  // namespace remora::test
