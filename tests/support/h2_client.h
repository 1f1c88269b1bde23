// A blocking HTTP/2 client for tests. It sends the bytes that it is given, and keeps what the server sends:
// responses, resets, GOAWAY. Waits have time limits. It checks that the server keeps the rules, see
// violation().
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/h2_frames.h"
#include "support/h2_wire.h"

namespace remora::test::h2 {

/// What came on one stream.
struct Stream {
  std::vector<Fields> heads;  // 1xx, the final head, trailers
  std::string body;
  bool ended = false;  // END_STREAM
  std::optional<std::uint32_t> reset;
  std::int64_t receive_window = 0;  // what the server may send; kept if DATA or HEADERS came
  std::int64_t send_window = 0;

  /// Status of the final head; 0: none yet.
  int status() const;
  /// Values of a field in the final head (or in the trailers), joined with ", ".
  std::string field(std::string_view name) const;
  std::string trailer(std::string_view name) const;
  bool over() const { return ended || reset.has_value(); }
};

/// The values of a field, joined with ", ".
std::string value_of(const Fields& fields, std::string_view name);

class Client {
 public:
  using Check = ::testing::AssertionResult;

  /// Connects, and sends nothing.
  explicit Client(int port);
  Client(int port, const TlsOptions& tls);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Sends the preface and SETTINGS; waits for the server's SETTINGS and its acknowledgment.
  Check start(const Settings& ours = {});
  /// False: the connection has ended, or the server did not read within the limit.
  bool send(std::string_view bytes, std::chrono::milliseconds limit = patience);
  /// Sends DATA, whatever the windows are.
  bool send_data(std::uint32_t stream, std::string_view bytes, unsigned flags = 0);
  /// Sends WINDOW_UPDATE: the server may send so much more. Stream 0: the connection.
  void give_window(std::uint32_t stream, std::uint32_t increment);
  /// Sends a body in DATA frames within the windows that the server gives, with END_STREAM on the last one.
  bool send_body(std::uint32_t stream, std::string_view bytes);
  /// Sends a SETTINGS frame, and waits until it is acknowledged.
  Check change(const Settings& ours);
  /// Sends a GET request on the next stream and returns the stream.
  std::uint32_t get(std::string_view path, const Fields& more = {});
  /// Sends these fields with END_STREAM on the next stream and returns the stream.
  std::uint32_t ask(const Fields& fields);
  std::uint32_t next_stream() { return std::exchange(next_, next_ + 2); }

  // Waits -------------------------------------------------------------------------------------------

  /// Takes what has arrived.
  void poll();
  /// Reads until `is_true()`, the connection's end, or the limit.
  bool wait(const std::function<bool()>& is_true, std::chrono::milliseconds limit = patience);
  /// Sends a PING and reads until its acknowledgment: the server has seen all that was sent before. False:
  /// the connection ended.
  bool sync();
  /// A connection error: GOAWAY with this code, and the connection's end.
  Check ends_with(Error code) { return ends_with_one_of({code}); }
  Check ends_with_one_of(std::initializer_list<Error> codes);
  /// The connection's end, whatever comes before.
  Check closes(std::chrono::milliseconds limit = patience);
  /// A stream error: RST_STREAM with this code.
  Check resets(std::uint32_t stream, Error code) { return resets_with_one_of(stream, {code}); }
  Check resets_with_one_of(std::uint32_t stream, std::initializer_list<Error> codes);
  /// A stream error, or the same as a connection error (RFC 9113 5.4.1 allows it).
  Check resets_or_ends(std::uint32_t stream, std::initializer_list<Error> codes);
  /// A whole response with this status.
  Check responds(std::uint32_t stream, int status = 200);
  /// A malformed request (RFC 9113 8.1.1): RST_STREAM(PROTOCOL_ERROR), or a 400 response.
  Check refuses(std::uint32_t stream, int status = 400);
  /// A PING is acknowledged and a request is served, on a stream far above those of the test.
  Check alive();

  // What came ---------------------------------------------------------------------------------------

  const Stream& stream(std::uint32_t id) { return opened(id); }
  const std::map<std::uint32_t, Stream>& streams() const { return streams_; }
  bool closed() const { return closed_; }
  bool went_away() const { return goaway_.has_value(); }
  Error goaway_code() const { return goaway_.value_or(Error::no_error); }
  std::uint32_t goaway_last_stream() const { return goaway_last_; }
  int goaways() const { return goaways_; }
  std::optional<std::uint32_t> setting(Setting key) const;
  const std::vector<std::string>& pongs() const { return pongs_; }
  /// Streams in the order in which their DATA came.
  const std::vector<std::uint32_t>& data_order() const { return data_order_; }
  std::int64_t send_window() const { return send_window_; }
  /// Bytes of window that the server has given for the connection (stream 0) or a stream.
  std::int64_t granted(std::uint32_t stream) { return granted_[stream]; }
  /// The first rule that the server has broken. Empty: none.
  const std::string& violation() const { return violation_; }
  Wire& wire() { return wire_; }

  bool acks_settings = true;
  bool updates_windows = true;  // gives back what it received
  bool reads = true;            // false: nothing is received while sending

 private:
  struct Inflater;
  bool pump(std::chrono::milliseconds limit);
  void parse();
  void on_frame(Type type, unsigned flags, std::uint32_t id, std::string_view payload);
  void on_data(unsigned flags, std::uint32_t id, std::string_view payload);
  void on_head(unsigned flags, std::uint32_t id, std::string_view payload);
  void on_settings(unsigned flags, std::string_view payload);
  void on_window_update(std::uint32_t id, std::uint32_t increment);
  void decode(std::uint32_t id, std::string_view block, bool ends);
  void apply(const Settings& ours);
  void blame(const std::string& what);
  Stream& opened(std::uint32_t id);
  std::string story() const;
  Check failed(const std::string& wanted) const;

  Wire wire_;
  std::unique_ptr<Inflater> inflater_;
  std::string in_, out_;
  bool closed_ = false;
  std::map<std::uint32_t, Stream> streams_;
  std::map<std::uint32_t, std::int64_t> granted_;
  std::map<Setting, std::uint32_t> settings_;  // the server's
  bool has_settings_ = false;
  int settings_acks_ = 0, goaways_ = 0;
  std::optional<Error> goaway_;
  std::uint32_t goaway_last_ = 0;
  std::vector<std::string> pongs_;
  std::vector<std::uint32_t> data_order_;
  std::string open_block_;  // of a head without END_HEADERS
  std::uint32_t open_stream_ = 0;
  bool open_ends_ = false;
  std::int64_t send_window_ = 65535, receive_window_ = 65535;
  std::int64_t our_initial_window_ = 65535;
  std::uint32_t next_ = 1, next_alive_ = 0x100001;
  int syncs_ = 0;
  std::string violation_;
};

}  // namespace remora::test::h2
