// JSON as tokens and key sets may hold it: one object, UTF-8, no name twice, bounded in depth.
//
// RFC 7519 4 leaves it open what a name that comes twice means; two readers that choose differently are a way
// around a check, so it is refused (RFC 8259 4 asks for unique names).
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string_view>

namespace remora {

/// Nothing: it is not such a text.
std::optional<boost::json::object> parse_strict_object(std::string_view text);

}  // namespace remora
