// The HTTP/1.1 codec at either end of an exchange: heads, framing, and whether the connection can be reused.
// Threading and lifetime: see http/message_stream.h.
#pragma once

#include "http/h1/body.h"
#include "http/message_stream.h"

namespace remora {

/// HTTP/1 codec of one client connection, for all its exchanges.
class Http1ServerStream final : public ServerStream, private RawPath {
 public:
  explicit Http1ServerStream(const config::ListenerLimits& limits) : limits_(&limits) {}
  void use(TransportRef stream, const config::ListenerLimits& limits);
  void release() noexcept { stream_.reset(); }
  /// Resets for the next request. REQUIRES: the last one is complete.
  void next();

  void attach(EventFlags&, unsigned bit) noexcept override;
  Io read_head(RequestHead&) override;
  Io fill() override;
  Body body() override { return reader_.body(*stream_); }
  void consume(std::size_t n) override { reader_.consume(*stream_, n); }
  const std::vector<Field>* trailers() const noexcept override { return reader_.trailers(); }
  void watch() override { stream_->arm(); }
  void put_head(const OutHead&) override;
  void put_interim(const OutHead&) override;
  WriteResult send(Body body, const std::vector<Field>* trailers) override;
  Io flush() override;
  bool send_blocked() const noexcept override { return stream_->send_blocked(); }
  RawPath* raw_path() noexcept override { return this; }
  void tunnel() override;
  void end_sending() noexcept override { stream_->finish_sending(); }
  void look_for_end() noexcept override { stream_->still_open(); }
  void look_for_reset() noexcept override { stream_->was_reset(); }
  void abort() noexcept override;
  bool is_open() const noexcept override { return stream_->is_open(); }
  bool is_broken() const noexcept override { return static_cast<bool>(stream_->error()); }
  const StreamFailure& failure() const noexcept override { return failure_; }
  bool gone() const noexcept override { return !is_open() || is_broken(); }
  bool cut_short() override;
  bool request_complete() const noexcept override { return reader_.complete(); }
  bool has_more() const noexcept override { return !stream_->unread().empty(); }
  bool is_secure() const noexcept override { return stream_->is_tls(); }
  bool closes() const noexcept override { return closes_; }

 private:
  bool holds_body() const noexcept override { return reader_.holds_any(); }
  std::uint64_t raw_left() const noexcept override { return reader_.raw_left(*stream_); }
  std::uint64_t raw_behind() const noexcept override { return reader_.raw_behind(*stream_); }
  void skip_raw(std::uint64_t n) noexcept override { reader_.skip_raw(n); }
  bool takes_raw() const noexcept override { return writer_.takes_raw() && stream_->can_splice_to(); }
  bool takes_raw_next() const noexcept override { return !writer_.chunks() && stream_->can_splice_to(); }
  Transport& socket() const noexcept override { return *stream_; }

  TransportRef stream_;
  const config::ListenerLimits* limits_;
  HeadScanner scanner_;
  BodyReader reader_;
  BodyWriter writer_;
  StreamFailure failure_;
  Version version_ = Version::http11;  // of the request
  bool responded_ = false, closes_ = false;
};

/// HTTP/1 codec of one backend connection, for one exchange.
class Http1ClientStream final : public ClientStream, private RawPath {
 public:
  void use(TransportRef connection, bool reused) override;
  TransportRef release() override;
  bool has_connection() const noexcept override { return static_cast<bool>(stream_); }
  bool is_reused() const noexcept override { return reused_; }

  void attach(EventFlags&, unsigned bit) noexcept override;
  void put_head(const OutHead&) override;
  WriteResult send(Body body, const std::vector<Field>* trailers) override;
  bool send_blocked() const noexcept override { return stream_->send_blocked(); }
  bool began() const noexcept override { return writer_.began(); }
  bool request_sent() const noexcept override { return writer_.finished(); }
  Io read_head(ResponseHead&, Method asked) override;
  Io fill() override { return reader_.fill(*stream_, failure_); }
  Body body() override { return reader_.body(*stream_); }
  void consume(std::size_t n) override { reader_.consume(*stream_, n); }
  const std::vector<Field>* trailers() const noexcept override { return reader_.trailers(); }
  void watch() override { stream_->arm(); }
  RawPath* raw_path() noexcept override { return this; }
  void tunnel() override;
  void end_sending() noexcept override { stream_->finish_sending(); }
  void look_for_end() noexcept override { stream_->still_open(); }
  void abort() noexcept override;
  bool is_open() const noexcept override { return stream_->is_open(); }
  bool is_broken() const noexcept override { return static_cast<bool>(stream_->error()); }
  const StreamFailure& failure() const noexcept override { return failure_; }
  bool closes() const noexcept override { return have_head_ && !keep_alive_; }
  bool reusable() const noexcept override;
  std::optional<std::chrono::seconds> idle_promise() const noexcept override { return idle_promise_; }

 private:
  bool holds_body() const noexcept override { return reader_.holds_any(); }
  std::uint64_t raw_left() const noexcept override { return reader_.raw_left(*stream_); }
  std::uint64_t raw_behind() const noexcept override { return reader_.raw_behind(*stream_); }
  void skip_raw(std::uint64_t n) noexcept override {
    reader_.skip_raw(n);
    if (reader_.complete()) stream_->assume_drained();
  }
  bool takes_raw() const noexcept override { return writer_.takes_raw() && stream_->can_splice_to(); }
  bool takes_raw_next() const noexcept override { return !writer_.chunks() && stream_->can_splice_to(); }
  Transport& socket() const noexcept override { return *stream_; }

  TransportRef stream_;
  HeadScanner scanner_;
  BodyReader reader_;
  BodyWriter writer_;
  StreamFailure failure_;
  bool spoiled_ = false;  // an interim response announced a body, or the end of the connection
  bool reused_ = false, have_head_ = false, keep_alive_ = false, tunnel_ = false;
  std::optional<std::chrono::seconds> idle_promise_;
  std::size_t next_receive_ = 0;  // receive limit for the connection's next use; 0: none
};

}  // namespace remora
