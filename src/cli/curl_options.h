// The options of curl, and which of them say something about the request. Pure.
#pragma once

#include <optional>
#include <string_view>

namespace remora {

enum class CurlOption {
  flag,     // changes nothing of the request
  ignored,  // takes a value, and changes nothing of the request
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

/// Nothing: curl has no such option, or one that is not understood here. Names without their dashes.
std::optional<CurlOption> long_curl_option(std::string_view name);
std::optional<CurlOption> short_curl_option(char letter);
bool takes_value(CurlOption option);

}  // namespace remora
