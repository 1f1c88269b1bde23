// Converts the input of `remora explain` to the API's request: curl arguments, or a line of the access log.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

namespace remora {

/// `words`: [curl] [curl's options] URL-or-path (curl.h). Throws std::invalid_argument that names what is not
/// supported.
boost::json::object explain_from_curl(const std::vector<std::string>& words);

/// `line`: from an access log, combined or JSON. Throws std::invalid_argument. Logs contain no cookies, so
/// this explains the route, and where a request without a session would go.
boost::json::object explain_from_log(const std::string& line);

}  // namespace remora
