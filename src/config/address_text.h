// Addresses as people write them: what is understood although it is no host:port, and a hint for what is not.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora::config {

/// The plain form of `http://host[:port][/]`, `tcp://host:port` and `unix://...`; anything else as it is.
std::string plain_address(std::string_view text);

/// For an address that cannot be used: what to write instead. Begins with "; "; empty: nothing comes to mind.
std::string address_hint(std::string_view text);

}  // namespace remora::config
