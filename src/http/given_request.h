// A request that is given as values, for example by an operator who asks where it would go.
//
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"
#include "http/validate.h"
#include "remora/config.h"

namespace remora {

/// Reads the request as if it had arrived as HTTP/1.1, with the same checks and limits. Without a Host field
/// it is for "localhost". `text` receives the bytes that the views in `head` point to.
Verdict read_given_request(std::string_view method, std::string_view target,
                           const std::vector<std::pair<std::string, std::string>>& fields,
                           const config::ListenerLimits& limits, std::string& text, RequestHead& head);

}  // namespace remora
