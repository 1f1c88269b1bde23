// GETs a small document over HTTP or HTTPS, off the request path: key sets.
//
// Tries every address of the host. Does not follow redirects: only the configured URL is trusted. Bounded in
// time and bytes. Threading: the loop's thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/one_shot_request.h"
#include "remora/task.h"

namespace remora {

/// An absolute http or https URL, split into parts.
struct FetchUrl {
  bool secure = false;
  std::string host;         // a name or an address, without brackets
  std::string server_name;  // the name its certificate must have: the host, unless overridden
  std::uint16_t port = 0;
  std::string authority;  // the value of the Host field
  std::string path;       // including the query; starts with '/'
};
/// nullopt: not such a URL, or it has userinfo or a fragment.
std::optional<FetchUrl> parse_fetch_url(std::string_view text);

struct Fetched {
  std::string error;  // empty: `body` is that of a 200 response
  std::string body;
};

/// `tls`: null for http. `wake`: belongs to `loop`; its `stop` bit ends the fetch at once. `endpoints`:
/// addresses of the host, in the order to try them; without any the fetch fails. `limit`: for all of them
/// together.
Task<Fetched> fetch(Loop& loop, std::shared_ptr<EventFlags> wake, FetchUrl url,
                    std::vector<Endpoint> endpoints, std::shared_ptr<const ClientTls> tls,
                    std::chrono::milliseconds limit, std::size_t max_bytes);

}  // namespace remora
