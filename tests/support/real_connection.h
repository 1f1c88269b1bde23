// RealConnections: client connections as the worker serves them, in process and on a manual clock. The
// clients are socket pairs, the backend is a unix listener; streams, codec and connector are the real ones.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "proxy/connection.h"
#include "support/trunk.h"
#include "support/unix_listener.h"

namespace remora::test {

class RealConnections {
 public:
  /// `listener`: more keys of the listener (", timeouts: {...}"); `pool`: more keys of the pool.
  explicit RealConnections(const std::string& listener = {}, const std::string& pool = {})
      : trunk("listeners: [{bind: \"127.0.0.1:0\"" + listener + "}]\npools: {app: {" + pool +
              "backends: [{id: a, address: \"unix:" + server.address().host + "\"}]}}\n") {}
  ~RealConnections() {
    trunk.worker.stopping = true;  // as a worker does: otherwise an idle connection goes on waiting
    Connection::stop_all(trunk.worker, true);
    run();
    trunk.worker.idle.clear();
    trunk.settle();
  }

  /// A new client.
  Accepted connect(const std::string& from = "192.0.2.1") {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
    const auto& view = trunk.snapshot().listeners[trunk.snapshot().serving.front()];
    const ListenerState listener{view->slot, view->shared};
    Connection::start(trunk.worker, listener, TransportRef(new Transport(trunk.worker.loop, fds[0])),
                      from.empty() ? ClientAddress() : *parse_ip(from));
    return Accepted(fds[1]);
  }
  /// Bytes of the connections' backends, as if the first of them sent them.
  void send_from_backend(std::string_view bytes) {
    backends_.at(0).socket.send(bytes);
    run();
  }
  /// What the first backend connection received besides heads.
  std::string backend_received() {
    run();
    return std::exchange(backends_.at(0).unread, {});
  }
  void close_backends() {
    backends_.clear();
    run();
  }
  /// From now on every request gets 503.
  void no_backend() {
    trunk.member("a").health = Health::down;
    trunk.members_changed();
  }
  /// Lets both ends of everything act until nothing more happens.
  void run() {
    for (int round = 0; round < 50; ++round) {
      trunk.settle();
      if (!serve() && round > 2) break;
    }
  }
  void advance(std::chrono::nanoseconds by) {
    run();
    trunk.advance(by);
    run();
  }
  /// Sends, and returns what has come back.
  std::string ask(Accepted& client, std::string_view bytes) {
    client.send(bytes);
    run();
    return client.received();
  }
  std::uint64_t refused(Refusal what) {
    return trunk.snapshot().listeners[trunk.snapshot().serving.front()]->shared->refused.of(what);
  }
  std::size_t open() const { return trunk.worker.connection_count; }
  UnixListener server;  // before `trunk`, whose configuration names it
  Trunk trunk;
  /// What the backend does with a request; a response by default.
  std::function<std::string(const std::string& request)> respond = [](const std::string& request) {
    const std::string path = request.substr(0, request.find(" HTTP/"));
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(path.size()) + "\r\n\r\n" + path;
  };
  std::vector<std::string> requests;  // that the backend got
  std::size_t accepted = 0;           // backend connections

 private:
  /// True: something happened.
  bool serve() {
    bool any = false;
    for (Accepted next = server.accept(); next; next = server.accept()) {
      backends_.push_back({std::move(next), {}});
      ++accepted;
      any = true;
    }
    for (Peer& peer : backends_) {
      const std::string more = peer.socket.received();
      any = any || !more.empty();
      peer.unread += more;
      for (std::size_t end = 0; (end = peer.unread.find("\r\n\r\n")) != std::string::npos;) {
        const std::string request = peer.unread.substr(0, end + 4);
        peer.unread.erase(0, end + 4);
        requests.push_back(request);
        const std::string response = respond(request);
        if (!response.empty()) peer.socket.send(response);
      }
    }
    return any;
  }

  struct Peer {
    Accepted socket;
    std::string unread;
  };
  std::vector<Peer> backends_;
};

}  // namespace remora::test
