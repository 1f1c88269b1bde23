// What `remora explain` is given, as the API wants it: a request as curl would be told, or a line of the
// access log.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

namespace remora {

/// `words`: [curl] [curl's options] URL-or-path (curl.h). Throws std::invalid_argument with what cannot be
/// understood.
boost::json::object explain_from_curl(const std::vector<std::string>& words);

/// A line of the access log, combined or JSON. Throws std::invalid_argument. Logs hold no cookies, so what it
/// explains is the route and where a request without a session would go.
boost::json::object explain_from_log(const std::string& line);

}  // namespace remora
