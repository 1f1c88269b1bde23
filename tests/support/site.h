// A site for session tests: app servers that report who they are and what they received, and clients that
// handle sessions like browsers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/remora.h"

namespace remora::test {

/// Several backends "a", "b", "c"... of one app.
///
/// Targets: /login gives a session id (Set-Cookie SID and header Sid), /logout clears it, /control/WORD
/// responds with Remora-Session-Control: WORD, /redirect/N redirects to N - 1, /page has a hundred links.
/// Every response has X-Backend, X-Session, X-Cookie, X-Target and X-Referer: the backend, and what it
/// received.
class Site {
 public:
  explicit Site(std::size_t backends);
  /// A configuration with one pool of all backends. `pool`, `listener` and `top` add lines to the pool, the
  /// listener and the file.
  std::string config(const std::string& pool, const std::string& top = "",
                     const std::string& listener = "") const;
  std::string address(const std::string& name) const {
    return "127.0.0.1:" + std::to_string(backends_.at(name).port);
  }
  /// Stops one backend; its port refuses connections from then on.
  void stop(const std::string& name);
  void start(const std::string& name);
  /// Sets the Remora-Generation that `name` announces; 0: none.
  void set_generation(const std::string& name, long generation);

 private:
  struct Backend {
    std::unique_ptr<Origin> origin;
    int port = 0;
    std::shared_ptr<std::atomic<long>> generation;
  };
  Origin::Script script(const std::string& name, std::shared_ptr<std::atomic<long>> generation) const;
  std::map<std::string, Backend> backends_;
  std::shared_ptr<std::atomic<int>> ids_ = std::make_shared<std::atomic<int>>(0);
};

/// A client that keeps cookies and the learned header, and follows URLs as they are given.
struct Browser {
  std::map<std::string, std::string> cookies;
  std::string sid;   // value of the header Sid
  std::string more;  // more fields for every request
  std::string request(const std::string& target) const;
  void take(const Reply& reply);
  /// Sends one request on a new connection.
  Reply get(int port, const std::string& target = "/");
  Reply get(const Remora& via, const std::string& target = "/") { return get(via.port(), target); }
  /// The same for /, with fields for this request only.
  Reply ask(const Remora& via, const std::string& fields = "");
  /// Sends one request on an open connection.
  Reply get(Socket& socket, const std::string& target = "/");
};

/// The parts of an X-Session value.
struct Announced {
  std::string id, reason;
  int epoch = 0;
};
Announced announced(const Reply& reply);

/// Begins a session; returns the client and the name of its backend.
std::pair<Browser, std::string> begin(int port, const std::string& target = "/");
/// Begins sessions until one is on that backend. The test fails if none is.
Browser begin_at(int port, const std::string& backend, const std::string& target = "/");

}  // namespace remora::test
