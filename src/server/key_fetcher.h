// Key sets behind URLs (`jwks_url`): fetched in the background, and again every `refresh`.
//
// A key set that cannot be fetched is kept as it was. A token that names an unknown key makes the next fetch
// early, because keys may have been rotated, but not more often than every 30 seconds.
//
//   idle --(due, or an unknown key)--> asking: address of the host, then the document --> idle
//
// Threading: the loop's thread. Lifetime: what it is given outlives it; stop() before the loop runs out.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/key.h"
#include "net/fetch.h"
#include "remora/clock.h"
#include "remora/config.h"
#include "server/alarm.h"
#include "server/name_lookup.h"

namespace remora {

/// Starts a GET, and returns what ends it early. `done` is called once, perhaps within that call.
using StartFetch = std::function<std::function<void()>(FetchUrl from, std::vector<Endpoint> endpoints,
                                                       std::shared_ptr<const ClientTls> tls,
                                                       std::function<void(const Fetched&)> done)>;
StartFetch fetch_over(Loop& loop);

class KeyFetcher {
 public:
  /// A document has another content than before.
  using Found = std::function<void(const std::string& url, std::shared_ptr<const JwtKeySet> keys)>;
  KeyFetcher(const Clock& clock, NameLookup& names, StartFetch start, std::unique_ptr<Alarm> alarm,
             Found found);

  /// Watches the URLs of a configuration, forgets those that it no longer names, and fetches what is due.
  void watch(const std::vector<config::Jwt>& verifiers);
  /// Starts what is due and sets the timer for what will be.
  void fetch_due();
  /// A token names a key that its verifier lacks.
  void unknown_key(const std::string& url);
  bool empty() const noexcept { return sources_.empty(); }
  /// Some fetch is running.
  bool busy() const;
  /// Ends what is running; nothing is fetched any more.
  void stop();

 private:
  struct Source {
    std::chrono::milliseconds refresh{0};
    std::optional<config::BackendTls> tls;
    Clock::Steady next{}, asked{};
    bool asking = false;
    std::string text, error;      // the last document; why the last fetch failed
    std::function<void()> abort;  // ends the fetch that is running
  };
  void start(const std::string& url, Source& source);
  void fetch_from(const std::string& url, const std::vector<std::string>& ips);
  void fetched(const std::string& url, const Fetched& result);
  void failed(const std::string& url, Source& source, const std::string& why);
  void succeeded(const std::string& url, Source& source, const std::string& text, JwtKeySet keys);

  const Clock& clock_;
  NameLookup& names_;
  const StartFetch start_;
  const std::unique_ptr<Alarm> alarm_;
  const Found found_;
  std::map<std::string, Source> sources_;  // by URL
  bool stopped_ = false;
};

}  // namespace remora
