// In-process fake servers for tests of the session store's clients: the subset of Redis and Memcached that
// remora uses, on the test's clock, with a fault injected at a chosen command.
//
// Nothing here blocks or starts a thread: `step()` accepts, reads and replies to whatever has arrived. Over a
// unix socket, sent bytes are available at the other end at once. Use a loopback peer only where the client
// must be given a TCP address (redirections, sentinels); its bytes may take another step to arrive.
// Threading: the thread of the loop under test.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "remora/clock.h"
#include "remora/config.h"
#include "support/unix_listener.h"

namespace remora::test {

/// The fault injected into one command.
enum class Spoil : std::uint8_t {
  close_unread,  // closes before the command takes effect
  close_done,    // closes after it
  half_closed,   // closes in the middle of the reply
  half_stalled,  // sends half of the reply, then nothing more on this connection
  silent,        // executes commands, but never replies again on this connection
  late,          // this reply and those after it arrive after the caller's deadline
  garbage,       // not a reply of the protocol
  error,         // a generic error reply; the command has no effect
};
constexpr Spoil all_spoils[] = {Spoil::close_unread, Spoil::close_done, Spoil::half_closed,
                                Spoil::half_stalled, Spoil::silent,     Spoil::late,
                                Spoil::garbage,      Spoil::error};

/// Injects a fault into command number `at`, counted over all peers that share this object (greetings
/// included).
struct Faults {
  int at = -1;
  Spoil how = Spoil::close_unread;
  int seen = 0;
  bool happened() const noexcept { return at >= 0 && seen > at; }
};

/// A stored value, for both kinds of server.
struct PeerValue {
  std::string value;
  std::uint64_t token = 0;  // Memcached's cas
  Clock::Steady expires;
};

class StorePeer {
 public:
  enum class Over : std::uint8_t { unix_socket, loopback };
  using Words = std::vector<std::string>;

  StorePeer(const Clock& clock, Over over) : clock_(clock), over_(over) { open(); }
  virtual ~StorePeer() { close(); }
  StorePeer(const StorePeer&) = delete;
  StorePeer& operator=(const StorePeer&) = delete;

  config::Address address() const {
    if (over_ == Over::unix_socket) return unix_->address();
    return {config::Address::Kind::tcp, "127.0.0.1", port_};
  }
  std::uint16_t port() const noexcept { return port_; }
  /// Listens, at the same address as before.
  void open() {
    if (over_ == Over::loopback) return open_loopback();
    if (!unix_)
      unix_ = std::make_unique<UnixListener>();
    else
      unix_->open();
  }
  /// Simulates the end of the process: stops listening and closes all connections.
  void close() {
    hang_up();
    if (unix_) unix_->close();
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  /// Closes the connections only.
  void hang_up() { links_.clear(); }
  std::size_t connections() const noexcept { return links_.size(); }
  /// Accepts, reads and replies to whatever has arrived. False: nothing had.
  bool step() {
    bool any = false;
    while (Accepted accepted = accept()) {
      links_.emplace_back(std::move(accepted));
      any = true;
    }
    for (auto link = links_.begin(); link != links_.end();) {
      any = serve(*link) || any;
      link = link->socket ? std::next(link) : links_.erase(link);
    }
    return any;
  }
  void add_to(std::vector<pollfd>& fds) const {
    if (fd_ >= 0) fds.push_back({fd_, POLLIN, 0});
    for (const Link& link : links_) fds.push_back({link.socket.descriptor(), POLLIN, 0});
  }

  /// All received commands, in order.
  std::vector<Words> commands;
  std::size_t count(std::string_view name) const {
    std::size_t n = 0;
    for (const Words& words : commands) n += words.front() == name ? 1 : 0;
    return n;
  }
  /// Returns the raw bytes to send instead of executing a command; nothing: execute it as usual.
  std::function<std::optional<std::string>(const Words&)> script;
  std::shared_ptr<Faults> faults;
  /// Replies are sent in chunks of this many bytes, one per step. 0: whole.
  std::size_t piece = 0;
  /// Replies are held back while this is set.
  bool hold = false;
  /// Values expire on the test's clock.
  using Values = std::map<std::string, PeerValue>;
  std::shared_ptr<Values> values = std::make_shared<Values>();

 protected:
  struct Link {
    explicit Link(Accepted a) : socket(std::move(a)) {}
    Accepted socket;
    std::string in, out;
    Clock::Steady not_before{};
    bool mute = false, closing = false;  // closing: once `out` is sent
    // Redis only:
    bool authenticated = false, asking = false;
    std::string database = "0";
  };
  /// Removes one command from `in`; empty: incomplete. Throws on malformed input.
  virtual Words parse(std::string& in) = 0;
  virtual std::string reply(Link& link, const Words& words) = 0;
  virtual std::string error_reply() const = 0;

  PeerValue* find(const std::string& key) {
    const auto at = values->find(key);
    if (at == values->end()) return nullptr;
    if (at->second.expires > clock_.steady_now()) return &at->second;
    values->erase(at);
    return nullptr;
  }
  PeerValue& put(const std::string& key, std::string value, std::chrono::milliseconds ttl) {
    PeerValue& kept = (*values)[key];
    kept = {std::move(value), ++tokens_, clock_.steady_now() + ttl};
    return kept;
  }

 private:
  Accepted accept() {
    if (over_ == Over::unix_socket) return unix_->accept();
    return Accepted(fd_ < 0 ? -1 : ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
  }
  void open_loopback() {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(port_);
    const int yes = 1;
    socklen_t size = sizeof at;
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd_ < 0 || ::bind(fd_, reinterpret_cast<const sockaddr*>(&at), size) != 0 ||
        ::listen(fd_, 100) != 0 || ::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
      throw std::runtime_error("cannot listen on the loopback interface");
    port_ = ntohs(at.sin_port);
  }
  bool serve(Link& link) {
    const std::string more = link.socket.received();
    bool any = !more.empty();
    link.in += more;
    while (!link.closing) {
      const Words words = parse(link.in);
      if (words.empty()) break;
      commands.push_back(words);
      answer(link, words);
    }
    any = send(link) || any;
    if (link.socket.ended() || (link.closing && link.out.empty())) {
      link.socket.close();
      any = true;
    }
    return any;
  }
  void answer(Link& link, const Words& words) {
    if (faults && faults->seen++ == faults->at) return spoil(link, words, faults->how);
    std::optional<std::string> scripted;
    if (script) scripted = script(words);
    const std::string text = scripted ? *scripted : reply(link, words);
    if (!link.mute) link.out += text;
  }
  void spoil(Link& link, const Words& words, Spoil how) {
    if (how == Spoil::error) {
      link.out += error_reply();
      return;
    }
    if (how == Spoil::garbage) {
      link.out += "\x01\x02 no reply at all\r\n\r\n";
      return;
    }
    if (how == Spoil::close_unread) {
      link.closing = true;
      return;
    }
    const std::string text = reply(link, words);
    link.closing = how == Spoil::close_done || how == Spoil::half_closed;
    link.mute = how == Spoil::silent || how == Spoil::half_stalled;
    if (how == Spoil::half_closed || how == Spoil::half_stalled) link.out += text.substr(0, text.size() / 2);
    if (how != Spoil::late) return;
    link.out += text;
    link.not_before = clock_.steady_now() + std::chrono::milliseconds(75);
  }
  bool send(Link& link) {
    if (hold || link.out.empty() || clock_.steady_now() < link.not_before) return false;
    const std::size_t n = piece == 0 ? link.out.size() : std::min(piece, link.out.size());
    link.socket.send(std::string_view(link.out).substr(0, n));
    link.out.erase(0, n);
    return true;
  }

  const Clock& clock_;
  const Over over_;
  std::unique_ptr<UnixListener> unix_;
  int fd_ = -1;
  std::uint16_t port_ = 0;
  std::list<Link> links_;
  std::uint64_t tokens_ = 0;
};

}  // namespace remora::test
