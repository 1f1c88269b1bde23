// GET of a small document over HTTP or HTTPS, off the request path: key sets.
//
// No redirects; bounded in time and bytes. Threading: the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/ask_once.h"
#include "remora/task.h"

namespace remora {

/// An absolute URL of http or https, taken apart.
struct FetchUrl {
  bool secure = false;
  std::string host;  // a name or an address, without brackets
  std::uint16_t port = 0;
  std::string authority;  // as the Host field wants it
  std::string path;       // with the query; begins with '/'
};
/// Nothing: it is none, or has a user or a fragment.
std::optional<FetchUrl> parse_fetch_url(std::string_view text);

struct Fetched {
  std::string error;  // empty: `body` is the answer's, of status 200
  std::string body;
};

/// `tls`: null for http. `wake`: of the loop; its `stop` bit ends it at once.
Task<Fetched> fetch(Loop& loop, std::shared_ptr<Wake> wake, FetchUrl url, Endpoint endpoint,
                    std::shared_ptr<const ClientTls> tls, std::chrono::milliseconds limit,
                    std::size_t most_bytes);

}  // namespace remora
