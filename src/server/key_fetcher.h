// Fetches key sets from URLs (`jwks_url`) in the background, and again every `refresh`.
//
// If a fetch fails, the last key set stays in use. A token that names an unknown key makes the next fetch
// early, since keys may have been rotated, but at most every 30 seconds (or every `refresh`, if shorter).
//
//   idle --(due, or an unknown key)--> asking: address of the host, then the document --> idle
//
// Threading: the loop's thread. Lifetime: everything passed in must outlive it; call stop() before the loop
// finishes.
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

/// Starts a GET and returns a function that aborts it. `done` is called once, possibly before this returns.
using StartFetch = std::function<std::function<void()>(FetchUrl from, std::vector<Endpoint> endpoints,
                                                       std::shared_ptr<const ClientTls> tls,
                                                       std::function<void(const Fetched&)> done)>;
StartFetch fetch_over(Loop& loop);

class KeyFetcher {
 public:
  /// Called when a document has changed.
  using Found = std::function<void(const std::string& url, std::shared_ptr<const JwtKeySet> keys)>;
  KeyFetcher(const Clock& clock, NameLookup& names, StartFetch start, std::unique_ptr<Alarm> alarm,
             Found found);

  /// Watches the URLs of a configuration and fetches those that are due. Forgets URLs that are no longer in
  /// it.
  void watch(const std::vector<config::Jwt>& verifiers);
  /// Starts the fetches that are due, and sets the timer for the next ones.
  void fetch_due();
  /// A token names a key that its verifier does not have.
  void unknown_key(const std::string& url);
  bool empty() const noexcept { return sources_.empty(); }
  /// True if a fetch is running.
  bool busy() const;
  /// Aborts running fetches and starts no more.
  void stop();

 private:
  struct Source {
    std::chrono::milliseconds refresh{0};
    std::optional<config::BackendTls> tls;
    Clock::Steady next{}, asked{};
    bool asking = false;
    std::string text, error;      // the last document; why the last fetch failed
    std::function<void()> abort;  // aborts the running fetch
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
