// Addresses as people write them: normalizes common forms that are not host:port, and suggests fixes for the
// rest. Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora::config {

/// Converts `http://host[:port][/]`, `tcp://host:port` and `unix://...` to the plain form. Returns anything
/// else unchanged.
std::string plain_address(std::string_view text);

/// Suggests what to write instead of an invalid address. Starts with "; "; empty if there is no suggestion.
std::string address_hint(std::string_view text);

}  // namespace remora::config
