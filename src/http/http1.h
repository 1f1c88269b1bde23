// HTTP/1.1 on either side of an exchange: heads, framing, and what may follow on the connection.
#pragma once

#include "http/body.h"
#include "http/side.h"

namespace remora {

/// One client connection's HTTP/1 codec; serves exchange after exchange.
class Http1Client final : public ClientSide {
 public:
  explicit Http1Client(const config::ListenerLimits& limits) : limits_(&limits) {}
  void use(StreamRef stream, const config::ListenerLimits& limits);

  void attach(Wake&, unsigned bit) noexcept override;
  Io read_head(RequestHead&) override;
  void put_head(const OutHead&) override;
  void put_interim(const OutHead&) override;
  Io fill() override;
  Body body() override { return reader_.body(*stream_); }
  void consume(std::size_t n) override { reader_.consume(*stream_, n); }
  const std::vector<Field>* trailers() const noexcept override { return reader_.trailers(); }
  Taken send(Body body, const std::vector<Field>* trailers) override;
  bool holds_body() const noexcept override { return reader_.holds_any(); }
  std::uint64_t raw_left() const noexcept override { return reader_.raw_left(*stream_); }
  std::uint64_t raw_behind() const noexcept override { return reader_.raw_behind(*stream_); }
  void skip_raw(std::uint64_t n) noexcept override { reader_.skip_raw(n); }
  bool takes_raw() const noexcept override { return writer_.takes_raw() && stream_->can_splice_to(); }
  /// takes_raw(), once what is staged has left.
  bool takes_raw_next() const noexcept { return !writer_.chunks() && stream_->can_splice_to(); }
  Stream& stream() const noexcept override { return *stream_; }
  void tunnel() override;
  void abort() noexcept override;
  const SideFailure& failure() const noexcept override { return failure_; }
  bool gone() const noexcept override;
  /// The client has ended in the middle of its request. Asks the kernel, unless all of the request is here.
  bool cut_short();

  /// Before the next request: forgets the last one. REQUIRES: it is complete.
  void next();
  /// From now on an abort is noticed, and a next request is waited for. Not before the body was sent on: the
  /// receive would have only the room behind it.
  void watch() { stream_->arm(); }
  /// Request read to its end and response sent to its end.
  bool complete() const noexcept { return reader_.complete() && writer_.finished(); }
  bool request_complete() const noexcept { return reader_.complete(); }
  /// Sends what is staged (an interim response); ready when nothing is left.
  Io flush();
  void release() noexcept { stream_.reset(); }

 private:
  StreamRef stream_;
  const config::ListenerLimits* limits_;
  HeadScanner scanner_;
  BodyReader reader_;
  BodyWriter writer_;
  SideFailure failure_;
  unsigned minor_ = 1;
  bool responded_ = false;
};

/// One backend connection's HTTP/1 codec for one exchange.
class Http1Backend final : public BackendSide {
 public:
  /// Takes a connection, new or idle. What put_head() laid ready goes out on it.
  void use(StreamRef stream, bool reused);
  /// Gives it away again.
  StreamRef release();
  bool has_stream() const noexcept { return static_cast<bool>(stream_); }
  bool reused() const noexcept { return reused_; }

  void attach(Wake&, unsigned bit) noexcept override;
  void put_head(const OutHead&) override;
  Io read_head(ResponseHead&, Method asked) override;
  Io fill() override { return reader_.fill(*stream_, failure_); }
  Body body() override { return reader_.body(*stream_); }
  void consume(std::size_t n) override { reader_.consume(*stream_, n); }
  const std::vector<Field>* trailers() const noexcept override { return reader_.trailers(); }
  Taken send(Body body, const std::vector<Field>* trailers) override;
  bool holds_body() const noexcept override { return reader_.holds_any(); }
  std::uint64_t raw_left() const noexcept override { return reader_.raw_left(*stream_); }
  std::uint64_t raw_behind() const noexcept override { return reader_.raw_behind(*stream_); }
  void skip_raw(std::uint64_t n) noexcept override {
    reader_.skip_raw(n);
    if (reader_.complete()) stream_->assume_drained();
  }
  bool takes_raw() const noexcept override { return writer_.takes_raw() && stream_->can_splice_to(); }
  Stream& stream() const noexcept override { return *stream_; }
  void tunnel() override;
  void abort() noexcept override;
  const SideFailure& failure() const noexcept override { return failure_; }
  bool reusable() const noexcept override;

  /// A byte of the request was given to the kernel: the backend may have begun to act.
  bool began() const noexcept { return writer_.began(); }
  bool request_sent() const noexcept { return writer_.finished(); }
  /// How long the backend promised to keep it idle (keep_alive.h); none: it did not say.
  std::optional<std::chrono::seconds> idle_promise() const noexcept { return idle_promise_; }
  /// A byte of the response was received.
  bool answered() const noexcept { return answered_; }

 private:
  StreamRef stream_;
  HeadScanner scanner_;
  BodyReader reader_;
  BodyWriter writer_;
  SideFailure failure_;
  bool spoiled_ = false;  // an interim response promised a body, or the end of the connection
  bool reused_ = false, have_head_ = false, keep_alive_ = false, answered_ = false, tunnel_ = false;
  std::optional<std::chrono::seconds> idle_promise_;
  std::size_t next_receive_ = 0;  // at most, once the connection is used again; 0: all there is
};

}  // namespace remora
