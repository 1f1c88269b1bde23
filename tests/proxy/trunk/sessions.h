// What tests of sessions on the request path share: browsers, and what backends are told about sessions.
//
//   Trunk trunk(app("affinity: cookie"));
//   Browser browser;
//   EXPECT_EQ(browser.ask(trunk).reason, "new");
//   EXPECT_EQ(browser.ask(trunk).reason, "sticky");
#pragma once

#include <map>
#include <ostream>
#include <string>

#include "support/trunk.h"

namespace remora::test {

/// One pool `app` with these settings (in flow style) and one backend for each letter; `more`: other
/// top-level keys.
std::string app(const std::string& settings, const std::string& backends = "abc",
                const std::string& more = "");
/// Two pools, `app` and `canary`, of one split.
std::string split(const std::string& settings, const std::string& app_backends = "a",
                  const std::string& canary_backends = "b",
                  const std::string& weights = "app: 50, canary: 50");

/// Two workers of one instance.
struct Workers {
  explicit Workers(const std::string& yaml) : one(yaml), two(yaml, nullptr, one.memory) {}
  void advance(std::chrono::nanoseconds by) {
    one.advance(by);
    two.advance(by);
  }
  template <class F>
  void both(F f) {
    f(one);
    f(two);
  }
  Trunk one, two;
};

/// What became of a request: what the last backend that got it was told, and the response's status.
struct Told {
  std::uint16_t status = 0;
  std::string backend;  // empty: no backend got the request
  std::string id, reason;
  unsigned epoch = 0;
  std::string note;    // of Remora-Session, what follows the reason
  std::string state;   // Remora-State
  std::string cookie;  // Cookie
  std::string target;
  std::size_t attempts = 0;
};
Told told(const SentRequest& request);
std::ostream& operator<<(std::ostream&, const Told&);

/// A browser that obeys Set-Cookie; each request comes on a new connection.
class Browser {
 public:
  Told ask(Trunk& trunk, const std::string& target = "/", const Fields& more = {},
           const std::string& method = "GET");
  /// As ask(), but does not wait; call end() once it is done.
  void begin(Trunk& trunk, const std::string& target = "/", const Fields& more = {},
             const std::string& method = "GET");
  Told end(Trunk& trunk);
  /// Takes the cookies of a response.
  void take(const Delivered& response);

  std::map<std::string, std::string> cookies;

 private:
  std::size_t sent_before_ = 0;
};

/// A browser whose session begins at `backend`; `target`, `more`: its first request.
Browser begin_at(Trunk& trunk, const std::string& backend, const std::string& target = "/",
                 const Fields& more = {});

/// From now on all backends answer with these fields ("Name: value\r\n").
void answer_with(Trunk& trunk, const std::string& fields, const std::string& body = "",
                 const Fields& trailers = {});
/// The next response of this backend.
void answer_once(Trunk& trunk, const std::string& backend, const std::string& fields);

/// Sets-Cookie lines of the response for this cookie.
std::size_t set_cookies(const Delivered& response, const std::string& name);
/// How many states of sessions had this outcome.
std::uint64_t states(const Trunk& trunk, StateEvent event);
std::uint64_t causes(const Trunk& trunk, Cause cause, const std::string& pool = "app");

}  // namespace remora::test
