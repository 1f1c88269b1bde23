// An HTTP/2 client of RealConnections, in process and on the manual clock.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "support/http2_peer.h"
#include "support/real_connection.h"

namespace remora::test {

/// A client that has sent nothing yet, and the connections that it belongs to.
class TrunkPeer : public Http2Peer {
 public:
  explicit TrunkPeer(RealConnections& all, const Options& options = {})
      : Http2Peer(options), all_(all), socket_(all.connect()) {}
  /// Lets both ends act until nothing more happens.
  void run() {
    for (int round = 0; round < 20; ++round) {
      const std::string out = output();
      if (!out.empty()) socket_.send(out);
      all_.run();
      const std::string in = socket_.received();
      if (in.empty() && out.empty()) break;
      feed(in);
    }
    EXPECT_EQ(violation(), "");
  }
  void advance(std::chrono::nanoseconds by) {
    run();
    all_.trunk.advance(by);
    run();
  }
  const Http2Peer::Response& finish(std::int32_t stream) {
    run();
    return of(stream);
  }
  const Http2Peer::Response& get(const std::string& path, const Http2Peer::Pairs& fields = {}) {
    return finish(begin("GET", path, fields));
  }
  bool ended() { return socket_.ended(); }
  Accepted& socket() { return socket_; }

 private:
  RealConnections& all_;
  Accepted socket_;
};

}  // namespace remora::test
