// JSON as tokens and key sets may contain it: one object, UTF-8, no repeated names, bounded in depth.
//
// RFC 7519 4 leaves open what a repeated name means. Two readers that choose differently would offer a way
// around a check, so repeated names are refused (RFC 8259 4 asks for unique names).
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string_view>

namespace remora {

/// Nothing: the text is not such an object.
std::optional<boost::json::object> parse_strict_object(std::string_view text);

}  // namespace remora
