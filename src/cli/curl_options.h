// The options of curl, and which of them affect the request. Pure.
#pragma once

#include <optional>
#include <string_view>

namespace remora {

enum class CurlOption {
  flag,     // takes no value, does not affect the request
  ignored,  // takes a value, does not affect the request
  method,
  header,
  cookie,
  agent,
  referer,
  user,
  bearer,
  range,
  resume,
  head,
  get,
  data,
  encoded,
  json,
  form,
  upload,
  url,
  query,
  target,
  as_is,
};

/// Returns nothing for an unknown or unsupported option. Names are given without dashes.
std::optional<CurlOption> long_curl_option(std::string_view name);
std::optional<CurlOption> short_curl_option(char letter);
bool takes_value(CurlOption option);

}  // namespace remora
