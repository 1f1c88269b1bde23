#include "http/reason.h"

#include <boost/beast/http/status.hpp>

namespace remora {

std::string_view reason_phrase(std::uint16_t status) noexcept {
  namespace http = boost::beast::http;
  // Beast does not know the first, and has an older name for the second.
  if (status == 103) return "Early Hints";
  if (status == 413) return "Content Too Large";
  if (http::int_to_status(status) == http::status::unknown) return "Error";
  const auto phrase = http::obsolete_reason(static_cast<http::status>(status));
  return {phrase.data(), phrase.size()};
}

}  // namespace remora
