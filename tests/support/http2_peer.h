// A well-behaved HTTP/2 client for tests, on nghttp2 and without a socket: requests and received bytes go in,
// bytes to be sent and responses come out. With a blocking socket around it: Http2Client.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/net.h"

struct nghttp2_session;

namespace remora::test {

class Http2Peer {
 public:
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  struct Response {
    int status = 0;
    std::vector<int> interims;
    Pairs fields, trailers;
    std::string body;
    std::uint64_t received = 0;          // bytes of the body, kept or not
    bool has_head = false;               // the final one
    bool ended = false;                  // END_STREAM
    std::optional<std::uint32_t> reset;  // code of RST_STREAM
    bool closed = false;                 // the stream is over, one way or another
    /// Values of a field, joined with ", ".
    std::string field(std::string_view name) const;
  };
  struct Options {
    std::uint32_t window = 1 << 20;  // of each stream
    bool connect_protocol = false;
    bool keep_bodies = true;
  };

  Http2Peer() : Http2Peer(Options{}) {}
  explicit Http2Peer(const Options& options);
  ~Http2Peer();
  Http2Peer(const Http2Peer&) = delete;
  Http2Peer& operator=(const Http2Peer&) = delete;

  /// Begins a request and returns its stream. `whole`: no body follows.
  std::int32_t begin(const std::string& method, const std::string& path, const Pairs& fields = {},
                     bool whole = true);
  /// The same with these pseudo-fields and fields only.
  std::int32_t begin(const Pairs& fields, bool whole);
  void send_data(std::int32_t stream, std::string_view bytes, bool last);
  void send_trailers(std::int32_t stream, const Pairs& fields);
  void reset(std::int32_t stream, std::uint32_t code = 8);
  void ping();
  /// False: received bytes are not acknowledged by WINDOW_UPDATE.
  void set_reads(bool reads) { reads_ = reads; }

  /// Takes the bytes that are to be sent now.
  std::string output();
  void feed(std::string_view bytes);

  const Response& of(std::int32_t stream) { return responses_[stream]; }
  struct Goaway {
    std::int32_t last = 0;
    std::uint32_t code = 0;
  };
  const std::vector<Goaway>& goaways() const { return goaways_; }
  std::size_t pongs() const { return pongs_; }
  /// A setting of the server, once it was received.
  std::optional<std::uint32_t> setting(std::int32_t id) const;
  std::int32_t connection_window() const;
  /// The library's message for bytes that break the protocol; empty: none.
  const std::string& violation() const { return violation_; }

 private:
  struct Outgoing {
    std::string bytes;
    bool last = false, deferred = false;
    Pairs trailers;
  };
  friend struct Http2PeerCallbacks;
  void look_for_goaways(std::string_view bytes);
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Response> responses_;
  std::map<std::int32_t, Outgoing> outgoing_;
  std::vector<Goaway> goaways_;
  std::map<std::int32_t, std::uint32_t> settings_;
  std::size_t pongs_ = 0;
  bool reads_ = true;
  const bool keep_bodies_;
  std::string violation_;
  std::string scanned_;  // received bytes of an incomplete frame
  std::string authority_ = "app.test";
};

/// A blocking client: Http2Peer over a TCP connection with prior knowledge. Waits have a time limit.
class Http2Client : public Http2Peer {
 public:
  explicit Http2Client(int port, const Options& options = {})
      : Http2Peer(options), socket_(Socket::connect(port)) {}

  /// Sends and receives until it is so. False: not within the limit, or the connection has ended.
  bool until(const std::function<bool()>& so, std::chrono::milliseconds limit = patience);
  /// Waits until the stream is over.
  const Response& finish(std::int32_t stream);
  const Response& ask(const std::string& method, const std::string& path, const Pairs& fields = {},
                      const std::string& body = {});
  const Response& get(const std::string& path, const Pairs& fields = {}) { return ask("GET", path, fields); }
  bool ended() const { return ended_; }
  Socket& socket() { return socket_; }

 private:
  Socket socket_;
  bool ended_ = false;
};

}  // namespace remora::test
