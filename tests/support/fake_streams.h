// Fake streams and a fake connector, for unit tests of the request path: no socket, no codec, no real time.
//
// A test scripts what each connection to a backend does (BackendScript), runs requests, and reads what the
// backends (SentRequest) and the client (Delivered) got. Nothing happens by itself: what a script does not do
// at once, the test triggers (arrive(), open_window(), go()).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/h1/head.h"
#include "proxy/connector.h"
#include "support/faults.h"

namespace remora::test {

using Fields = std::vector<std::pair<std::string, std::string>>;

/// The value of the first field of that name; nullopt: there is none.
std::optional<std::string> field(const Fields& fields, std::string_view name);

/// A message head that a stream was given to send.
struct OwnedHead {
  std::string method, target, reason, tunnel;
  std::uint16_t status = 0;
  Fields fields;
  BodyLength body;
  bool close = false;
};
OwnedHead owned(const OutHead& head);

/// A response as the client received it.
struct Delivered {
  OwnedHead head;
  std::vector<OwnedHead> interims;
  std::string body;
  Fields trailers;
  bool complete = false;  // including the end of the message
  bool aborted = false;   // the stream was aborted
};

/// The client's end.
class FakeClient final : public ServerStream {
 public:
  explicit FakeClient(Faults& faults) : faults_(&faults) {}

  // The test's side.
  /// The next request begins; `body`: the part of its body that has arrived. Drops what was delivered.
  void begin(std::string body, bool whole);
  /// More of the request's body arrives.
  void arrive(std::string_view more, bool whole);
  void add_trailer(std::string name, std::string value);
  /// The client reads no more than `bytes` from now on; see open_window().
  void shut_window(std::size_t bytes = 0) { window_ = bytes; }
  void open_window(std::size_t bytes = ~std::size_t{0});
  /// The client resets its connection. `unnoticed`: no event; only look_for_reset() shows it.
  void reset(bool unnoticed = false);
  /// The client sends no more: if in mid-request, it is cut short.
  void half_close();
  /// The next fill() fails for this reason.
  void fail(StreamFailure why);
  /// After 101 the client may send more; without it, a tunnel's direction ends with the request.
  void keep_open() { keeps_open_ = true; }
  void set_secure(bool secure) { secure_ = secure; }
  void set_more(bool more) { has_more_ = more; }
  /// The next request is the last on its connection. Call it after begin().
  void set_closes(bool closes) { closes_ = closes; }
  /// As with HTTP/1.0: only closing ends a body of unknown length.
  void set_delimits_by_closing(bool does) { delimits_by_closing_ = does; }
  /// One receive gives so many bytes of the body at most.
  void set_piece(std::size_t bytes) { piece_ = bytes; }
  const Delivered& delivered() const noexcept { return delivered_; }
  /// After 101: bytes that the client got.
  bool sending_ended() const noexcept { return sending_ended_; }

  void attach(EventFlags& wake, unsigned bit) noexcept override;
  Io fill() override;
  Body body() override;
  void consume(std::size_t n) override;
  const std::vector<Field>* trailers() const noexcept override;
  void watch() override {}
  WriteResult send(Body body, const std::vector<Field>* trailers) override;
  bool send_blocked() const noexcept override { return send_blocked_; }
  void tunnel() override {
    tunnel_ = true;
    if (keeps_open_) whole_ = false;
  }
  void end_sending() noexcept override { sending_ended_ = true; }
  void look_for_end() noexcept override {}
  void abort() noexcept override;
  bool is_open() const noexcept override { return open_; }
  bool is_broken() const noexcept override { return gone_; }
  const StreamFailure& failure() const noexcept override { return failure_; }
  bool closes() const noexcept override { return closes_; }

  Io read_head(RequestHead&) override { return Io::failed; }
  void put_head(const OutHead& head) override;
  void put_interim(const OutHead& head) override { delivered_.interims.push_back(owned(head)); }
  Io flush() override;
  bool gone() const noexcept override { return gone_; }
  bool cut_short() override { return half_closed_ && !whole_; }
  void look_for_reset() noexcept override { gone_ = gone_ || reset_unnoticed_; }
  bool request_complete() const noexcept override { return whole_ && body_.empty(); }
  bool has_more() const noexcept override { return has_more_; }
  bool is_secure() const noexcept override { return secure_; }

 private:
  void wake() {
    if (wake_ != nullptr) wake_->set(bit_);
  }
  Faults* faults_;
  EventFlags* wake_ = nullptr;
  unsigned bit_ = 0;
  std::string body_;
  bool whole_ = true, has_more_ = false, secure_ = false, open_ = true, gone_ = false, tunnel_ = false;
  bool reset_unnoticed_ = false, half_closed_ = false, send_blocked_ = false, sending_ended_ = false;
  bool has_head_ = false, closes_ = false, keeps_open_ = false, delimits_by_closing_ = false;
  std::size_t window_ = ~std::size_t{0}, piece_ = ~std::size_t{0};
  StreamFailure failure_;
  asio::const_buffer run_;
  Fields trailer_texts_;
  std::vector<Field> trailers_;
  Delivered delivered_;
};

/// What one connection to a backend does. The defaults: it accepts, and answers 200 once it has the whole
/// request.
struct BackendScript {
  enum class Connect {
    accepts,
    refuses,      // at once
    unreachable,  // the network says so at once
    silent,       // nobody answers
  } connect = Connect::accepts;
  bool idle = false;      // an idle connection, which carried requests before
  bool reserved = false;  // reserved for this client
  bool dead = false;      // broken before the first byte of the request

  /// When the response begins.
  enum class When { after_request, at_once, on_go, never } when = When::after_request;
  /// Bytes of the request (body) after which sending fails; the response, if any, still comes.
  std::size_t resets_after = ~std::size_t{0};
  /// Bytes of the request's body that it accepts without go().
  std::size_t window = ~std::size_t{0};
  /// Instead of a response head.
  enum class Fails {
    no,
    closes,
    malformed,
    refuses,        // it says that it did not act on the request
    requires_http1  // likewise, and that it wants to be asked by HTTP/1.1
  } fails = Fails::no;
  std::vector<std::string> interims{};  // heads, as in `head`
  std::string head{};                   // "200 OK\r\nName: value\r\n"; empty: 200 with Content-Length
  std::string body{};
  /// Bytes of the body after which the connection breaks, or stalls until go().
  std::size_t breaks_after = ~std::size_t{0}, stalls_after = ~std::size_t{0};
  /// Bytes of the body that one receive gives.
  std::size_t piece = ~std::size_t{0};
  Fields trailers{};
  bool keep_alive = true;
  std::optional<std::chrono::seconds> idle_promise{};
};

/// A request as a backend received it.
struct SentRequest {
  std::string backend;
  OwnedHead head;
  std::string body;
  bool complete = false;
  bool reused = false;  // over an idle connection
};

/// The backend's end.
class FakeBackend final : public ClientStream {
 public:
  explicit FakeBackend(Faults& faults) : faults_(&faults) {}

  // The test's side.
  /// A connection that behaves as in `script`. `into`: where the request is recorded.
  void connect(BackendScript script, const std::string& backend, std::vector<SentRequest>& into);
  /// The response that waits for it (`on_go`), or the stalled part of it, comes.
  void go();
  /// An interim response comes: its head, as in BackendScript.
  void send_interim(std::string head);
  /// The backend resets the connection.
  void reset();
  /// After 101: the backend sends these bytes, or ends.
  void send_raw(std::string_view bytes, bool last = false);
  const BackendScript& script() const noexcept { return script_; }

  void attach(EventFlags& wake, unsigned bit) noexcept override;
  Io fill() override;
  Body body() override;
  void consume(std::size_t n) override;
  const std::vector<Field>* trailers() const noexcept override;
  void watch() override {}
  WriteResult send(Body body, const std::vector<Field>* trailers) override;
  bool send_blocked() const noexcept override { return send_blocked_; }
  void tunnel() override { tunnel_ = true; }
  void end_sending() noexcept override { sending_ended_ = true; }
  void look_for_end() noexcept override {}
  void abort() noexcept override { open_ = false; }
  bool is_open() const noexcept override { return open_; }
  bool is_broken() const noexcept override { return broken_; }
  const StreamFailure& failure() const noexcept override { return failure_; }
  bool closes() const noexcept override { return head_read_ && !message_.keep_alive; }

  void use(TransportRef, bool) override;  // throws: there are no sockets here
  TransportRef release() override;
  bool has_connection() const noexcept override { return has_connection_; }
  bool is_reused() const noexcept override { return script_.idle || script_.reserved; }
  void put_head(const OutHead& head) override { sent_->back().head = owned(head); }
  Io read_head(ResponseHead& head, Method asked) override;
  bool began() const noexcept override { return began_; }
  bool request_sent() const noexcept override { return request_sent_; }
  bool reusable() const noexcept override;
  std::optional<std::chrono::seconds> idle_promise() const noexcept override { return script_.idle_promise; }
  bool sending_ended() const noexcept { return sending_ended_; }

 private:
  void wake() {
    if (wake_ != nullptr) wake_->set(bit_);
  }
  bool responds() const noexcept;
  Io fail(StreamFailure::Kind kind) noexcept;

  Faults* faults_;
  EventFlags* wake_ = nullptr;
  unsigned bit_ = 0;
  BackendScript script_;
  std::vector<SentRequest>* sent_ = nullptr;
  std::string head_text_;
  Http1Message message_;  // what the script's head says
  std::size_t interims_read_ = 0, body_read_ = 0;
  bool has_connection_ = false, began_ = false, request_sent_ = false, head_read_ = false, went_ = false;
  bool open_ = false, broken_ = false, send_blocked_ = false, tunnel_ = false, sending_ended_ = false;
  bool raw_last_ = false;
  StreamFailure failure_;
  asio::const_buffer run_;
  std::vector<Field> trailers_;
};

/// Gives out scripted connections. Without a script for a backend, it accepts and answers 200, with the
/// backend's name in the field Server.
class FakeConnector final : public Connector {
 public:
  explicit FakeConnector(Faults& faults) : faults_(&faults) {}

  /// The next connections to `backend`, in order.
  void script(const std::string& backend, BackendScript next) {
    scripts_[backend].push_back(std::move(next));
  }
  /// All connections to `backend` for which no script is left.
  void always(const std::string& backend, BackendScript each) { always_[backend] = std::move(each); }
  /// A connection is reserved for this client at `backend` of `pool`.
  void reserve(const std::string& pool, const Backend& backend, bool leg_due);

  std::vector<SentRequest> requests;   // that backends got, in order
  std::vector<Needs> needs;            // of each new connection
  std::vector<std::string> connected;  // backends to which a connection was tried or taken, in order
  std::vector<std::string> kept;       // backends whose connection came back for reuse
  std::vector<std::string> kept_reserved;

  Reserved reserved_in(std::string_view pool) const noexcept override;
  bool reserved_for(const ClientAddress&) const noexcept override { return true; }
  void drop_reserved() noexcept override { has_reserved_ = false; }
  TakenReserved take_reserved(const Target&, BackendStream& into, Clock::Steady now) override;
  bool take_idle(const Target&, bool certain, BackendStream& into, Clock::Steady now) override;
  std::unique_ptr<PendingConnect> connect(const Target&, Clock::Steady began,
                                          std::chrono::nanoseconds timeout, EventFlags& wake,
                                          BackendStream& into) override;
  void keep(const Target&, BackendStream& from, const Keep& how, Clock::Steady now) override;
  void prefetch(const Backend&) const noexcept override {}

 private:
  BackendScript take_script(const std::string& backend);
  const BackendScript* next(const std::string& backend) const;

  Faults* faults_;
  std::map<std::string, std::deque<BackendScript>> scripts_;
  std::map<std::string, BackendScript> always_;
  std::string reserved_pool_;
  Reserved reserved_;
};

}  // namespace remora::test
