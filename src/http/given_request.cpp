#include "http/given_request.h"

#include "http/h1/head.h"
#include "util/text.h"

namespace remora {

Verdict read_given_request(std::string_view method, std::string_view target,
                           const std::vector<std::pair<std::string, std::string>>& fields,
                           const config::ListenerLimits& limits, std::string& text, RequestHead& head) {
  text.assign(method).append(" ").append(target).append(" HTTP/1.1\r\n");
  bool host = false;
  for (const auto& [name, value] : fields) {
    if (name.find_first_of("\r\n:") != std::string::npos || value.find_first_of("\r\n") != std::string::npos)
      return {400, "a field that is several lines"};
    text.append(name).append(": ").append(value).append("\r\n");
    host = host || iequals(name, "host");
  }
  if (!host) text += "Host: localhost\r\n";
  text += "\r\n";
  const Parsed parsed = parse_request_head(text, limits, head);
  if (parsed.status == Parsed::Status::ok) return {};
  return {parsed.code, parsed.why};
}

}  // namespace remora
