// GET of a small document over HTTP or HTTPS, off the request path: key sets.
//
// Every address of the host is tried. No redirects are followed: the URL is the one
// that is trusted. Bounded in time and bytes. Threading: the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/ask_once.h"
#include "remora/task.h"

namespace remora {

/// An absolute URL of http or https, taken apart.
struct FetchUrl {
  bool secure = false;
  std::string host;         // a name or an address, without brackets
  std::string server_name;  // what its certificate must say: the host, unless somebody changes it
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

/// Reads an answer while it grows. However small the pieces are that it comes in, the work is in proportion
/// to its bytes: a key server that dribbles must not keep the thread busy.
class FetchReader {
 public:
  explicit FetchReader(std::size_t most_bytes);
  ~FetchReader();
  FetchReader(const FetchReader&) = delete;
  FetchReader& operator=(const FetchReader&) = delete;
  /// `received`: all that came so far, of one answer. Nothing: it is not all of it yet. `ended`: nothing more
  /// will come.
  std::optional<Fetched> read(std::string_view received, bool ended);
  /// Bytes that were given to the parser, those given again counted again.
  std::size_t work() const noexcept { return work_; }

 private:
  struct Parser;
  bool worth_parsing(std::string_view received, bool ended);
  bool has_enough(std::size_t bytes) const;
  std::unique_ptr<Parser> parser_;
  std::size_t at_ = 0, seen_ = 0, work_ = 0;
};

/// `tls`: null for http. `wake`: of the loop; its `stop` bit ends it at once.
/// `endpoints`: of the host, in the order of trial; at least one.
Task<Fetched> fetch(Loop& loop, std::shared_ptr<Wake> wake, FetchUrl url, std::vector<Endpoint> endpoints,
                    std::shared_ptr<const ClientTls> tls, std::chrono::milliseconds limit,
                    std::size_t most_bytes);

}  // namespace remora
